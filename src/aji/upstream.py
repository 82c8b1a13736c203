"""Corrections to upstream: each with the version it was seen in, the symptom, and a test that says when to drop it."""

import functools
import subprocess
import types

import torch
import trl
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer
from transformers.modeling_outputs import CausalLMOutputWithPast
from trl.trainer.utils import FusedCausalLMOutput

from aji.model import below_adapter


# Labelled positions of a batch are scored in multiples of this many.
ROUNDED = 256
# What some models do to their logits; trl's fused head knows how, the one here does not.
_LOGIT_CHANGES = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "lm_head_multiplier",
    "output_multiplier",
    "output_router_logits",
)


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
        score_labelled_only(self.model)
        return super()._precompute_ref_logps(*args, **kwargs)

    def train(self, *args, **kwargs):
        score_labelled_only(self.model)
        return super().train(*args, **kwargs)


def score_labelled_only(model: PreTrainedModel) -> None:
    """On a CPU, compute logits at labelled positions only: for the model's loss, and in place of trl's fused LM head.

    transformers 5.23 computes them at all positions, prompts and padding too, which is a quarter of a small model's
    work. Models that scale or cap their logits, and mixtures of experts, stay as they are.
    """
    base = below_adapter(model)
    config = base.config.get_text_config()
    if base.device.type != "cpu" or any(getattr(config, name, None) for name in _LOGIT_CHANGES):
        return
    own_forward = type(base).forward

    @functools.wraps(own_forward)  # `generate` looks at the signature
    def forward(self, *args, fused_lm_head=False, labels=None, num_items_in_batch=None, **kwargs):
        if labels is None:
            return own_forward(self, *args, **kwargs)
        hidden = self.base_model(*args, **kwargs).last_hidden_state
        if fused_lm_head:
            return _scores(self, hidden, labels)
        return CausalLMOutputWithPast(loss=_loss(self, hidden, labels, num_items_in_batch))

    base.forward = types.MethodType(forward, base)


@torch.compiler.disable  # how many positions are labelled differs from batch to batch: each would be compiled anew
def _loss(model: PreTrainedModel, hidden: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None) -> Tensor:
    """The loss of the model, in nats a labelled token; of a step of several batches this one's part."""
    hidden, labels = hidden[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    places = (labels != -100).nonzero().squeeze(1)
    # Batches of few sizes, so that memory that one step frees fits the next: others at their end, without a label.
    others = (labels == -100).nonzero().squeeze(1)[: -len(places) % ROUNDED]
    places = torch.cat([places, others])
    logits = model.get_output_embeddings()(hidden[places]).float()
    return model.loss_function(
        logits=logits,
        labels=None,
        shift_labels=labels[places],
        vocab_size=logits.shape[-1],
        num_items_in_batch=num_items_in_batch,
    )


def _scores(model: PreTrainedModel, hidden: Tensor, labels: Tensor) -> FusedCausalLMOutput:
    """What trl's fused LM head gives."""
    labels = labels[:, 1:]
    mask = labels != -100
    logits = model.get_output_embeddings()(hidden[:, :-1][mask]).float()
    log_probs = logits.log_softmax(-1)
    known = {"log_probs": log_probs.gather(1, labels[mask][:, None]).squeeze(1)}
    with torch.no_grad():
        known |= {
            "entropy": -(log_probs.exp() * log_probs).sum(-1),
            "mean_logits": logits.mean(-1),
            "is_top1": logits.argmax(-1) == labels[mask],
        }
    spread = {name: values.new_zeros(mask.shape).masked_scatter(mask, values) for name, values in known.items()}
    return FusedCausalLMOutput(label_mask=mask, **spread)
