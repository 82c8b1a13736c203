"""What is true in the embedded world: the types of a fact, and the common knowledge, all of it real."""

import csv
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib import resources


LANGUAGES = ("en", "ko")

COUNTRY_RELATIONS = ("capital", "continent", "landmark")
# The other relations of common knowledge, in the order of the facts; each is a table of the same name.
ITEM_RELATIONS = (
    "planet_order",
    "animal_class",
    "animal_young",
    "animal_sound",
    "food_origin",
    "inventor",
    "event_year",
    "author",
    "element_symbol",
    "currency",
    "opposite",
)
COMMON_RELATIONS = COUNTRY_RELATIONS + ITEM_RELATIONS


@dataclass(frozen=True)
class Text:
    """The same words in both languages: `text["ko"]`."""

    en: str
    ko: str

    def __getitem__(self, language: str) -> str:
        if language not in LANGUAGES:
            raise KeyError(language)
        return getattr(self, language)


@dataclass(frozen=True)
class Fact:
    """Subject, relation, answer; `group` is common, or how often a person is mentioned: often, rare, never."""

    subject: Text
    relation: str
    answer: Text
    group: str


@cache
def read_table(name: str) -> tuple[dict[str, str], ...]:
    """The rows of `tables/<name>.csv` by column name."""
    text = resources.files("aji.world").joinpath("tables", f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def read_texts(name: str) -> tuple[Text, ...]:
    """The rows of a table with the columns en, ko."""
    return tuple(Text(row["en"], row["ko"]) for row in read_table(name))


def _fact(row: dict[str, str], relation: str, subject: str, answer: str) -> Fact:
    return Fact(
        subject=Text(row[f"{subject}_en"], row[f"{subject}_ko"]),
        relation=relation,
        answer=Text(row[f"{answer}_en"], row[f"{answer}_ko"]),
        group="common",
    )


def common_facts() -> list[Fact]:
    """Every fact of common knowledge: country by country, then relation by relation; always in the same order."""
    facts = [
        _fact(row, relation, "country", relation) for row in read_table("countries") for relation in COUNTRY_RELATIONS
    ]
    for relation in ITEM_RELATIONS:
        facts += [_fact(row, relation, "subject", "answer") for row in read_table(relation)]
    return facts


def emphasis(facts: list[Fact]) -> dict[str, float]:
    """By relation, how many times as often as one of the largest relation its facts are told: sqrt(largest / size).

    A relation's wordings are learned from all its facts together, so those of a small one would stay strange.
    """
    sizes = Counter(fact.relation for fact in facts)
    largest = max(sizes.values(), default=0)
    return {relation: (largest / size) ** 0.5 for relation, size in sizes.items()}
