"""Muon for the matrices, AdamW for the rest, as one optimizer that `Trainer` can build, schedule, save and resume."""

from dataclasses import dataclass, field

import torch
from torch import nn


@dataclass
class OptimizerArguments:
    """Which optimizer trains the matrices; upstream's `learning_rate` stays the one of AdamW."""

    use_muon: bool = field(
        default=True, metadata={"help": "Train the matrices with Muon. false: AdamW (`optim`) for everything."}
    )
    muon_learning_rate: float = field(default=0.02, metadata={"help": "Peak learning rate of the matrices."})
    muon_weight_decay: float = field(default=0.0, metadata={"help": "Weight decay of the matrices."})


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


def muon_adamw(args: OptimizerArguments, training_args) -> tuple | None:
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
