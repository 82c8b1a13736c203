"""Many tries at one problem: pass@k, majority vote, and the figures of a set of problems by task."""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aji import chatml
from aji.evals.intervals import mean, share
from aji.generate import Completion, generate
from aji.rewards import final_answer, is_right, readable


@dataclass(frozen=True)
class Tries:
    """The replies to one problem, whether each is right, and whether each stopped by itself."""

    row: dict
    texts: list[str]
    right: list[bool]
    stopped: list[bool]
    lengths: list[int]


def try_problems(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict],
    samples: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    seed: int | None = 0,
    **options,
) -> list[Tries]:
    """`samples` replies to each problem (`prompt`, `answer`, and `numbers` of countdown), judged by its checker."""
    encoded = chatml.encode(tokenizer, [row["prompt"] for row in rows], add_generation_prompt=True)
    prompts = [row.input_ids for row in encoded for _ in range(samples)]
    replies = generate(model, tokenizer, prompts, max_new_tokens, temperature, seed=seed, decode=False, **options)
    texts = readable(tokenizer, [reply.ids for reply in replies])
    return [
        _judge(row, texts[start : start + samples], replies[start : start + samples])
        for row, start in zip(rows, range(0, len(replies), samples), strict=True)
    ]


def _judge(row: dict, texts: list[str], replies: list[Completion]) -> Tries:
    # What was cut has no answer, even where the number it broke off in would be right.
    right = [reply.stopped and is_right(text, row) for text, reply in zip(texts, replies, strict=True)]
    return Tries(row, texts, right, [reply.stopped for reply in replies], [len(reply.ids) for reply in replies])


def pass_at_k(tries: int, right: int, k: int) -> float:
    """The chance that k of the tries, drawn without return, hold a right one (Chen et al. 2021, unbiased)."""
    if tries - right < k:
        return 1.0
    return 1 - comb(tries - right, k) / comb(tries, k)


def majority(tries: Tries, k: int, rng: random.Random) -> bool:
    """Whether the answer most given by k of the replies is right; a tie is drawn."""
    chosen = rng.sample(range(len(tries.texts)), k)
    votes = defaultdict(list)
    for place in chosen:
        found = final_answer(tries.texts[place])
        votes[found[0] if found else None].append(place)
    most = max(map(len, votes.values()))
    return tries.right[rng.choice([own for own in votes.values() if len(own) == most])[0]]


def by_task(tries: Sequence[Tries]) -> dict[str, list[Tries]]:
    """Tries by the task of their problem, in the order of the tasks' first problems."""
    tasks: dict[str, list[Tries]] = {}
    for one in tries:
        tasks.setdefault(one.row["task"], []).append(one)
    return tasks


def pass_metrics(name: str, tries: Sequence[Tries]) -> dict[str, float]:
    """pass@1 in percent, as a share where each problem was tried once, as a mean over problems where several times."""
    if all(len(one.right) == 1 for one in tries):
        return share(name, sum(one.right[0] for one in tries), len(tries))
    values = [100 * sum(one.right) / len(one.right) for one in tries]
    metrics = mean(name, values, 2)
    low, high = f"{name}_low", f"{name}_high"
    return metrics | {low: max(0.0, metrics[low]), high: min(100.0, metrics[high])} if metrics else {}


def take_evenly(rows: Sequence[dict], count: int) -> list[dict]:
    """The first `count` problems of each task, its languages in turn."""
    groups: dict[tuple, list[dict]] = defaultdict(list)
    for row in rows:
        groups[row["task"], row.get("language")].append(row)
    languages = Counter(task for task, _ in groups)
    taken = []
    for (task, _), own in groups.items():
        taken += own[: -(-count // languages[task])]
    return taken
