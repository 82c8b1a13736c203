"""Stopping before the reward model is gamed: few fresh labels say how good the policy is, and the best weights stay.

The reward that is trained on cannot tell when it is gamed: it rises all the while. So every so many steps people
compare new replies with those of the model before training. Nobody looks at the gold score.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate.utils import broadcast_object_list
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from aji import chatml
from aji.errors import UserError
from aji.evals.intervals import share
from aji.generate import Completion
from aji.preferences import gold_scores, reply
from aji.prefixes import read_once
from aji.rlhf import reply_kl
from aji.world.labeler import Labeler


WEIGHTS = "early_stop.safetensors"


@dataclass
class EarlyStopArguments:
    """When training against a reward model ends, and which of its models is kept."""

    label_prompts: str | None = field(
        default=None,
        metadata={"help": "Prompts of the world on which labelers compare replies with those before. Default: none."},
    )
    labels: int = field(default=120, metadata={"help": "Prompts of them; so many labels are asked for at each look."})
    label_noise: float = field(default=0.1, metadata={"help": "Scale of the labelers' noise, in units of gold score."})
    eval_interval: int = field(default=5, metadata={"help": "Steps between two looks."})
    patience: int = field(default=3, metadata={"help": "Looks without a better one after which training stops."})
    kl_budget: float | None = field(
        default=None, metadata={"help": "Training stops when the KL to the start, in nats a reply, exceeds this."}
    )

    def __post_init__(self):
        for name in ("labels", "eval_interval", "patience"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if self.kl_budget is not None and self.kl_budget <= 0:
            raise UserError(f"kl_budget is {self.kl_budget:g}, expected a number of nats above 0, or null for none")


def decide(looks: Sequence[Mapping], patience: int, kl_budget: float | None = None) -> tuple[int, int | None]:
    """Which look is kept, and at which training stops (None: it goes on); both are places in `looks`.

    A look has `reply_kl` and, where labels were asked for, `preferred`. Kept is the best by the labels, of equal ones
    the first; without labels the last one within the budget.
    """
    best = 0
    for place, look in enumerate(looks):
        if kl_budget is not None and look["reply_kl"] > kl_budget:
            return best, place
        if "preferred" not in look or look["preferred"] > looks[best]["preferred"]:
            best = place
        elif place - best >= patience:
            return best, place
    return best, None


def frozen_copy(model: PreTrainedModel, bf16: bool) -> PreTrainedModel:
    """The model as it is now, for good; in bf16 where the policy samples so too."""
    twin = copy.deepcopy(model).eval().requires_grad_(False)
    for parameter in twin.parameters() if bf16 else ():  # not .to(bfloat16), which would round rotary frequencies
        parameter.data = parameter.data.to(torch.bfloat16)
    return read_once(twin)


class Labels:
    """Replies to a small set of prompts, compared by labelers with those of the model that training starts from.

    Args:
        start: that model, from `frozen_copy`, before a trainer changes it.
        sampling: `max_new_tokens`, `temperature`, `seed`.
        noise: of the labelers; None asks for no labels, and looks at the KL only.
    """

    def __init__(
        self,
        start: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        rows: Sequence[Mapping],
        sampling: dict,
        noise: float | None,
    ):
        self.start, self.tokenizer, self.rows, self.sampling, self.noise = start, tokenizer, rows, sampling, noise
        self.prompts = [row["prompt"] for row in rows]
        self.prompt_ids = [one.input_ids for one in chatml.encode(tokenizer, self.prompts, add_generation_prompt=True)]
        self.before = reply(start, tokenizer, self.prompts, **sampling) if noise is not None else []

    def first(self) -> dict[str, float]:
        """The look at the start itself: nobody can prefer it to itself."""
        even = {"preferred": 50.0, "preferred_low": 50.0, "preferred_high": 50.0, "preferred_n": 0}
        return {"step": 0, "reply_kl": 0.0} | ({} if self.noise is None else even)

    def look(self, policy: PreTrainedModel, step: int) -> dict[str, float]:
        """`preferred`: percent of labels for the policy, and its interval; `reply_kl` in nats."""
        replies = reply(policy, self.tokenizer, self.prompts, **self.sampling)
        kl = reply_kl(policy, self.start, self.prompt_ids, replies, self.sampling["temperature"])
        found = {"step": step, "reply_kl": round(sum(kl) / len(kl), 4)}
        if self.noise is None:
            return found
        # A labeler who has not been asked before, the same one when the run is taken up again.
        wins = compare(self.rows, replies, self.before, Labeler(self.noise, 100_003 * self.sampling["seed"] + step))
        return found | share("preferred", sum(wins), len(wins))


def compare(
    rows: Sequence[Mapping], ours: Sequence[Completion], theirs: Sequence[Completion], labeler: Labeler
) -> list[float]:
    """1 where a labeler prefers our reply, 0 where the other one; 0.5 for equal ones, which nobody is shown."""
    scores = zip(gold_scores(rows, ours), gold_scores(rows, theirs), strict=True)
    return [
        0.5 if a.ids == b.ids and a.stopped == b.stopped else float(labeler.rank(both)[0] == 0)
        for a, b, both in zip(ours, theirs, scores, strict=True)
    ]


class EarlyStop(TrainerCallback):
    """Looks every `eval_interval` steps, stops when it is time, and puts the best weights back at the end."""

    def __init__(self, trainer, labels: Labels, args: EarlyStopArguments):
        self.trainer, self.labels, self.args = trainer, labels, args
        self.looks: list[dict] = []
        self.best: dict[str, torch.Tensor] = {}
        self.stopped: int | None = None

    def weights(self) -> dict[str, torch.Tensor]:
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}

    def on_train_begin(self, args, state, control, **kwargs):
        self.looks = [entry for entry in state.log_history if "reply_kl" in entry]
        if not self.looks:
            self._add(state, self.labels.first())
            return
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}" / WEIGHTS
        if not path.is_file():
            raise UserError(f"{path.parent} lacks {WEIGHTS}, the best weights so far: remove it, and start anew.")
        self.best = load_file(path)

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step % self.args.eval_interval and state.global_step != state.max_steps:
            return
        with torch.random.fork_rng():  # so that looking leaves the training as it is
            look = self.labels.look(self.trainer.policy(), state.global_step)
        (look,) = broadcast_object_list([look])  # all processes must decide alike
        self._add(state, look)
        if state.is_world_process_zero:
            print(f"  look: {_words(look)}", flush=True)
        if self.stopped is not None:
            control.should_training_stop = True

    def _add(self, state, look: dict) -> None:
        state.log_history.append(look)
        self.looks.append(look)
        kept, self.stopped = decide(self.looks, self.args.patience, self.args.kl_budget)
        if self.looks[kept] is look:
            self.best = {name: weight.detach().cpu().clone() for name, weight in self.weights().items()}

    def on_save(self, args, state, control, **kwargs):
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            save_file(self.best, folder / WEIGHTS)

    def on_train_end(self, args, state, control, **kwargs):
        if self.stopped is None and state.global_step < state.max_steps:
            return  # interrupted: it will go on from these weights
        with torch.no_grad():
            for name, weight in self.weights().items():
                weight.copy_(self.best[name])
        if state.is_world_process_zero:
            print(self.summary(state.max_steps), flush=True)

    @property
    def kept(self) -> dict:
        return self.looks[decide(self.looks, self.args.patience, self.args.kl_budget)[0]]

    def summary(self, max_steps: int) -> str:
        """What was done, in one line."""
        kept, last = self.kept, self.looks[-1]
        what = "Nothing better than the start was found, so it" if kept["step"] == 0 else f"Step {kept['step']}"
        what += f" is kept ({_words(kept)})"
        if self.stopped is None:
            return f"{what}; training went on to its end at step {last['step']}."
        over = self.args.kl_budget is not None and last["reply_kl"] > self.args.kl_budget
        why = f"the budget of {self.args.kl_budget:g} nats is spent" if over else f"{self.args.patience} looks later"
        return f"{what}; stopped at step {last['step']} of {max_steps}, {why} ({_words(last)})."

    def metrics(self) -> dict[str, float]:
        """`kept_step`, `last_step`, and the look that is kept."""
        return {"kept_step": self.kept["step"], "last_step": self.looks[-1]["step"]} | {
            f"kept_{name}": value for name, value in self.kept.items() if name != "step"
        }


def build_early_stop(
    trainer,
    start: PreTrainedModel,
    labelled: Sequence[Mapping],
    rows: Sequence[Mapping],
    sampling: dict,
    args: EarlyStopArguments,
) -> EarlyStop | None:
    """The watch that the arguments ask for; without prompts for labelers, the KL of `rows` alone can stop a run."""
    if not labelled and args.kl_budget is None:
        return None
    noise = args.label_noise if labelled else None
    labels = Labels(start, trainer.processing_class, labelled or rows[: args.labels], sampling, noise)
    return EarlyStop(trainer, labels, args)


def _words(look: Mapping) -> str:
    found = f"KL {look['reply_kl']:.2f} nats a reply"
    if "preferred" not in look:
        return found
    interval = f" ({look['preferred_low']:g} to {look['preferred_high']:g})" if look.get("preferred_n") else ""
    return f"{look['preferred']:g} %{interval} of labels prefer it to the start, {found}"
