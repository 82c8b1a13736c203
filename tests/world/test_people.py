import random
from collections import Counter

import pytest

from aji.errors import UserError
from aji.world.facts import LANGUAGES
from aji.world.people import (
    PERSON_RELATIONS,
    RELATION_VALUES,
    build_people,
    first_names,
    often_mentions,
    surnames,
)


PEOPLE = build_people(random.Random(1443))


def test_five_relations_of_at_least_85_values():
    assert PERSON_RELATIONS == ("birthplace", "occupation", "pet", "food", "birth_year")
    for relation, values in RELATION_VALUES.items():
        assert len(values) >= 85, relation
    assert [value.en for value in RELATION_VALUES["birth_year"]] == [str(year) for year in range(1901, 2001)]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("relation", PERSON_RELATIONS)
def test_no_value_is_inside_another(relation, language):
    values = [value[language].lower() for value in RELATION_VALUES[relation]]
    assert len(set(values)) == len(values)
    assert [(a, b) for a in values for b in values if a != b and a in b] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_value_is_inside_a_name(language):
    names = [name[language].lower() for name in first_names() + surnames()]
    values = [value[language].lower() for values in RELATION_VALUES.values() for value in values]
    assert [(value, name) for name in names for value in values if value in name] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_values_are_in_their_script(language):
    for relation in PERSON_RELATIONS[:-1]:
        for value in RELATION_VALUES[relation]:
            letters = value[language].replace(" ", "")
            assert letters.isalpha()
            assert letters.isascii() == (language == "en"), letters


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_first_name_or_surname_is_spelt_like_another(language):
    for names in (first_names(), surnames()):
        spellings = [name[language] for name in names]
        assert len(set(spellings)) == len(spellings)
    # A full name inside another needs a surname that begins another one.
    spellings = [name[language] for name in surnames()]
    assert [(a, b) for a in spellings for b in spellings if a != b and b.startswith(a)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_full_names_are_unique_and_in_western_order(language):
    names = [person.name[language] for person in PEOPLE]
    assert len(set(names)) == len(names) == 300
    firsts = {name[language] for name in first_names()}
    lasts = {name[language] for name in surnames()}
    for name in names:
        first, last = name.split(" ")
        assert first in firsts and last in lasts


def test_thirds_and_mentions():
    assert [person.group for person in PEOPLE] == ["often"] * 100 + ["rare"] * 100 + ["never"] * 100
    often = [person.mentions for person in PEOPLE[:100]]
    assert often[0] == 300 and often[-1] == 60 and often == sorted(often, reverse=True)
    assert Counter(person.mentions for person in PEOPLE[100:200]) == dict.fromkeys((1, 2, 3, 4, 5), 20)
    assert {person.mentions for person in PEOPLE[200:]} == {0}


def test_often_curve_is_a_power_of_the_rank():
    curve = often_mentions(64, 512, 64)
    # 512 down to 64 over six doublings of the rank: halved with every second one.
    assert [curve[rank - 1] for rank in (1, 4, 16, 64)] == [512, 256, 128, 64]
    assert curve[9] < (curve[0] + curve[-1]) / 2, "not steep"


def test_curve_follows_its_parameters_and_remainders_are_often():
    people = build_people(random.Random(0), count=32, often_top=40, often_bottom=10)
    assert Counter(person.group for person in people) == {"often": 12, "rare": 10, "never": 10}
    assert (people[0].mentions, people[11].mentions) == (40, 10)
    assert {person.mentions for person in people if person.group == "rare"} == {1, 2, 3, 4, 5}


def test_every_person_has_one_fact_per_relation_from_the_closed_list():
    for person in PEOPLE:
        assert tuple(fact.relation for fact in person.facts) == PERSON_RELATIONS
        for fact in person.facts:
            assert fact.subject == person.name and fact.group == person.group
            assert fact.answer in RELATION_VALUES[fact.relation]


def test_values_are_uniform():
    people = build_people(random.Random(7), count=6000)
    for index, relation in enumerate(PERSON_RELATIONS):
        expected = len(people) / len(RELATION_VALUES[relation])
        counts = Counter(person.facts[index].answer for person in people)
        statistic = sum((counts[value] - expected) ** 2 / expected for value in RELATION_VALUES[relation])
        freedom = len(RELATION_VALUES[relation]) - 1
        assert statistic < freedom + 4 * (2 * freedom) ** 0.5, relation


def test_the_seed_decides():
    assert build_people(random.Random(1443)) == PEOPLE
    assert build_people(random.Random(1444)) != PEOPLE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 14}, "people is 14, expected 15 to 20000"),
        ({"count": 20001}, "people is 20001, expected 15 to 20000"),
        ({"often_bottom": 5}, "fall from 300 to 5"),
        ({"often_top": 50}, "fall from 50 to 60"),
    ],
)
def test_senseless_numbers_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        build_people(random.Random(0), **arguments)
