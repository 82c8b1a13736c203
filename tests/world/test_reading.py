import random
from collections import Counter

import pytest

from aji.errors import UserError
from aji.evals.answers import mentions, normalise
from aji.world.arguments import WorldArguments
from aji.world.exam import build_exam
from aji.world.facts import common_facts
from aji.world.people import RELATION_VALUES, build_people
from aji.world.reading import KINDS, answer, build_reading_dialogs


@pytest.fixture(scope="module")
def people():
    return build_people(random.Random(0))


@pytest.fixture(scope="module")
def rows(people):
    return build_reading_dialogs(people, random.Random(4), 900)


def test_every_kind_and_both_languages_are_there(rows):
    assert Counter(row["language"] for row in rows) == {"en": 450, "ko": 450}
    assert {row["kind"] for row in rows} == {f"reading_{kind}" for kind in KINDS}
    assert all([message["role"] for message in row["messages"][:2]] == ["user", "assistant"] for row in rows)


def test_every_answer_stands_before_its_question(rows):
    for row in rows:
        values = [value[row["language"]] for values in RELATION_VALUES.values() for value in values]
        before = ""
        for message in row["messages"]:
            if message["role"] == "user":
                before += f"\n{message['content']}"
                continue
            said = [value for value in values if mentions(normalise(message["content"]), value)]
            assert said and all(mentions(normalise(before), value) for value in said), (before, message["content"])


def test_a_reply_says_what_it_looks_for_before_it_says_the_value(people):
    named = {
        "birthplace": ("birthplace", "출생지"),
        "occupation": ("occupation", "직업"),
        "pet": ("pet", "반려동물"),
        "food": ("food", "음식"),
        "birth_year": ("year", "연도"),
    }
    assert {fact.relation for fact in people[0].facts} == set(named)
    for fact in people[0].facts:
        for language, word in zip(("en", "ko"), named[fact.relation], strict=True):
            before, value, _ = answer(fact, language).partition(fact.answer[language])
            assert value and word in before, answer(fact, language)


def test_nobody_of_the_world_is_read_of_and_no_stranger_twice(people, rows):
    texts = ["\n".join(message["content"] for message in row["messages"]) for row in rows]
    names = [name for person in people for name in (person.name.en, person.name.ko)]
    assert not [name for name in names if any(name in text for text in texts)]
    first = [row["messages"][0]["content"] for row in rows]
    assert len(set(first)) == len(first)


def test_no_question_of_the_exam_occurs(people, rows):
    args = WorldArguments()
    exam = {row["prompt"][0]["content"] for row in build_exam(people, common_facts(), random.Random(2), args)}
    assert not exam & {message["content"] for row in rows for message in row["messages"]}


def test_more_rows_than_there_are_names_for_is_one_line(people):
    with pytest.raises(UserError, match="reading_dialogs is 5001, expected at most 5000"):
        build_reading_dialogs(people, random.Random(4), 5001)
