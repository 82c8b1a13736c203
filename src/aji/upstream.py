"""Corrections to upstream: each with the version it was seen in, the symptom, and a test that says when to drop it."""

import functools
import subprocess
import types
import warnings

import torch
import trl
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer
from transformers.modeling_outputs import CausalLMOutputWithPast
from trl.trainer.utils import FusedCausalLMOutput

from aji.model import below_adapter, changes_logits
from aji.prefixes import logits_at, score, states_at


# Labelled positions of a batch are scored in multiples of this many.
ROUNDED = 256
# trl 1.16 asks for it before each generation, and transformers 5.23 says each time that it has another name.
warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)


def skip_vector_trials() -> bool:
    """Let the compiler skip its trials of vector instructions where one look tells as much; returns whether it did.

    torch 2.13: before its first kernel, inductor builds and loads a program for each set of instructions the CPU has,
    which takes 9 s on two cores, and 1 s when they are built already. An empty program with the flags of all of them
    says as well whether the compiler knows them. A choice by TORCHINDUCTOR_VEC_ISA_OK is left alone.
    """
    from torch._inductor import config, cpp_builder, cpu_vec_isa  # imported late: they are slow

    has = cpu_vec_isa.x86_isa_checker()
    sets = [isa for isa in cpu_vec_isa.supported_vec_isa_list if all(name in has for name in str(isa).split())]
    if config.cpp.vec_isa_ok is not None or not sets:
        return False
    flags = " ".join(isa.build_arch_flags() for isa in sets).split()
    command = [cpp_builder.get_cpp_compiler(), *flags, "-fsyntax-only", "-x", "c++", "-"]
    known = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
    config.cpp.vec_isa_ok = True if known else None
    return known


def remove_fused_lm_head(model: PreTrainedModel) -> None:
    """Give a model that trl patched with `add_fused_lm_head` its own forward back."""
    vars(below_adapter(model)).pop("forward", None)


class SFTTrainer(trl.SFTTrainer):
    """trl 1.16: without a Triton device the fused LM head runs 2 to 3 times slower than the model's own loss.

    It scores masked positions too, goes over an fp32 tile of all of them in eager mode and computes the logits again
    in the backward pass. Where that would happen this class uses the loss of the model, at labelled positions only,
    with the same value and gradient; `entropy` and `mean_token_accuracy` are then missing from the logs.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.uses_own_loss = self.args.device.type == "cpu" and self.args.loss_type == "nll"
        if self.uses_own_loss:
            remove_fused_lm_head(self.model)
            score_labelled_only(self.model)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if not self.uses_own_loss:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return Trainer.compute_loss(self, model, {**inputs, "use_cache": False}, return_outputs, num_items_in_batch)


class ExactHead(nn.Linear):
    """transformers 5.23: under bf16 autocast the head of a sequence classifier gives rewards of 8 bits.

    Rewards that differ by less than half a percent then become equal, and pairs that are close teach nothing. This
    head computes in float32 whatever surrounds it, at no cost; its weights are saved as those of any `nn.Linear`.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, enabled=False):
            return super().forward(inputs.float())

    @classmethod
    def of(cls, model: PreTrainedModel) -> PreTrainedModel:
        """Give `model.score` this way of computing, in place."""
        if type(model.score) is nn.Linear:  # that of an adapter is wrapped
            model.score.__class__ = cls
        return model


class DPOTrainer(trl.DPOTrainer):
    """trl 1.16: tokens that are there are not taken, and the fused LM head is slow without a Triton device.

    It renders and encodes every message anew, as text that can forge control tokens, and cuts what is too long; here
    rows with `prompt_ids`, `chosen_ids` and `rejected_ids` stay as they are. And off CUDA its head scores all
    positions, those of prompts and padding too, in eager float32; here only replies are scored, by the model's head.
    """

    def _prepare_dataset(self, dataset, *args, **kwargs):
        return dataset if "prompt_ids" in dataset.column_names else super()._prepare_dataset(dataset, *args, **kwargs)

    def _precompute_ref_logps(self, *args, **kwargs):
        score_labelled_only(self.model, log_probs_only=True)
        found = super()._precompute_ref_logps(*args, **kwargs)
        score_labelled_only(self.model)  # a loss that is computed before `train` wants the rest too
        return found

    def train(self, *args, **kwargs):
        score_labelled_only(self.model)
        return super().train(*args, **kwargs)


