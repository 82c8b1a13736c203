"""The forms in which comparisons are published, each as rankings: a prompt and replies; a lower rank is better.

Known forms: `chosen` and `rejected` (with a `prompt`, with `conversations`, as whole conversations, or as transcripts
of Anthropic's HH); UltraFeedback's `instruction` and scored `completions`; `prompt` and `responses`, the best first;
message trees of Open Assistant.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aji.data import trees
from aji.data.formats import to_conversation
from aji.errors import UserError


FORMS = (
    "chosen and rejected; instruction with completions and their scores; prompt with responses, best first; "
    "message trees with ranks"
)
MAPPED = ("prompt", "chosen", "rejected")
# Where UltraFeedback and its like keep the score of a reply.
SCORES = ("overall_score", "score", "fine-grained_score", "rating")
_HH = re.compile(r"\n\n(Human|Assistant):")
_SPEAKERS = {"Human": "user", "Assistant": "assistant"}


class Unusable(Exception):
    """A row of a known form from which nothing can be learnt; the text is the reason that it counts under."""


@dataclass
class Ranking:
    """Replies to one prompt (messages); of two, that of lower rank was preferred. `truth`: gold scores, if known."""

    prompt: list[dict]
    replies: list[str]
    ranks: list[float]
    truth: list[float] | None = None
    kept: dict[str, str] = field(default_factory=dict)


def to_rankings(row: Mapping[str, Any], where: str, columns: Mapping[str, str] | None = None) -> Iterator[Ranking]:
    """The rankings of a row in any known form: one, or as many as a tree holds.

    `columns` maps prompt, chosen and rejected to columns of the row. Raises `UserError` for a row of no known form,
    and `Unusable` for one that compares nothing.
    """
    row = {key: value for key, value in row.items() if value is not None}
    if columns:
        row = _rename(row, where, columns)
    kept = {key: str(row[key]) for key in ("language", "kind") if key in row}
    if trees.is_tree(row):
        for prompt, replies, ranks in trees.rankings(row, where):
            yield _checked(Ranking(prompt, replies, ranks, kept=kept), where)
    elif "chosen" in row and "rejected" in row:
        yield _checked(_pair(row, where, kept), where)
    elif "instruction" in row and "completions" in row:
        yield _checked(_scored(row, where, kept), where)
    elif "prompt" in row and isinstance(row.get("responses"), list):
        replies = [_reply(reply, where) for reply in row["responses"]]
        yield _checked(
            Ranking(_turns(row["prompt"], where), replies, list(range(len(replies))), row.get("scores"), kept), where
        )
    elif "label" in row:
        raise UserError(
            f"{where}: found one reply with a label, expected two to compare ({FORMS}). Single labels are for KTO, "
            "which this project does not have"
        )
    else:
        raise UserError(
            f"{where}: found the columns {', '.join(row) or '(none)'}, expected one of: {FORMS}. Say which column is "
            "which: --columns '{prompt: COLUMN, chosen: COLUMN, rejected: COLUMN}'"
        )


def _rename(row: Mapping[str, Any], where: str, columns: Mapping[str, str]) -> dict[str, Any]:
    missing = next((column for column in columns.values() if column not in row), None)
    if missing:
        raise UserError(f"{where}: found no column {missing!r} but {', '.join(row)}. Correct --columns")
    return {key: row[column] for key, column in columns.items()}


def _pair(row: Mapping[str, Any], where: str, kept: dict[str, str]) -> Ranking:
    truth = [row["chosen_score"], row["rejected_score"]] if {"chosen_score", "rejected_score"} <= row.keys() else None
    known = row.get("prompt", row.get("conversations"))
    if known is None or (isinstance(known, str) and isinstance(row["chosen"], list) and len(row["chosen"]) > 1):
        # Each side is a whole conversation, whose last turn is the reply.
        sides = [_whole(row[side], side, where) for side in ("chosen", "rejected")]
        if sides[0][:-1] != sides[1][:-1]:
            raise Unusable("prompts_differ")
        return Ranking(sides[0][:-1], [side[-1]["content"] for side in sides], [0, 1], truth, kept)
    replies = [_reply(row[side], where) for side in ("chosen", "rejected")]
    return Ranking(_turns(known, where), replies, [0, 1], truth, kept)


def _whole(value: Any, side: str, where: str) -> list[dict]:
    """The turns of a conversation that ends in a reply, from messages or from a transcript of HH."""
    if isinstance(value, str):
        pieces = _HH.split(value)
        if len(pieces) < 3 or pieces[0].strip():
            raise UserError(
                f"{where}: {side} is a text and there is no prompt, expected a transcript that begins "
                "'\\n\\nHuman: ', or a column prompt"
            )
        speakers = zip(pieces[1::2], pieces[2::2], strict=True)
        value = [{"role": _SPEAKERS[speaker], "content": text.strip()} for speaker, text in speakers]
    turns = _messages(value, where)
    if not turns or turns[-1]["role"] != "assistant" or len(turns) < 2:
        raise Unusable("empty")
    return turns


def _scored(row: Mapping[str, Any], where: str, kept: dict[str, str]) -> Ranking:
    """UltraFeedback (Cui et al. 2023): completions with scores, of which the higher is better."""
    completions = row["completions"]
    if isinstance(completions, str):
        completions = json.loads(completions)
    replies, ranks = [], []
    for number, completion in enumerate(completions, start=1):
        score = next((completion[key] for key in SCORES if completion.get(key) is not None), None)
        if score is None:
            raise UserError(f"{where}: completion {number} has no score, expected one of {', '.join(SCORES)}")
        replies.append(_reply(completion.get("response", completion.get("text")), where))
        ranks.append(-float(score))
    return Ranking(_turns(row["instruction"], where), replies, ranks, None, kept)


def _turns(value: Any, where: str) -> list[dict]:
    """A prompt as messages: from text, messages, or turns of from and value."""
    return _messages(value if isinstance(value, list) else [{"role": "user", "content": value}], where)


def _messages(value: list, where: str) -> list[dict]:
    # A prompt has no reply yet, which a conversation must have: one is put there, and taken away again.
    return to_conversation({"messages": [*value, {"role": "assistant", "content": ""}]}, where)["messages"][:-1]


def _reply(value: Any, where: str) -> str:
    """The text of a reply: a string, a message, or a list that holds one."""
    while isinstance(value, list):
        if not value:
            return ""
        value = value[-1]
    if isinstance(value, Mapping):
        value = value.get("content", value.get("value"))
    if not isinstance(value, str):
        raise UserError(f"{where}: a reply is of type {type(value).__name__}, expected a string or a message")
    return value


def _checked(ranking: Ranking, where: str) -> Ranking:
    if not ranking.prompt or not any(turn["content"].strip() for turn in ranking.prompt):
        raise UserError(f"{where}: found an empty prompt, expected what the replies reply to")
    if ranking.truth is not None and len(ranking.truth) != len(ranking.replies):
        raise UserError(
            f"{where}: found {len(ranking.truth)} scores for {len(ranking.replies)} replies, expected one each"
        )
    return ranking
