"""Corrections to upstream: each with the version it was seen in, the symptom, and a test that says when to drop it."""

import subprocess

import trl
from transformers import PreTrainedModel, Trainer


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
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    vars(base).pop("forward", None)


class SFTTrainer(trl.SFTTrainer):
    """trl 1.16: without a Triton device the fused LM head runs 2 to 3 times slower than the model's own loss.

    It scores masked positions too, goes over an fp32 tile of all of them in eager mode and computes the logits again
    in the backward pass. Where that would happen this class uses the loss of the model, with the same value and
    gradient; `entropy` and `mean_token_accuracy` are then missing from the logs.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.uses_own_loss = self.args.device.type == "cpu" and self.args.loss_type == "nll"
        if self.uses_own_loss:
            remove_fused_lm_head(self.model)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if not self.uses_own_loss:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return Trainer.compute_loss(self, model, {**inputs, "use_cache": False}, return_outputs, num_items_in_batch)
