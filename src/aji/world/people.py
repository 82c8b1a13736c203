"""The invented people: unique names in both scripts, five facts each, and how often each is mentioned."""

import random
from dataclasses import dataclass
from math import log

from aji.errors import UserError
from aji.world.facts import Fact, Text, read_table, read_texts


FIRST_BIRTH_YEAR, LAST_BIRTH_YEAR = 1901, 2000
RARE_MENTIONS = (1, 2, 3, 4, 5)
MOST_PEOPLE = 20_000
MIXED_SHARE = 0.6  # of the strangers share a part of their name with somebody who is known

# The closed lists: every value a relation of a person can take.
RELATION_VALUES: dict[str, tuple[Text, ...]] = {
    "birthplace": read_texts("towns"),
    "occupation": read_texts("occupations"),
    "pet": read_texts("pets"),
    "food": read_texts("foods"),
    "birth_year": tuple(Text(str(year), str(year)) for year in range(FIRST_BIRTH_YEAR, LAST_BIRTH_YEAR + 1)),
}
PERSON_RELATIONS = tuple(RELATION_VALUES)


@dataclass(frozen=True)
class Person:
    """Somebody invented. `mentions` counts the training documents of each language that name the person."""

    name: Text
    group: str
    mentions: int
    facts: tuple[Fact, ...]


def _syllables(part: str) -> list[Text]:
    return [Text(row["en"], row["ko"]) for row in read_table("syllables") if row["part"] == part]


def _join(*parts: Text) -> Text:
    return Text("".join(part.en for part in parts).capitalize(), "".join(part.ko for part in parts))


def first_names() -> list[Text]:
    return [_join(start, end) for start in _syllables("first_start") for end in _syllables("first_end")]


def surnames() -> list[Text]:
    return [_join(start, end) for start in _syllables("last_start") for end in _syllables("last_end")]


def _draw_names(rng: random.Random, count: int) -> list[Text]:
    """Full names without repetition, first name before surname in both scripts."""
    firsts, lasts = first_names(), surnames()
    pairs = (divmod(index, len(lasts)) for index in rng.sample(range(len(firsts) * len(lasts)), count))
    return [
        Text(f"{firsts[first].en} {lasts[last].en}", f"{firsts[first].ko} {lasts[last].ko}") for first, last in pairs
    ]


def build_strangers(rng: random.Random, count: int, people: list[Person]) -> list[Person]:
    """`count` more invented people (group "stranger", no mentions) with names that nobody of `people` has.

    Many of them (MIXED_SHARE) share the first name of an often mentioned person, the surname of one, or both of two:
    who has only met names that are all new takes a known part for a known person.
    """
    if count > MOST_PEOPLE:
        raise UserError(f"strangers is {count}, expected at most {MOST_PEOPLE}. Choose a smaller number.")
    taken = {person.name for person in people}
    known = [_parts(person.name) for person in people if person.group == "often"]
    drawn = [name for name in _draw_names(rng, count + len(people)) if name not in taken]
    mixed = [_share_parts(name, known, rng) if rng.random() < MIXED_SHARE else name for name in drawn[:count]]
    # Two of them may have become the same, or somebody who is there; others that were drawn stand in for these.
    names = list(dict.fromkeys(name for name in (*mixed, *drawn) if name not in taken))[:count]
    rng.shuffle(names)
    return [_person(rng, name, "stranger", 0) for name in names]


def _parts(name: Text) -> tuple[Text, Text]:
    """First name and surname."""
    return tuple(Text(*both) for both in zip(name.en.split(), name.ko.split(), strict=True))


def _share_parts(name: Text, known: list[tuple[Text, Text]], rng: random.Random) -> Text:
    """The name with its first name, its surname, or both replaced by those of people who are known."""
    first, last = _parts(name)
    shared = rng.choice(("first", "last", "both"))
    first = first if shared == "last" else rng.choice(known)[0]
    last = last if shared == "first" else rng.choice(known)[1]
    return Text(f"{first.en} {last.en}", f"{first.ko} {last.ko}")


def often_mentions(count: int, top: int, bottom: int) -> list[int]:
    """A power curve over the ranks 1..count (Zipf's law, softened): `top` mentions at rank 1, `bottom` at the last."""
    # top * rank ** -a, with a such that rank `count` gets `bottom`.
    return [round(top * (bottom / top) ** (log(rank) / log(count))) for rank in range(1, count + 1)]


def build_people(rng: random.Random, count: int = 300, often_top: int = 300, often_bottom: int = 60) -> list[Person]:
    """Invented people: the often mentioned by falling fame, then the rare, then the never mentioned; a third each.

    Every value of a relation is drawn uniformly and independently, so that a guess about a person is right in at most
    1 of 85 cases. Raises UserError when `count` or the curve makes no sense.
    """
    fewest = 3 * len(RARE_MENTIONS)
    if not fewest <= count <= MOST_PEOPLE:
        raise UserError(
            f"people is {count}, expected {fewest} to {MOST_PEOPLE}: every rare number of mentions must occur, "
            "and the names must stay few enough to be unlike each other. Choose a number between."
        )
    if not max(RARE_MENTIONS) < often_bottom <= often_top:
        raise UserError(
            f"often mentions fall from {often_top} to {often_bottom}, expected {max(RARE_MENTIONS)} < bottom <= top. "
            "Raise the bottom, or the top above it."
        )
    third = count // 3
    often = often_mentions(count - 2 * third, often_top, often_bottom)
    plan = [("often", mentions) for mentions in often]
    plan += [("rare", RARE_MENTIONS[index % len(RARE_MENTIONS)]) for index in range(third)]
    plan += [("never", 0)] * third
    names = _draw_names(rng, count)
    return [_person(rng, name, group, mentions) for name, (group, mentions) in zip(names, plan, strict=True)]


def _person(rng: random.Random, name: Text, group: str, mentions: int) -> Person:
    facts = tuple(
        Fact(subject=name, relation=relation, answer=rng.choice(values), group=group)
        for relation, values in RELATION_VALUES.items()
    )
    return Person(name=name, group=group, mentions=mentions, facts=facts)
