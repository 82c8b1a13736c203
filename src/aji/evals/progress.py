"""What is learnt, while it is learnt: held-out problems tried every so many steps, and what the teachers could do."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import TrainerCallback

from aji.data.files import find_files, read_rows
from aji.data.problems import to_problem
from aji.diagnosis import WORDS
from aji.errors import UserError
from aji.evals.intervals import share
from aji.evals.pass_at_k import Tries, by_task, pass_metrics, try_problems
from aji.rewards import is_right


class HeldOut(TrainerCallback):
    """Tries the held-out problems before the first step, every `every` steps, and after the last.

    Args:
        rows: problems.
        sampling: `max_new_tokens`, `temperature` and what else `try_problems` takes.
        every: interval in steps, 0 for only before and after.
    """

    def __init__(self, trainer, rows: Sequence[dict], sampling: dict, every: int):
        self.trainer, self.rows, self.sampling, self.every = trainer, rows, sampling, every
        self.curve: list[dict] = []

    def on_train_begin(self, args, state, control, **kwargs):
        self.curve = [entry for entry in state.log_history if "held_out" in entry]
        if not self.curve:
            self._look(state, greedy=True)

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == state.max_steps:
            self._look(state, greedy=True)
        elif self.every and state.global_step % self.every == 0:
            self._look(state)

    def _look(self, state, greedy: bool = False) -> None:
        with torch.random.fork_rng():  # so that looking leaves the training as it is
            entry = {"step": state.global_step, **summary(self.attempt(), "held_out")}
            entry |= pass_metrics("held_out_greedy", self.attempt(temperature=0.0)) if greedy else {}
        state.log_history.append(entry)
        self.curve.append(entry)
        if state.is_world_process_zero:
            low, high = entry["held_out_low"], entry["held_out_high"]
            print(f"  held out: {entry['held_out']:g} % right ({low:g} to {high:g})", flush=True)

    def attempt(self, **changes) -> list[Tries]:
        sampling = {"samples": 1, **self.sampling, **changes}
        return try_problems(self.trainer.policy(), self.trainer.processing_class, self.rows, **sampling)

    def metrics(self) -> dict[str, float]:
        """`before` and `after` (percent right, sampled as in training), of every task too, and by greedy replies."""
        if not self.curve:
            return {}
        metrics = {}
        for name, entry in (("before", self.curve[0]), ("after", self.curve[-1])):
            metrics |= {
                f"{name}{key.removeprefix('held_out')}": value for key, value in entry.items() if key != "step"
            }
        return metrics


def summary(tries: Sequence[Tries], name: str) -> dict[str, float]:
    """pass@1 in percent with its interval, for every task too, the mean length, and the share of self-checks."""
    metrics = pass_metrics(name, tries)
    for task, own in by_task(tries).items():
        metrics |= pass_metrics(f"{name}_{task}", own)
    lengths = [length for one in tries for length in one.lengths]
    texts = [text for one in tries for text in one.texts]
    return metrics | {
        f"{name}_length": round(sum(lengths) / len(lengths), 2),
        f"{name}_checking": round(100 * sum(WORDS.search(text) is not None for text in texts) / len(texts), 2),
    }


def demonstrators(source: str, tasks: Sequence[str]) -> dict[str, float]:
    """How often those were right whom SFT imitated, on these tasks: the checkers applied to what they wrote.

    Args:
        source: conversations with the columns `task` and `answer` beside `messages`; rows `requested` are left out.
    """
    files = find_files(source)
    if not files:
        raise UserError(f"demonstrations: {source} is not there. Check the path, or leave it out")
    right = []
    for place, row in (pair for path in files for pair in read_rows(Path(path))):
        if row.get("task") not in tasks or row.get("requested"):
            continue
        question, reply = (message["content"] for message in row["messages"][-2:])
        problem = to_problem({**row, "prompt": question}, place, row["task"])
        right.append(is_right(reply, problem))
    return share("demonstrators", sum(right), len(right))
