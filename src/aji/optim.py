"""Muon for the matrices, AdamW for the rest, as one optimizer that `Trainer` can build, schedule, save and resume."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim._muon import _adjust_lr
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


def orthogonalize(matrices: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """torch's Newton-Schulz iteration on (count, rows, columns) matrices at once, in bfloat16."""
    tall = matrices.size(1) > matrices.size(2)
    update = matrices.bfloat16().mT if tall else matrices.bfloat16()
    update = update / update.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    a, b, c = coefficients
    for _ in range(steps):
        gram = update @ update.mT
        update = torch.baddbmm(update, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), update, beta=a)
    return update.mT if tall else update


class Muon(torch.optim.Muon):
    """torch's Muon, but it orthogonalises the matrices of one shape together: the same steps in half the time.

    torch 2.13 takes them one by one, and on small matrices the calls cost more than the products (bench/README.md).
    """

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            shapes = defaultdict(list)
            for state in zip(*self._state_of(group), strict=True):
                shapes[state[0].shape, state[0].device].append(state)
            for states in shapes.values():
                self._step_together(group, *zip(*states, strict=True))

    def _state_of(self, group: dict) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        parameters, gradients, momenta = [], [], []
        self._init_group(group, parameters, gradients, momenta)
        return parameters, gradients, momenta

    def _step_together(self, group: dict, parameters: Sequence, gradients: Sequence, momenta: Sequence) -> None:
        lr, momentum = float(group["lr"]), group["momentum"]
        torch._foreach_lerp_(momenta, gradients, 1 - momentum)
        updates = torch._foreach_lerp(gradients, momenta, momentum) if group["nesterov"] else momenta
        updates = orthogonalize(torch.stack(updates), group["ns_coefficients"], group["ns_steps"], group["eps"])
        torch._foreach_mul_(parameters, 1 - lr * group["weight_decay"])
        scaled = _adjust_lr(lr, group["adjust_lr_fn"], parameters[0].shape)
        torch._foreach_add_(parameters, list(updates.to(parameters[0].dtype)), alpha=-scaled)


class MuonAdamW(torch.optim.Optimizer):
    """Two upstream optimizers behind one face.

    Muon (Jordan et al. 2024) orthogonalises the momentum of each hidden matrix; embeddings, the output head, norms
    and biases keep AdamW. The learning rate schedule scales both from their own peak.
    """

    def __init__(self, matrices: list[nn.Parameter], others: list[nn.Parameter], muon: dict, adamw: dict):
        self.muon = Muon(matrices, **muon)
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
    steps = math.ceil(rows_read(training_args, rows) / rows_per_step(training_args))
    training_args.lr_scheduler_kwargs = {"num_decay_steps": max(1, round(args.decay_share * steps))}


def rows_per_step(args: TrainingArguments) -> int:
    """Rows of one optimizer step, of all processes together."""
    return args.train_batch_size * args.gradient_accumulation_steps * args.world_size


def rows_read(args: TrainingArguments, rows: int) -> float:
    """Rows that a run reads, of all processes together, when the training set has so many; each may count often."""
    return args.max_steps * rows_per_step(args) if args.max_steps > 0 else rows * args.num_train_epochs


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
