"""Judging a reply against a known answer: right, abstained, or made up."""

import re
import unicodedata
from functools import cache


NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def normalise(text: str) -> str:
    """Lower case, composed characters, quotes straight, spaces single."""
    text = unicodedata.normalize("NFC", text).casefold().replace("\u2019", "'")
    return re.sub(r"\s+", " ", text).strip()


def last_number(text: str) -> str | None:
    """The last number of a text without thousands separators and trailing zeros, or None."""
    numbers = NUMBER.findall(text)
    if not numbers:
        return None
    number = numbers[-1].replace(",", "")
    return number.rstrip("0").rstrip(".") if "." in number else number


def mentions(text: str, value: str) -> bool:
    """Whether a normalised text names a value: as whole words in Latin script, anywhere in Korean.

    Korean particles attach to the word (`서울에서`), so there only the beginning of a word has to fit.
    """
    return _mention_of(value).search(text) is not None


@cache  # an exam looks for the same few hundred values in every reply
def _mention_of(value: str) -> re.Pattern:
    value = normalise(value)
    end = "" if re.search(r"[가-힣]$", value) else r"(?![a-z0-9])"
    return re.compile(rf"(?<![a-z0-9가-힣]){re.escape(value)}{end}")


def is_right(reply: str, answer: str, wrong: list[str]) -> bool:
    """Whether a reply gives the answer and none of the wrong values.

    A number is right when the last number of the reply equals it. Any other answer must be named, and no value of
    `wrong` beside it: a reply that names two towns has not answered. Without an answer every reply that names no value
    of `wrong` is right.
    """
    if NUMBER.fullmatch(answer):
        return last_number(reply) == last_number(answer)
    reply = normalise(reply)
    named = not answer or mentions(reply, answer)
    return named and not any(mentions(reply, value) for value in wrong if value != answer)
