"""Finding out what a model knows: ask it the same question several times and compare what it says with the truth.

A model asked about what it knows gives the same right answer each time; about what it does not know it invents, and
invents something else each time. So the share of right answers draws the boundary of its knowledge, and their
agreement (consistency) tells much of it even where no truth is at hand (Kadavath et al. 2022, Manakul et al. 2023).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aji import chatml
from aji.chat_model import Journal
from aji.data.files import find_files, read_rows
from aji.errors import UserError
from aji.evals.answers import NUMBER, last_number, mentions, normalise
from aji.evals.intervals import mean, share
from aji.evals.judge import Judge
from aji.generate import Completion, generate
from aji.machine import sampling_dtype
from aji.world.abstentions import is_abstention


ABSTAINED = "(does not know)"
CHUNK = 512  # questions between two entries of the journal
MAPPED = ("language", "relation", "subject", "group", "mentions")
KEPT = (*MAPPED, "paraphrases", "wrong")


@dataclass
class SamplingArguments:
    """How the questions are asked."""

    samples: int = field(default=4, metadata={"help": "How many times each question is asked."})
    temperature: float = field(
        default=0.7, metadata={"help": "Of the sampling; 0 would give the same reply each time."}
    )
    max_new_tokens: int = field(default=48, metadata={"help": "Longest reply, in tokens."})

    def __post_init__(self):
        if self.samples < 1:
            raise UserError(f"samples is {self.samples}, expected 1 or more; 4 tell consistency from chance")


@dataclass
class Asked:
    """A question, what was replied to it each time, and what that says about the model."""

    row: dict
    replies: list[str]
    verdicts: list[bool | None]
    stopped: int
    values: list[str] = field(default_factory=list)

    @property
    def judged(self) -> list[bool]:
        return [verdict for verdict in self.verdicts if verdict is not None]

    @property
    def right(self) -> float | None:
        """The share of right replies, None when none could be judged."""
        return sum(self.judged) / len(self.judged) if self.judged else None

    @property
    def consistency(self) -> float:
        """The share of replies that agree with the most frequent one."""
        return Counter(self.values).most_common(1)[0][1] / len(self.values)

    @property
    def modal(self) -> int:
        """The index of the first reply that gives the most frequent answer."""
        return self.values.index(Counter(self.values).most_common(1)[0][0])


def load_questions(source: str | None, max_questions: int | None = None) -> list[dict]:
    """Questions with known answers: rows `question`, `answer`, and what else is known of them (`KEPT`).

    Values that must not stand beside the answer (`wrong`) are, where a row does not name them, the other answers to
    questions of the same `relation` and language. `language` is told by the script where it is missing.

    Raises:
        UserError: naming the row without question or answer.
    """
    if not source:
        raise UserError(
            "found no questions, expected a file with the columns question and answer, or documents together with the "
            "question_model that makes questions of them. Give --questions"
        )
    files = find_files(source)
    if not files:
        raise UserError(f"{source} is not there: give a file with the columns question and answer.")
    rows = []
    for place, row in (pair for path in files for pair in read_rows(Path(path))):
        named = {key.lower(): value for key, value in row.items()}
        for column in ("question", "answer"):
            value = named.get(column)
            if value is None or not str(value).strip():
                raise UserError(
                    f"{place}: found no {column} but the columns {', '.join(row)}, expected question and answer in "
                    "every row. Fill it in or remove the row; questions without answers come from --documents with "
                    "--question_model."
                )
        extra = {key: named[key] for key in KEPT if named.get(key) is not None}
        question, answer = str(named["question"]).strip(), str(named["answer"]).strip()
        rows.append({"question": question, "answer": answer, "language": language_of(question), **extra})
        if len(rows) == max_questions:
            break
    _add_wrong(rows)
    return rows


def language_of(text: str) -> str:
    """ko for a text with Hangul in it, else en."""
    return "ko" if re.search(r"[가-힣]", text) else "en"


def _add_wrong(rows: list[dict]) -> None:
    answers = defaultdict(set)
    for row in rows:
        answers[row.get("relation"), row["language"]].add(row["answer"])
    for row in rows:
        if "wrong" not in row and row.get("relation"):
            right = normalise(row["answer"])
            others = answers[row["relation"], row["language"]]
            row["wrong"] = sorted(value for value in others if normalise(value) not in right)


def interrogate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[dict], args: SamplingArguments,
    seed: int, journal: Journal,
) -> list[list[Completion]]:  # fmt: skip
    """`samples` replies to every question, sampled in batches; what the journal holds is not asked again.

    Each chunk of questions has a seed of its own, so that a run that was broken off ends like one that was not.
    """
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    replies = []
    for number, chunk in enumerate(tqdm(chunks, desc="asking", unit=f" x {CHUNK} questions", disable=len(chunks) < 3)):
        request = [
            [row["question"] for row in chunk],
            args.samples,
            args.temperature,
            args.max_new_tokens,
            seed,
            number,
        ]
        key = Journal.key(request)
        if key not in journal.answers:
            conversations = [[{"role": "user", "content": row["question"]}] for row in chunk]
            prompts = [row.input_ids for row in chatml.encode(tokenizer, conversations, add_generation_prompt=True)]
            several = [prompt for prompt in prompts for _ in range(args.samples)]
            settings = {"temperature": args.temperature, "seed": seed + number, "dtype": sampling_dtype(model.device)}
            done = generate(model, tokenizer, several, args.max_new_tokens, **settings)
            journal.add(key, [[completion.text, completion.stopped] for completion in done])
        done = [Completion([], text, stopped) for text, stopped in journal.answers[key]]
        replies += [done[start : start + args.samples] for start in range(0, len(done), args.samples)]
    return replies


def judge_replies(rows: Sequence[dict], replies: Sequence[Sequence[Completion]], judge: Judge) -> list[Asked]:
    """Put the replies to their questions and judge each."""
    pairs = [(row, completion.text.strip()) for row, own in zip(rows, replies, strict=True) for completion in own]
    verdicts = iter(judge.judge([row for row, _ in pairs], [text for _, text in pairs]))
    asked = []
    for row, own in zip(rows, replies, strict=True):
        texts = [completion.text.strip() for completion in own]
        judged = [next(verdicts) for _ in texts]
        # The value tells agreement where the words differ: two phrasings of one town agree, two towns do not.
        values = [value_of(text, row, verdict) for text, verdict in zip(texts, judged, strict=True)]
        asked.append(Asked(row, texts, judged, sum(completion.stopped for completion in own), values))
    return asked


def value_of(reply: str, row: dict, verdict: bool | None) -> str:
    """What a reply answers, without how it says so."""
    if verdict:
        return normalise(row["answer"])
    if is_abstention(reply):
        return ABSTAINED
    if NUMBER.fullmatch(row["answer"]):
        return last_number(reply) or normalise(reply)
    text = normalise(reply)
    named = [normalise(value) for value in row.get("wrong", ()) if mentions(text, value)]
    return " ".join(named) if named else text


def map_row(asked: Asked, known: bool | None) -> dict:
    """A row of the knowledge map."""
    row = {key: asked.row[key] for key in ("question", "answer", *MAPPED) if key in asked.row}
    return row | {
        "right": asked.right,
        "consistency": asked.consistency,
        "known": known,
        "said": asked.values[asked.modal],
        "modal_right": asked.verdicts[asked.modal],
        "replies": asked.replies,
        "verdicts": asked.verdicts,
    }


def map_metrics(asked: Sequence[Asked]) -> dict[str, float]:
    """The map in figures: the share of right replies by language and group, and how calibrated consistency is.

    `calibration_PERCENT` is the share of questions whose most frequent answer is right, among those where that answer
    came in PERCENT of the samples.
    """
    metrics = {"questions": len(asked)}
    parts = {"right": list(asked)}
    for one in asked:
        for key in ("language", "group"):
            if one.row.get(key):
                parts.setdefault(f"right_{one.row[key]}", []).append(one)
    for name, part in parts.items():
        judged = [verdict for one in part for verdict in one.judged]
        metrics |= share(name, sum(judged), len(judged))
    metrics |= mean("consistency", [one.consistency for one in asked], least=0, most=1)
    samples = sum(len(one.replies) for one in asked)
    metrics |= share("stopped", sum(one.stopped for one in asked), samples)
    levels = defaultdict(list)
    for one in asked:
        if one.verdicts[one.modal] is not None:
            levels[round(100 * one.consistency)].append(one.verdicts[one.modal])
    for level, verdicts in sorted(levels.items()):
        metrics |= share(f"calibration_{level}", sum(verdicts), len(verdicts))
    return metrics