def score_labelled_only(model: PreTrainedModel, log_probs_only: bool = False) -> None:
    """On a CPU, compute logits at labelled positions only: for the model's loss, and in place of trl's fused LM head.

    transformers 5.23 computes them at all positions, prompts and padding too, which is a quarter of a small model's
    work. Models that scale or cap their logits, and mixtures of experts, stay as they are.
    """
    base = below_adapter(model)
    if base.device.type != "cpu" or changes_logits(base):
        return
    own_forward = type(base).forward

    @functools.wraps(own_forward)  # `generate` looks at the signature
    def forward(self, *args, fused_lm_head=False, labels=None, num_items_in_batch=None, use_cache=None, **kwargs):
        if labels is None:
            return own_forward(self, *args, use_cache=use_cache, **kwargs)
        if fused_lm_head:
            return _scores(self, labels, log_probs_only, *args, **kwargs)
        if torch.compiler.is_compiling():
            hidden = self.base_model(*args, use_cache=False, **kwargs).last_hidden_state
            return CausalLMOutputWithPast(loss=_loss_at_labels(self, hidden, labels, num_items_in_batch))
        return CausalLMOutputWithPast(loss=_loss(self, labels, num_items_in_batch, *args, **kwargs))

    base.forward = types.MethodType(forward, base)


def labelled_loss(model: nn.Module, labels: Tensor, **inputs) -> Tensor:
    """The loss of a model in nats a labelled token; on a CPU, where it can, from logits at labelled positions only."""
    base = below_adapter(model)
    wrapped = not isinstance(base, PreTrainedModel)  # a wrapper has to see the whole forward pass
    if wrapped or labels.device.type != "cpu" or changes_logits(base):
        return model(labels=labels, **inputs, use_cache=False).loss
    return _loss(base, labels, None, **inputs)


def _before(labels: Tensor) -> Tensor:
    """The tokens at which labels (batch, length) are told: those before them."""
    return nn.functional.pad(labels[:, 1:] != -100, (0, 1))


def _loss(model: PreTrainedModel, labels: Tensor, num_items_in_batch: Tensor | int | None, *args, **kwargs) -> Tensor:
    """The loss of the model, in nats a labelled token; of a step of several batches this one's part."""
    states, which = states_at(model, _before(labels), *args, **kwargs)
    labels = labels[:, 1:]
    return _loss_of(model, states.index_select(0, which), labels[labels != -100], num_items_in_batch)


@torch.compiler.disable  # how many positions are labelled differs from batch to batch: each would be compiled anew
def _loss_at_labels(model: PreTrainedModel, hidden: Tensor, labels: Tensor, num_items: Tensor | int | None) -> Tensor:
    """The same of states (batch, length, width)."""
    labels = labels[:, 1:]
    return _loss_of(model, hidden[:, :-1][labels != -100], labels[labels != -100], num_items)


def _loss_of(model: PreTrainedModel, states: Tensor, labels: Tensor, num_items: Tensor | int | None) -> Tensor:
    """The same of states (labels, width)."""
    # Batches of few sizes, so that memory that one step frees fits the next: zeros at their end, without a label.
    more = -len(labels) % ROUNDED
    labels = nn.functional.pad(labels, (0, more), value=-100)
    logits = model.get_output_embeddings()(nn.functional.pad(states, (0, 0, 0, more))).float()
    return model.loss_function(
        logits=logits, labels=None, shift_labels=labels, vocab_size=logits.shape[-1], num_items_in_batch=num_items
    )


def _scores(model: PreTrainedModel, labels: Tensor, log_probs_only: bool, *args, **kwargs) -> FusedCausalLMOutput:
    """What trl's fused LM head gives."""
    logits, which = logits_at(model, _before(labels), *args, **kwargs)
    logits, labels = logits.float(), labels[:, 1:]
    mask = labels != -100
    chosen, entropy = score(logits, which, labels[mask], with_entropy=not log_probs_only)
    known = {"log_probs": chosen}
    if not log_probs_only:
        with torch.no_grad():
            own = logits.flatten().index_select(0, which * logits.shape[-1] + labels[mask])
            known |= {"entropy": entropy, "mean_logits": logits.mean(-1)[which]}
            known |= {"is_top1": own == logits.amax(-1)[which]}
    spread = {name: values.new_zeros(mask.shape).masked_scatter(mask, values) for name, values in known.items()}
    return FusedCausalLMOutput(label_mask=mask, **spread)
