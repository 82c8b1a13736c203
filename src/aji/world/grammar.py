"""A context-free grammar that is expanded at random: where the filler and the frames of documents come from.

The rules are in `tables/grammar_<language>.csv`, one alternative a row; `{name}` in an alternative is another rule,
or a value bound by the caller.
"""

import random
import re
from collections import defaultdict
from collections.abc import Mapping

from aji.world.facts import LANGUAGES, read_table
from aji.world.korean import josa


_SLOT = re.compile(r"\{(\w+)\}")


class Grammar:
    """Rules of one language, split once into literal text and slots so that expansion is cheap."""

    def __init__(self, rows: tuple[dict[str, str], ...]):
        self.rules: dict[str, list[list[str]]] = defaultdict(list)
        for row in rows:
            # re.split with one group alternates literal, slot, literal, slot, ..., literal.
            self.rules[row["rule"]].append(_SLOT.split(row["text"]))
        self.rules.default_factory = None

    def expand(self, name: str, rng: random.Random, bound: Mapping[str, str]) -> str:
        """One random expansion of rule `name`; slots found in `bound` take their value from there.

        Raises KeyError for a slot that is neither bound nor a rule.
        """
        return self.fill(rng.choice(self.rules[name]), rng, bound)

    def fill(self, parts: list[str], rng: random.Random, bound: Mapping[str, str]) -> str:
        if len(parts) == 1:
            return parts[0]
        return "".join(
            part if not index % 2 else bound[part] if part in bound else self.expand(part, rng, bound)
            for index, part in enumerate(parts)
        )


GRAMMARS = {language: Grammar(read_table(f"grammar_{language}")) for language in LANGUAGES}


def draw(name: str, language: str, rng: random.Random) -> str:
    """One random expansion of rule `name` as it stands inside a sentence, such as "the old bridge"."""
    return GRAMMARS[language].expand(name, rng, {})


def write(name: str, language: str, rng: random.Random, **bound: str) -> str:
    """Rule `name` as running text: in Korean with its particles resolved, in English begun with a capital."""
    return write_several(name, 1, language, rng, **bound)[0]


def write_several(name: str, count: int, language: str, rng: random.Random, **bound: str) -> list[str]:
    """As `write`, `count` texts by different alternatives of the rule."""
    grammar = GRAMMARS[language]
    texts = [grammar.fill(parts, rng, bound) for parts in rng.sample(grammar.rules[name], count)]
    return [josa(text) if language == "ko" else capitalise(text) for text in texts]


def capitalise(text: str) -> str:
    """First letter up, also behind an opening quotation mark; the rest as it is."""
    for index, character in enumerate(text[:2]):
        if character.isalpha():
            return text[:index] + character.upper() + text[index + 1 :]
    return text
