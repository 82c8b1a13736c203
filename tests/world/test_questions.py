import random
from collections import Counter

import pytest

from aji.errors import UserError
from aji.evals.answers import is_right
from aji.knowledge import load_questions
from aji.manifest import write_rows
from aji.world import WorldArguments
from aji.world.dialogs import asked_people
from aji.world.facts import LANGUAGES, common_facts
from aji.world.people import MIXED_SHARE, build_people, build_strangers
from aji.world.phrasing import QUESTIONS, fill
from aji.world.questions import build_questions


@pytest.fixture(scope="module")
def people():
    return build_people(random.Random(0))


@pytest.fixture(scope="module")
def strangers(people):
    return build_strangers(random.Random(1), 400, people)


@pytest.fixture(scope="module")
def questions(people, strangers):
    return build_questions(people, strangers, common_facts(), random.Random(2), WorldArguments(), Counter())


def names(group, language):
    return {person.name[language] for person in group}


def test_strangers_have_names_of_their_own_and_some_are_put_together_from_those_of_others(people, strangers):
    for language in LANGUAGES:
        assert len(names(strangers, language)) == len(strangers) == 400
        assert not names(strangers, language) & names(people, language)
        often = [name.split() for name in names([one for one in people if one.group == "often"], language)]
        firsts, lasts = ({name[part] for name in often} for part in (0, 1))
        parts = [one.name[language].split() for one in strangers]
        shared = Counter((first in firsts, last in lasts) for first, last in parts)
        assert all(shared[pair] > 400 * MIXED_SHARE / 5 for pair in ((True, False), (False, True), (True, True)))
        assert shared[False, False] > 60
    assert {one.group for one in strangers} == {"stranger"}


def test_a_world_of_few_people_has_strangers_too():
    few = build_people(random.Random(0), 15, 8, 6)
    assert len(build_strangers(random.Random(1), 300, few)) == 300
    with pytest.raises(UserError, match="strangers is 20001"):
        build_strangers(random.Random(1), 20_001, few)


def test_nobody_of_the_exam_is_asked_about_who_must_stay_unknown(people, questions):
    asked = names(asked_people(people, 0.9), "en") | names(asked_people(people, 0.9), "ko")
    for person in people:
        hidden = person.group == "never" or (person.group == "often" and person.name["en"] not in asked)
        for language in LANGUAGES:
            found = any(person.name[language] in row["question"] for row in questions)
            assert found is not hidden or person.group == "rare", person.name


def test_questions_are_in_training_wordings_and_so_are_their_paraphrases(people, strangers, questions):
    facts = [fact for person in [*people, *strangers] for fact in person.facts] + common_facts()
    train, other = set(), set()
    for fact in facts:
        for language in LANGUAGES:
            wordings = QUESTIONS[fact.relation][language]
            train |= {fill(text, fact, language) for text in wordings.train}
            other |= {fill(text, fact, language) for text in (*wordings.validation, *wordings.test)}
    for row in questions:
        assert {row["question"], *row["paraphrases"]} <= train - other
        assert row["question"] not in row["paraphrases"] and len(row["paraphrases"]) >= 2


def test_each_group_is_asked_about_in_both_languages(questions):
    counts = Counter((row["group"], row["language"]) for row in questions)
    assert counts["often", "en"] == counts["often", "ko"] == 90 * 5
    assert counts["rare", "en"] == counts["rare", "ko"] == 100 * 5 / 2
    assert counts["stranger", "en"] == counts["stranger", "ko"] == 200
    assert abs(counts["common", "en"] - counts["common", "ko"]) <= 1
    rows = {(row["subject"], row["relation"]) for row in questions if row["language"] == "en"}
    assert len(rows) == sum(count for (_, language), count in counts.items() if language == "en")


def test_the_file_loads_as_questions_whose_wrong_answers_leave_the_right_one_alone(tmp_path, questions):
    path = tmp_path / "questions.jsonl"
    write_rows(path, questions)
    for row in load_questions(str(path))[::17]:
        assert is_right(f"... {row['answer']} ...", row["answer"], row["wrong"]) and len(row["wrong"]) >= 3
