"""Which problems are worth training on: those that a model solves sometimes.

A group of completions teaches only when some are right and some are wrong. So every task is tried before training, and
those are chosen that the model solves in 20 to 80 % of its tries.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from rich.console import Console
from rich.table import Table

from aji.data.problems import load_problems
from aji.errors import UserError
from aji.evals.pass_at_k import Tries, by_task, pass_at_k, take_evenly, try_problems
from aji.generate import for_many


@dataclass
class DifficultyArguments:
    """What is trained on of the problems that are there."""

    difficulty: Literal["auto", "filter", "all"] = field(
        default="auto",
        metadata={
            "help": "auto: try every task and take those whose pass@1 is within `difficulty_range`. filter: try every "
            "problem and take those within it. all: take everything."
        },
    )
    difficulty_range: list[float] = field(
        default_factory=lambda: [0.2, 0.8], metadata={"help": "Lowest and highest pass@1 that is trained on, 0 to 1."}
    )
    difficulty_problems: int = field(default=16, metadata={"help": "Problems of each task that are tried."})
    difficulty_samples: int = field(default=8, metadata={"help": "Replies to each: the k of pass@k."})

    def __post_init__(self):
        low, high = self.difficulty_range if len(self.difficulty_range) == 2 else (1, 0)
        if not 0 <= low <= high <= 1:
            raise UserError(f"difficulty_range is {self.difficulty_range}, expected two shares such as [0.2, 0.8]")
        for name in ("difficulty_problems", "difficulty_samples"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}, expected 1 or more")


@dataclass(frozen=True)
class Difficulty:
    """pass@1 and pass@k of each task, from 0 to 1, and the share of its replies that were cut."""

    samples: int
    pass_1: dict[str, float]
    pass_k: dict[str, float]
    truncated: dict[str, float]

    def within(self, low: float, high: float) -> list[str]:
        return [task for task, rate in self.pass_1.items() if low <= rate <= high]

    def metrics(self) -> dict[str, float]:
        return {f"difficulty_{task}": round(100 * rate, 1) for task, rate in self.pass_1.items()}


def measure(tries: Sequence[Tries]) -> Difficulty:
    """Raises UserError when all replies were cut: no reward would ever be seen."""
    tasks = by_task(tries)
    samples = len(tries[0].right)
    longest = max(max(one.lengths) for one in tries)
    truncated = {task: 1 - _mean(one.stopped for one in own) for task, own in tasks.items()}
    if min(truncated.values()) == 1:
        raise UserError(
            f"all {sum(len(one.right) for one in tries):,} completions were cut at {longest} tokens without a stop "
            "token. Raise --max_completion_length, or train the model to stop first (recipes/sft.py)."
        )
    return Difficulty(
        samples,
        {task: _mean(one.right for one in own) for task, own in tasks.items()},
        {
            task: sum(pass_at_k(samples, sum(one.right), samples) for one in own) / len(own)
            for task, own in tasks.items()
        },
        truncated,
    )


def _mean(lists) -> float:
    values = [value for own in lists for value in own]
    return sum(values) / len(values)


def try_tasks(model, tokenizer, rows: list[dict], args: DifficultyArguments, sampling: dict) -> list[Tries]:
    """Replies to `difficulty_problems` of each task, or with `filter` to all problems."""
    tried = rows if args.difficulty == "filter" else take_evenly(rows, args.difficulty_problems)
    return try_problems(model, tokenizer, tried, args.difficulty_samples, **sampling, **for_many(model))


def choose(rows: list[dict], tries: list[Tries], args: DifficultyArguments) -> tuple[list[dict], Difficulty, str]:
    """The problems to train on, the difficulty of the tasks, and a remark where nothing fits ("" where it does)."""
    found = measure(tries)
    low, high = args.difficulty_range
    if args.difficulty == "filter":
        kept = [one.row for one in tries if low <= sum(one.right) / len(one.right) <= high]
        remark = f"{len(kept):,} of {len(rows):,} problems are solved in {_range(low, high)} of the tries."
        if not kept:
            raise UserError(f"{remark} Nothing to train on: widen --difficulty_range, or take other problems.")
        return kept, found, remark
    tasks = found.within(low, high) if args.difficulty == "auto" else list(found.pass_1)
    if tasks:
        return [row for row in rows if row["task"] in tasks], found, ""
    middle = (low + high) / 2
    nearest = min(found.pass_1, key=lambda task: abs(found.pass_1[task] - middle))
    side = "too hard" if found.pass_1[nearest] < low else "too easy"
    remark = (
        f"No task is solved in {_range(low, high)} of the tries. Training on the nearest, {nearest} "
        f"({100 * found.pass_1[nearest]:.0f} %), which is {side}: expect most groups to be dead."
    )
    return [row for row in rows if row["task"] == nearest], found, remark


def suggest(
    model,
    tokenizer,
    source: str | None,
    args: DifficultyArguments,
    sampling: dict,
    found: Difficulty,
) -> str:
    """What to train instead, as a sentence, where no task of these problems is within reach; "" where one is."""
    low, high = args.difficulty_range
    if found.within(low, high):
        return ""
    if source is None:
        return "Take easier problems, or teach the model in SFT first how they are solved."
    fewer = replace(args, difficulty="auto", difficulty_problems=max(4, args.difficulty_problems // 2))
    rates = measure(try_tasks(model, tokenizer, load_problems(source), fewer, sampling)).pass_1
    fitting = sorted((task for task in rates if low <= rates[task] <= high), key=lambda task: -rates[task])
    if not fitting:
        return f"No task of {source} is within reach either: teach the model more in SFT first."
    words = ", ".join(f"{task} ({100 * rates[task]:.0f} %)" for task in fitting[:3])
    return f"Train instead what it solves sometimes: {words} of {source} (--train_file {source} --tasks {fitting[0]})."


def _range(low: float, high: float) -> str:
    return f"{100 * low:.0f} to {100 * high:.0f} %"


def show(found: Difficulty, chosen: set[str]) -> None:
    """Print the table of the ladder, the chosen rungs marked."""
    table = Table(
        "task", "pass@1", f"pass@{found.samples}", "cut", "", title="What the model solves", title_justify="left"
    )
    for column in table.columns[1:4]:
        column.justify = "right"
    for task, rate in found.pass_1.items():
        cells = [f"{100 * value:.0f} %" for value in (rate, found.pass_k[task], found.truncated[task])]
        table.add_row(task, *cells, "trained" if task in chosen else "")
    Console().print(table)
