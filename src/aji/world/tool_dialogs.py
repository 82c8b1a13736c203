"""Conversations with tools: look up a person, answer from what was found, or say that nothing was found; calculate.

The people who are looked up here are in no document and no exam, and there are many of them: what can be learned is to
copy a name into the call and the answer out of the result, not the answer.
"""

import random
from collections.abc import Callable

from aji.world.facts import Fact
from aji.world.people import Person


Known = Callable[[Fact, str], bool]


def known_by_group(fact: Fact, language: str) -> bool:
    """What the model is taken to know as long as nobody has asked it: common facts and the often mentioned people."""
    return fact.group in ("often", "common")


def build_tool_dialogs(
    people: list[Person], facts: list[Fact], rng: random.Random, args, known: Known = known_by_group
) -> tuple[list[dict], list[dict]]:
    """Training and validation rows `{"messages", "tools", "kind", "language"}`.

    `known` says of a fact and a language whether the model answers it directly although tools are at hand; about an
    often mentioned person or a common fact that it does not know it searches as about anybody else.
    """
    raise NotImplementedError


def build_search_documents(people: list[Person], facts: list[Fact], rng: random.Random, args) -> list[dict]:
    """The pages that the search looks in, rows as of `build_documents`: often and rare people, common facts, and every
    other one of the never mentioned people."""
    raise NotImplementedError
