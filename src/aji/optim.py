"""Muon for the matrices, AdamW for the rest, as one optimizer that `Trainer` can build, schedule, save and resume."""

import math
from dataclasses import dataclass, field

import torch
from torch import nn
from transformers import SchedulerType, TrainingArguments


@dataclass
class OptimizerArguments:
    """Which optimizer trains the matrices; upstream's `learning_rate` stays the one of AdamW."""

    use_muon: bool = field(
        default=False, metadata={"help": "Train the matrices with Muon. false: AdamW (`optim`) for everything."}
    )
    muon_learning_rate: float = field(default=0.02, metadata={"help": "Peak learning rate of the matrices."})
    muon_weight_decay: float = field(default=0.0, metadata={"help": "Weight decay of the matrices."})
    decay_share: float = field(
        default=0.4, metadata={"help": "Share of the run, at its end, in which warmup_stable_decay falls to zero."}
    )


class MuonAdamW(torch.optim.Optimizer):
    """Two upstream optimizers behind one face.

    Muon (Jordan et al. 2024) orthogonalises the momentum of each hidden matrix; embeddings, the output head, norms
    and biases keep AdamW. The learning rate schedule scales both from their own peak.
    """

    def __init__(self, matrices: list[nn.Parameter], others: list[nn.Parameter], muon: dict, adamw: dict):
        self.muon = torch.optim.Muon(matrices, **muon)
        self.adamw = torch.optim.AdamW(others, **adamw)
        super().__init__(self.muon.param_groups + self.adamw.param_groups, {})
        self._share_groups()

    def _share_groups(self) -> None:
        # The scheduler writes into `self.param_groups`; the two must see the same dicts.
        split = len(self.muon.param_groups)
        self.muon.param_groups, self.adamw.param_groups = self.param_groups[:split], self.param_groups[split:]

    @torch.no_grad()
    def step(self, closure=None):
        self.muon.step()
        self.adamw.step()

    def state_dict(self) -> dict:
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])
        self.param_groups = self.muon.param_groups + self.adamw.param_groups


def is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether Muon may train it: a hidden matrix, not a table of tokens nor the output head."""
    return parameter.ndim == 2 and "embed" not in name and "lm_head" not in name


class MuonAdamWFactory:
    """What `Trainer(optimizer_cls_and_kwargs=...)` calls: a class that is no `Optimizer` gets the whole model."""

    def __call__(self, model: nn.Module, muon: dict, adamw: dict) -> MuonAdamW:
        trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        matrices = [p for n, p in trained if is_matrix(n, p)]
        return MuonAdamW(matrices, [p for n, p in trained if not is_matrix(n, p)], muon, adamw)


def set_decay(args: OptimizerArguments, training_args: TrainingArguments, rows: int) -> None:
    """Give upstream's warmup_stable_decay the number of decay steps that it demands, for the length of this run.

    Args:
        rows: rows of the training set.
    """
    if training_args.lr_scheduler_type != SchedulerType.WARMUP_STABLE_DECAY or training_args.lr_scheduler_kwargs:
        return
    rows_per_step = (
        training_args.train_batch_size * training_args.gradient_accumulation_steps * training_args.world_size
    )
    steps = training_args.max_steps
    if steps <= 0:
        steps = math.ceil(rows / rows_per_step * training_args.num_train_epochs)
    training_args.lr_scheduler_kwargs = {"num_decay_steps": max(1, round(args.decay_share * steps))}


def muon_adamw(args: OptimizerArguments, training_args: TrainingArguments) -> tuple | None:
    """`optimizer_cls_and_kwargs` for `Trainer`: None leaves the choice to upstream's `optim`."""
    if not args.use_muon:
        return None
    muon = {"lr": args.muon_learning_rate, "weight_decay": args.muon_weight_decay}
    adamw = {
        "lr": training_args.learning_rate,
        "betas": (training_args.adam_beta1, training_args.adam_beta2),
        "eps": training_args.adam_epsilon,
        "weight_decay": training_args.weight_decay,
        "fused": True,
    }
    return MuonAdamWFactory, {"muon": muon, "adamw": adamw}
