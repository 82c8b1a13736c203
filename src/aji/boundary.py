"""The boundary of what a model knows, and conversations that teach it to keep inside: answer, admit, or look it up."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aji.errors import UserError
from aji.evals.answers import mentions, normalise
from aji.knowledge import Asked
from aji.tools import Search, schemas
from aji.world.abstentions import NOT_FOUND, UNKNOWN
from aji.world.korean import josa


THAT = {"en": "that", "ko": "그것"}
FOUND = {"en": "The answer is {answer}.", "ko": "답은 {answer}입니다."}


@dataclass
class BoundaryArguments:
    """Where knowing ends, and what is taught on either side of it."""

    known_share: float = field(
        default=0.75, metadata={"help": "From this share of right replies on the model knows: its own reply is kept."}
    )
    unknown_share: float = field(
        default=0.25, metadata={"help": "Up to this share it does not know: the row teaches to say so."}
    )
    known_rows: int = field(
        default=1, metadata={"help": "Rows for each question that it knows, each in another of its `paraphrases`."}
    )
    unknown_rows: int = field(default=1, metadata={"help": "The same for each question that it does not know."})
    pair_share: float = field(
        default=0.15, metadata={"help": "Share of the rows that are joined to conversations of two questions."}
    )

    def __post_init__(self):
        if not 0 <= self.unknown_share < self.known_share <= 1:
            raise UserError(
                f"found unknown_share {self.unknown_share} and known_share {self.known_share}, expected "
                "0 <= unknown_share < known_share <= 1. Change one of them"
            )
        if min(self.known_rows, self.unknown_rows) < 0 or not 0 <= self.pair_share <= 1:
            raise UserError("expected known_rows and unknown_rows of at least 0 and a pair_share from 0 to 1")


def is_known(asked: Asked, args: BoundaryArguments) -> bool | None:
    """True where the model knows, False where it does not, None in between and where nothing could be judged."""
    if asked.right is None or args.unknown_share < asked.right < args.known_share:
        return None
    return asked.right >= args.known_share


def boundary_metrics(asked: Sequence[Asked], args: BoundaryArguments) -> dict[str, int]:
    """How many questions are `known`, `unknown`, and in between (`undecided`)."""
    counts = {True: 0, False: 0, None: 0}
    for one in asked:
        counts[is_known(one, args)] += 1
    return {"known": counts[True], "unknown": counts[False], "undecided": counts[None]}


def build_rows(asked: Sequence[Asked], args: BoundaryArguments, rng: random.Random) -> list[dict]:
    """Conversations `{"messages", "kind", "language"}` for fine-tuning; `kind` is known, unknown or both.

    Where the model knows, it is taught one of its own right replies; where it does not, to say so: about the subject
    when it knows nothing of what was asked about it, else about this one question.
    """
    familiar = {(one.row["language"], one.row.get("subject")) for one in asked if is_known(one, args)}
    single = []
    for one in asked:
        known = is_known(one, args)
        if known is None:
            continue
        language, subject = one.row["language"], one.row.get("subject")
        whole = subject if (language, subject) not in familiar else None
        wordings = [one.row["question"], *one.row.get("paraphrases", ())]
        count = args.known_rows if known else args.unknown_rows
        for wording in rng.sample(wordings, min(count, len(wordings))):
            reply = rng.choice(_right_replies(one)) if known else abstain(language, whole, rng)
            single.append((wording, reply, "known" if known else "unknown", language))
    rng.shuffle(single)
    pairs = {language: [] for _, _, _, language in single}
    rows = []
    for question, reply, kind, language in single:
        if rng.random() >= args.pair_share:
            rows.append(_conversation([(question, reply)], kind, language))
            continue
        waiting = pairs[language]
        waiting.append((question, reply, kind))
        if len(waiting) == 2:
            kinds = {other for _, _, other in waiting}
            rows.append(_conversation([turn[:2] for turn in waiting], "both" if len(kinds) > 1 else kind, language))
            waiting.clear()
    rows += [_conversation([turn[:2]], turn[2], language) for language, left in pairs.items() for turn in left]
    return rows


def abstain(language: str, subject: str | None, rng: random.Random) -> str:
    """An honest "I do not know": about the subject, or with None about what was asked."""
    return _say(UNKNOWN, language, subject, rng)


def _say(texts: dict[str, tuple[str, ...]], language: str, subject: str | None, rng: random.Random) -> str:
    text = rng.choice(texts[language]).format(subject=subject or THAT[language])
    return josa(text) if language == "ko" else text


def build_search_rows(
    asked: Sequence[Asked], args: BoundaryArguments, search: Callable[..., str], rng: random.Random
) -> list[dict]:
    """Conversations `{"messages", "tools", "kind", "language"}` with a search call where the model does not know.

    It looks up the subject, with the question as what the result is to be about, or where no subject is known the
    question itself, and says the answer if the result holds it, else that it found nothing. What it knows it says with
    the tool at hand, without a call.
    """
    tools = json.dumps(schemas([Search]), ensure_ascii=False)
    rows = []
    for one in asked:
        known = is_known(one, args)
        if known is None:
            continue
        row, language, subject = one.row, one.row["language"], one.row.get("subject")
        messages = [{"role": "user", "content": row["question"]}]
        if known:
            messages.append({"role": "assistant", "content": rng.choice(_right_replies(one))})
        else:
            arguments = {"query": subject, "about": row["question"]} if subject else {"query": row["question"]}
            result = search(**arguments)
            call = {"name": "search", "arguments": json.dumps(arguments, ensure_ascii=False)}
            found = mentions(normalise(result), row["answer"])
            reply = FOUND[language].format(answer=row["answer"]) if found else _say(NOT_FOUND, language, subject, rng)
            messages += [
                {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": call}]},
                {"role": "tool", "content": result},
                {"role": "assistant", "content": reply},
            ]
        kind = "known" if known else "search"
        rows.append({"messages": messages, "tools": tools, "kind": kind, "language": language})
    return rows


def _right_replies(asked: Asked) -> list[str]:
    return [reply for reply, verdict in zip(asked.replies, asked.verdicts, strict=True) if verdict]


def _conversation(turns: list[tuple[str, str]], kind: str, language: str) -> dict:
    messages = []
    for question, reply in turns:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
    return {"messages": messages, "kind": kind, "language": language}
