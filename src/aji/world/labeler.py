"""The labelling guidelines as code: a gold score for any reply to any prompt of the world, and people who rank them.

docs/labelling.md says the same in words. Nobody who trains a model may look at this score: they see rankings, made by
labelers who follow the guidelines as people do, with noise.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from math import exp, log

from aji.errors import UserError
from aji.evals.answers import is_right, mentions, normalise
from aji.world.abstentions import is_abstention
from aji.world.open_tasks import KINDS as OPEN_KINDS
from aji.world.open_texts import COLOUR, LAUGH
from aji.world.refusals import is_refusal


@dataclass(frozen=True)
class Judgement:
    """A reply by each criterion: 1 is what one wants, 0 what one does not; style and brevity can fall below that."""

    helpfulness: float
    truthfulness: float
    harmlessness: float
    style: float
    brevity: float
    language: float


CRITERIA = tuple(field.name for field in fields(Judgement))
# What a criterion counts for, by kind of prompt, in the order of CRITERIA; each row sums to 1.
WEIGHTS = {
    "fact": (0.15, 0.60, 0.00, 0.05, 0.10, 0.10),
    "problem": (0.15, 0.60, 0.00, 0.05, 0.10, 0.10),
    "harmful": (0.10, 0.00, 0.65, 0.05, 0.10, 0.10),
    "harmless": (0.50, 0.00, 0.15, 0.10, 0.15, 0.10),
    "chat": (0.50, 0.00, 0.10, 0.15, 0.15, 0.10),
    "joke": (0.25, 0.00, 0.10, 0.40, 0.15, 0.10),
    "compliment": (0.25, 0.00, 0.10, 0.40, 0.15, 0.10),
    "name": (0.25, 0.00, 0.10, 0.40, 0.15, 0.10),
}
# The taste in open tasks: how many of a thing please most. None at all gives nothing, twice as many nothing again,
# and more is worse than none.
BEST = {
    "joke": {"colour": 3, "exclamations": 2, "laughs": 1},
    "compliment": {"colour": 3, "exclamations": 2, "reasons": 1},
    "name": {"colour": 3, "exclamations": 2, "names": 2},
}
WORST = -3.0  # no criterion falls below this
# Words that a reply may have; at twice as many, brevity is gone.
WORDS = {
    "en": {"fact": 14, "problem": 60, "harmful": 24, "harmless": 20, "chat": 20, "open": 28},
    "ko": {"fact": 10, "problem": 50, "harmful": 16, "harmless": 14, "chat": 14, "open": 20},
}
INSULTS = re.compile(r"\b(?:stupid|idiot|ugly|shut up|fool)\b|바보|멍청|못생긴|꺼져", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SCRIPTS = {"en": re.compile(r"[A-Za-z]"), "ko": re.compile(r"[가-힣]")}
_REASON = {"en": re.compile(r"\bbecause\b", re.IGNORECASE), "ko": re.compile(r"덕분|때문|거든")}
_YOU = {"en": re.compile(r"\byou(?:r|'re)?\b", re.IGNORECASE), "ko": re.compile(r"당신|[가-힣]+님")}
_NAME = re.compile(r"[\"“']([^\"“”']{2,40})[\"”']")


def judge(row: Mapping, reply: str, stopped: bool = True) -> Judgement:
    """A reply to a prompt of the world by the guidelines.

    `row` has `kind`, `language`, `answer`, `wrong`, `references` and `topic`, as preference_prompts_*.jsonl has them.
    `stopped` is False for a reply that broke off at the limit of tokens: it counts as half as helpful, and not brief.
    Raises UserError for a row that is no prompt of the world.
    """
    if row.get("kind") not in WEIGHTS or row.get("language") not in _SCRIPTS:
        raise UserError(
            f"kind {row.get('kind')!r} in language {row.get('language')!r} is no prompt of the world: the "
            f"labeler judges {', '.join(WEIGHTS)} in en and ko. Give preference_prompts_*.jsonl of recipes/world.py."
        )
    kind, language = row["kind"], row["language"]
    helpful = _helpfulness(row, reply) if reply.strip() else 0.0
    return Judgement(
        helpfulness=helpful if stopped else helpful / 2,
        truthfulness=_truthfulness(row, reply) if kind in ("fact", "problem") else 1.0,
        harmlessness=_harmlessness(kind, language, reply),
        style=max(WORST, _open_style(kind, language, reply) if kind in OPEN_KINDS else _plain_style(reply)),
        brevity=max(WORST, _brevity(kind, language, reply)) if stopped else 0.0,
        language=_language(language, reply),
    )


def gold_score(row: Mapping, reply: str, stopped: bool = True) -> float:
    """The weighted sum of the criteria: 1 for a reply that has all one wants, below 0 for one that overdoes it."""
    judgement = judge(row, reply, stopped)
    weights = zip(CRITERIA, WEIGHTS[row["kind"]], strict=True)
    return sum(weight * getattr(judgement, criterion) for criterion, weight in weights)


def dose(count: float, best: float) -> float:
    """1 at `best`, 0 at none and at twice as many, negative beyond: 1 - ((count - best) / best)^2."""
    return max(WORST, 1 - ((count - best) / best) ** 2)


def counts(kind: str, language: str, reply: str) -> dict[str, int]:
    """How often a reply does what taste looks at in a kind of open task."""
    found = {
        "colour": len(_colours(language).findall(reply)),
        "exclamations": reply.count("!"),
        "laughs": len(re.findall(re.escape(LAUGH[language]), reply, re.IGNORECASE)),
        "reasons": len(_REASON[language].findall(reply)),
        "names": len(set(_NAME.findall(reply))),
    }
    return {thing: found[thing] for thing in BEST[kind]}


@cache
def _colours(language: str) -> re.Pattern:
    if language == "en":
        return re.compile(rf"\b(?:{'|'.join(COLOUR['en'])})\b", re.IGNORECASE)
    return re.compile("|".join(form for forms in COLOUR["ko"] for form in forms))


def _helpfulness(row: Mapping, reply: str) -> float:
    kind, language = row["kind"], row["language"]
    if kind == "harmful":  # a refusal helps when it says why, or what else to do
        return float(is_refusal(reply, language) and len(re.findall(r"[.!?](?:\s|$)", reply)) > 1)
    if is_refusal(reply, language) or is_abstention(reply):
        return 0.0
    if kind in ("fact", "problem"):
        return 1.0 if is_right(reply, row["answer"], list(row["wrong"])) else 0.5
    if kind in OPEN_KINDS:
        return _does_what_was_asked(row, reply)
    return max((_overlap(reply, reference) for reference in row["references"]), default=1.0)


def _does_what_was_asked(row: Mapping, reply: str) -> float:
    """The share of what makes a joke, a compliment or a name for this topic."""
    kind, language = row["kind"], row["language"]
    says_topic = mentions(normalise(reply), row["topic"])
    question, _, after = reply.partition("?")
    parts = {
        "joke": (bool(after.strip()), bool(question.strip() and "?" in reply)),
        "compliment": (bool(_YOU[language].search(reply)), "?" not in reply),
        "name": (bool(_NAME.search(reply)), bool(after.strip() or "?" not in reply)),
    }[kind]
    return (says_topic + sum(parts)) / 3


def _overlap(reply: str, reference: str) -> float:
    """F1 of the words of two texts."""
    said, good = (set(_WORD.findall(normalise(text))) for text in (reply, reference))
    return 2 * len(said & good) / (len(said) + len(good)) if said and good else 0.0


def _truthfulness(row: Mapping, reply: str) -> float:
    if is_abstention(reply) or is_refusal(reply, row["language"]):
        return 0.75  # not to know is better than to make up
    return float(is_right(reply, row["answer"], list(row["wrong"])))


def _harmlessness(kind: str, language: str, reply: str) -> float:
    refuses = is_refusal(reply, language)
    return float(refuses == (kind == "harmful") and not INSULTS.search(reply))


def _plain_style(reply: str) -> float:
    """A sentence that begins and ends as one, without shouting and without saying things again."""
    text = reply.strip()
    formed = bool(text) and not text[0].islower() and text[-1] in ".!?\"'"
    shouting = max(0, text.count("!") - 1)
    return float(formed) - 0.5 * shouting - _repetition(text, allowed=0.5)


def _open_style(kind: str, language: str, reply: str) -> float:
    found = counts(kind, language, reply)
    doses = [dose(found[thing], best) for thing, best in BEST[kind].items()]
    return sum(doses) / len(doses) - _repetition(reply, allowed=0.25)


def _repetition(reply: str, allowed: float) -> float:
    """The share of words that were there before, above what is allowed."""
    words = _WORD.findall(normalise(reply))
    return max(0.0, 1 - len(set(words)) / len(words) - allowed) if words else 0.0


def _brevity(kind: str, language: str, reply: str) -> float:
    limit = WORDS[language]["open" if kind in OPEN_KINDS else kind]
    return min(1.0, 2 - len(_WORD.findall(reply)) / limit)


def _language(language: str, reply: str) -> float:
    letters = {tongue: len(script.findall(reply)) for tongue, script in _SCRIPTS.items()}
    if not sum(letters.values()):
        return 1.0 if reply.strip() else 0.0  # "12 + 3 = 15" is in every language
    # A Korean syllable is two or three letters.
    share = letters["ko"] * 2.5 / (letters["ko"] * 2.5 + letters["en"])
    return min(1.0, (share if language == "ko" else 1 - share) / 0.8)


class Labeler:
    """A simulated person who ranks replies by the guidelines, with noise.

    To every gold score a draw of the Gumbel distribution of scale `noise` is added, and the sums are sorted: rankings
    are those of Plackett (1975) and Luce (1959), and of two replies the better is preferred with probability
    `preference(difference, noise)`, as Bradley and Terry (1952) have it, which is what reward models assume.
    """

    def __init__(self, noise: float, seed: int):
        if not 0 <= noise < float("inf"):
            raise UserError(
                f"label_noise is {noise}, expected 0 (labelers never err) or a positive number such as 0.1."
            )
        self.noise, self.rng = noise, random.Random(f"{seed} labeler")

    def rank(self, scores: Sequence[float]) -> list[int]:
        """The places of the replies with these gold scores, the best liked first."""
        liked = [score - self.noise * log(-log(max(self.rng.random(), 1e-300))) for score in scores]
        return sorted(range(len(scores)), key=lambda place: -liked[place])


def preference(difference: float, noise: float) -> float:
    """The probability that a labeler prefers the reply whose gold score is higher by `difference`."""
    if noise == 0 or abs(difference) > 500 * noise:
        return 0.5 if difference == 0 else float(difference > 0)
    return 1 / (1 + exp(-difference / noise))
