"""Corrections to upstream: each with the version it was seen in, the symptom, and a test that says when to drop it."""

import trl
from transformers import PreTrainedModel, Trainer


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
