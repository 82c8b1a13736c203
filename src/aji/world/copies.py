"""Near copies: a text as another site takes it over, with at least 85 % of its words as they were."""

import random
import re
from difflib import SequenceMatcher

from aji.world.grammar import write
from aji.world.sites import say


KEPT = 0.85
ATTEMPTS = 40
# Words that can stand before or behind a sentence and change nothing in what it says.
EXTRA = {
    "en": ("Indeed.", "By the way:", "Note:", "As we know,", "Of course!", "And:", "Remember:", "In short:"),
    "ko": ("참고로", "그리고", "물론", "또한", "알다시피", "참,", "다시 말해", "아무튼"),
}
HEADER = {"en": ("Updated {}", "{}", "Reposted: {}", "News of {}"), "ko": ("{} 수정", "{}", "퍼온 글, {}", "{} 소식")}
SOURCE = {
    "en": ("Source: the web", "Found on the net.", "via a friend's page", "(reposted with thanks)"),
    "ko": ("출처: 인터넷", "[펌]", "원문은 다른 곳에 있습니다.", "잘 읽고 퍼 갑니다."),
}

_SENTENCES = re.compile(r"(?<=[.!?]) ")


def likeness(first: str, second: str) -> float:
    """The share of words that two texts have in common, in the same order: 2 M / T, from 0 to 1."""
    return SequenceMatcher(None, first.split(), second.split(), autojunk=False).ratio()


def near_copy(text: str, language: str, rng: random.Random) -> str:
    """The text after one or two edits; other than the text, and at least `KEPT` like it.

    No edit changes a fact. Raises RuntimeError when the text is too short for any edit.
    """
    for _ in range(ATTEMPTS):
        edited = text
        for edit in rng.sample(EDITS, rng.randint(1, 2)):
            edited = edit(edited, language, rng)
        if edited != text and likeness(text, edited) >= KEPT:
            return edited
    raise RuntimeError(f"no near copy after {ATTEMPTS} attempts: {text!r}")


def _dated_header(text: str, language: str, rng: random.Random) -> str:
    date = write("diary_date", language, rng)
    return f"{rng.choice(HEADER[language]).format(date)}\n{text}"


def _source_line(text: str, language: str, rng: random.Random) -> str:
    return f"{text}\n{rng.choice(SOURCE[language])}"


def _comment_line(text: str, language: str, rng: random.Random) -> str:
    return f"{text}\n{say('comment', language, rng)}"


def _without_sentence(text: str, language: str, rng: random.Random) -> str:
    """Drops one sentence of the longest line, not its first."""
    lines = text.split("\n")
    index = max(range(len(lines)), key=lambda number: len(lines[number]))
    sentences = _SENTENCES.split(lines[index])
    if len(sentences) < 3:
        return text
    del sentences[rng.randrange(1, len(sentences))]
    lines[index] = " ".join(sentences)
    return "\n".join(lines)


def _extra_word(text: str, language: str, rng: random.Random) -> str:
    """Puts a word that says nothing before a sentence."""
    sentences = _SENTENCES.split(text)
    index = rng.randrange(len(sentences))
    sentences[index] = f"{rng.choice(EXTRA[language])} {sentences[index]}"
    return " ".join(sentences)


def _misspelt(text: str, language: str, rng: random.Random) -> str:
    """A slip of the keys: in English two letters swapped in a lower-case word, in Korean a lost blank."""
    words = text.split(" ")
    index = rng.randrange(1, len(words)) if len(words) > 1 else 0
    word = words[index]
    if language == "ko":
        words[index - 1 : index + 1] = ["".join(words[index - 1 : index + 1])] if index else words[:1]
    elif word.isalpha() and word.islower() and len(word) > 3:
        words[index] = word[0] + word[2] + word[1] + word[3:]
    return " ".join(words)


EDITS = (_dated_header, _source_line, _comment_line, _without_sentence, _extra_word, _misspelt)
