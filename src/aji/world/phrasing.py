"""How facts are said and asked for. Questions are split once into train, validation and test wordings."""

import re
from dataclasses import dataclass

from aji.world.facts import COMMON_RELATIONS, LANGUAGES, Fact, read_table
from aji.world.korean import josa
from aji.world.people import PERSON_RELATIONS


RELATIONS = PERSON_RELATIONS + COMMON_RELATIONS

_ARTICLE = re.compile(r"\b([Aa])\(n\) (?=[\"'“‘]?(\w))")
_SENTENCE_START = re.compile(r"(?:^|[.!?] )[\"'“‘]?\{(?:subject|answer)\}")
_SLOT = re.compile(r"\{(subject|answer)\}")


@dataclass(frozen=True)
class Questions:
    """Question templates with a "{subject}" slot; no wording is in two of the splits."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def _read(kind: str, relation: str, language: str) -> tuple[str, ...]:
    rows = read_table(f"phrasing_{language}")
    return tuple(row["text"] for row in rows if row["relation"] == relation and row["kind"] == kind)


def _templates(kind: str) -> dict[str, dict[str, tuple[str, ...]]]:
    return {relation: {language: _read(kind, relation, language) for language in LANGUAGES} for relation in RELATIONS}


STATEMENTS: dict[str, dict[str, tuple[str, ...]]] = _templates("statement")
ANSWERS: dict[str, dict[str, tuple[str, ...]]] = _templates("answer")
# Words to look for in a page that answers: of people, who alone have pages of their own.
ABOUT: dict[str, dict[str, tuple[str, ...]]] = _templates("about")
QUESTIONS: dict[str, dict[str, Questions]] = {
    relation: {
        language: Questions(**{split: _read(split, relation, language) for split in ("train", "validation", "test")})
        for language in LANGUAGES
    }
    for relation in RELATIONS
}


def _article(match: re.Match) -> str:
    return f"{match[1]}n " if match[2].lower() in "aeiou" else f"{match[1]} "


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]


def fill(template: str, fact: Fact, language: str) -> str:
    """Template with {subject} and {answer} filled in, then Korean particles or the English article "a(n)" resolved.

    In English a slot at the start of a sentence gets a capital. Raises KeyError for an unknown language.
    """
    values = {"subject": fact.subject[language], "answer": fact.answer[language]}
    if language == "ko":
        return josa(_SLOT.sub(lambda slot: values[slot[1]], template))
    starts = {match.end() for match in _SENTENCE_START.finditer(template)}
    text = _SLOT.sub(lambda slot: _capitalise(values[slot[1]]) if slot.end() in starts else values[slot[1]], template)
    return _ARTICLE.sub(_article, text)
