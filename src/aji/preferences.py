"""Replies of a model to prompts of the world, ranked by simulated labelers: what a reward model and DPO learn from."""

import json
import random
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aji import chatml
from aji.data.files import find_files, read_rows
from aji.errors import UserError
from aji.evals.intervals import mean, share, share_of_groups
from aji.evals.pairs import win
from aji.generate import Completion, for_many, generate
from aji.world.labeler import Labeler, gold_score, judge, preference


def load_prompts(
    source: str, max_rows: int | None = None, kinds: Sequence[str] | None = None, samples: int = 1
) -> list[dict[str, Any]]:
    """Prompts of these kinds that the labeler can judge replies to, over and over, `samples` times.

    Raises UserError for rows it could not judge, and for fewer than one sample.
    """
    if samples < 1:
        raise UserError(
            f"eval_samples is {samples}, expected 1 or more replies to each prompt; 4 tell gain from chance"
        )
    rows = []
    for path in find_files(source):
        for where, row in read_rows(path):
            missing = [
                key for key in ("prompt", "kind", "language", "answer", "references", "topic") if key not in row
            ]
            if missing:
                raise UserError(
                    f"{where}: found no {missing[0]!r}, which the labeler needs to judge replies. Give "
                    "preference_prompts_*.jsonl of recipes/world.py"
                )
            rows.append(row)
    if not rows:
        raise UserError(f"{source}: found no such file. Make the prompts with recipes/world.py, or correct the path")
    chosen = [row for row in rows if kinds is None or row["kind"] in kinds]
    if not chosen:
        there = ", ".join(sorted({row["kind"] for row in rows}))
        raise UserError(f"{source}: found no prompt of the kinds {', '.join(kinds)}. There are: {there}")
    return chosen[:max_rows] * samples


def reply(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[dict]],
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int | None = None,
    progress: str | None = None,
) -> list[Completion]:
    """One reply to each prompt (messages), in their order."""
    encoded = chatml.encode(tokenizer, prompts, add_generation_prompt=True)
    ids = [row.input_ids for row in encoded]
    return generate(
        model, tokenizer, ids, max_new_tokens, temperature, seed=seed, progress=progress, **for_many(model)
    )


def gold_scores(rows: Sequence[Mapping], replies: Sequence[Completion]) -> list[float]:
    return [gold_score(row, one.text, one.stopped) for row, one in zip(rows, replies, strict=True)]


def draw_rankings(
    rows: Sequence[Mapping], replies: Sequence[Sequence[Completion]], labeler: Labeler
) -> tuple[list[dict], dict[str, int]]:
    """Rank the replies to each prompt.

    A reply that broke off is not shown to labelers, nor one that says the same as another; prompts with fewer than two
    left are left out.

    Returns:
        Rows `prompt`, `responses` (the best liked first), `scores` (their gold scores), `kind`, `language`; and how
        many replies were `unfinished` or the `same`, and how many prompts left `too_few`.
    """
    rankings, left_out = [], {"unfinished": 0, "same": 0, "too_few": 0}
    for row, own in zip(rows, replies, strict=True):
        finished = [one.text.strip() for one in own if one.stopped and one.text.strip()]
        different = list(dict.fromkeys(finished))
        left_out["unfinished"] += len(own) - len(finished)
        left_out["same"] += len(finished) - len(different)
        if len(different) < 2:
            left_out["too_few"] += 1
            continue
        scores = [gold_score(row, text) for text in different]
        order = labeler.rank(scores)
        rankings.append(
            {
                "prompt": row["prompt"],
                "responses": [different[place] for place in order],
                "scores": [round(scores[place], 6) for place in order],
                "kind": row["kind"],
                "language": row["language"],
            }
        )
    if not rankings:
        raise UserError(
            "the model gave no two different whole replies to any prompt, so there is nothing to compare. Raise "
            "--temperature or --max_new_tokens, or train the model to answer such prompts (recipes/sft.py)."
        )
    return rankings, left_out


def group_sizes(count: int, smallest: int, largest: int, seed: int) -> list[int]:
    """How many replies each of `count` prompts gets, from `smallest` to `largest`. Raises UserError."""
    if not 2 <= smallest <= largest:
        raise UserError(
            f"responses_min {smallest} and responses_max {largest}: expected two replies or more, and no more at the "
            "least than at the most, such as 4 and 9."
        )
    rng = random.Random(f"{seed} group sizes")
    return [rng.randint(smallest, largest) for _ in range(count)]


def label_metrics(pairs: Sequence[Mapping], noise: float) -> dict[str, float]:
    """What labelers make of pairs: `ceiling`, how often they prefer what is better; `agreement` of two of them."""
    differences = [pair["chosen_score"] - pair["rejected_score"] for pair in pairs]
    right = [win(pair["chosen_score"], pair["rejected_score"]) for pair in pairs]
    chances = [preference(abs(d), noise) for d in differences]
    agreement = 100 * fmean(p * p + (1 - p) * (1 - p) for p in chances)
    return share_of_groups("ceiling", right, [pair["group"] for pair in pairs]) | {"agreement": round(agreement, 2)}


def score_metrics(rankings: Sequence[Mapping]) -> dict[str, float]:
    """The mean gold score of the replies, and of those to each kind of prompt."""
    metrics = mean("gold_score", [score for row in rankings for score in row["scores"]])
    for kind in sorted({row["kind"] for row in rankings}):
        metrics |= mean(f"gold_score_{kind}", [s for row in rankings if row["kind"] == kind for s in row["scores"]])
    return metrics


def help_metrics(rows: Sequence[Mapping], replies: Sequence[Sequence[Completion]]) -> dict[str, float]:
    """`helpful`: the share of all replies that do the whole of what was asked, as the guidelines have it.

    Where it is low, labelers rank what fell apart in sampling, and little is learnt of their taste.
    """
    helps = [
        judge(row, one.text, one.stopped).helpfulness == 1
        for row, own in zip(rows, replies, strict=True)
        for one in own
    ]
    return share("helpful", sum(helps), len(helps))


def write_rows(path, rows: Sequence[Mapping]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def whole_conversations(rows: Sequence[Mapping]) -> list[dict]:
    """Encoded pairs whose `chosen_ids` and `rejected_ids` begin with the prompt, as a reward model reads them."""
    sides = ("chosen_ids", "rejected_ids")
    return [{**row, **{side: row["prompt_ids"] + row[side] for side in sides}} for row in rows]


def token_rows(rows: Sequence[Mapping], *columns: str) -> Dataset:
    """Rows of tokens as a data set with these columns, and `length`, by which rows of about one length are batched."""
    return Dataset.from_list(
        [
            {column: row[column] for column in columns} | {"length": sum(len(row[column]) for column in columns)}
            for row in rows
        ]
    )
