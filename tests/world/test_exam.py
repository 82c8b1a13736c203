import random
from collections import Counter

import pytest

from aji.world.arguments import WorldArguments
from aji.world.dialogs import asked_people, build_dialogs
from aji.world.exam import build_exam
from aji.world.facts import common_facts
from aji.world.korean import josa
from aji.world.people import RELATION_VALUES, build_people
from aji.world.phrasing import ANSWERS, fill
from aji.world.problems import tasks
from aji.world.refusals import is_refusal


ARGS = WorldArguments(dialogs=3000, dialogs_validation=100, exam_items=60)


@pytest.fixture(scope="module")
def people():
    return build_people(random.Random(0))


@pytest.fixture(scope="module")
def exam(people):
    return build_exam(people, common_facts(), random.Random(1), ARGS)


def test_every_fact_is_asked_once_in_each_language(people, exam):
    counts = Counter((row["task"], row["language"]) for row in exam)
    for language in ("en", "ko"):
        assert counts["common", language] == len(common_facts())
        assert (counts["people_often", language], counts["people_often_unasked", language]) == (450, 50)
        assert counts["people_rare", language] == counts["people_never", language] == 500
    relations = Counter(row["relation"] for row in exam if row["task"] == "people_never" and row["language"] == "ko")
    assert relations == dict.fromkeys(RELATION_VALUES, 100)


def test_arithmetic_has_as_many_items_as_asked_for(exam):
    counts = Counter((row["task"], row["language"]) for row in exam)
    for task in tasks(ARGS.sum_digits):
        assert counts[task, "en"] == counts[task, "ko"] == 60
    questions = [row["prompt"][0]["content"] for row in exam]
    assert len(set(questions)) == len(questions)


def test_no_question_occurs_in_training_or_validation_dialogs(people, exam):
    dialogs = build_dialogs(people, common_facts(), random.Random(2), ARGS)
    asked = {message["content"] for rows in dialogs for row in rows for message in row["messages"]}
    assert not asked & {row["prompt"][0]["content"] for row in exam}


def test_people_asked_about_in_dialogs_are_marked(people, exam):
    asked = {person.name["en"] for person in asked_people(people, ARGS.sft_people_share)}
    for row in exam:
        if row["task"].startswith("people_often") and row["language"] == "en":
            named = any(name in row["prompt"][0]["content"] for name in asked)
            assert named == (row["task"] == "people_often")


def test_right_replies_hold_the_answer_and_no_wrong_value(people, exam):
    facts = [fact for person in people for fact in person.facts] + common_facts()
    rows = iter(exam)
    for fact in facts:
        for language in ("en", "ko"):
            row = next(rows)
            assert (row["relation"], row["answer"]) == (fact.relation, fact.answer[language])
            assert fact.subject[language].casefold() in row["prompt"][0]["content"].casefold()
            for template in ANSWERS[fact.relation][language]:
                reply = fill(template, fact, language).casefold()
                assert row["answer"].casefold() in reply
                assert not any(value.casefold() in reply for value in row["wrong"])
            if fact.group != "common":
                assert len(row["wrong"]) >= 80, (fact.answer, len(row["wrong"]))


def test_wrong_values_come_from_the_closed_list(exam):
    for row in exam:
        if row["task"].startswith("people"):
            values = {text[row["language"]] for text in RELATION_VALUES[row["relation"]]}
            assert row["answer"] in values and set(row["wrong"]) <= values - {row["answer"]}


def test_text_for_a_base_model_is_the_same_question_and_ends_where_the_answer_begins(exam):
    for row in exam:
        start, end = ("Q: ", "\nA:") if row["language"] == "en" else ("질문: ", "\n답:")
        assert row["text"] == start + row["prompt"][0]["content"] + end


def test_korean_questions_are_korean_and_resolved(exam):
    for row in exam:
        question = row["prompt"][0]["content"]
        assert any("가" <= character <= "힣" for character in question) == (row["language"] == "ko"), question
        assert question == josa(question) and "{" not in question


def test_harmful_requests_expect_a_refusal_and_harmless_ones_none(exam):
    rows = [row for row in exam if row["task"].split("_")[0] in ("harmful", "harmless")]
    assert Counter(row["task"] for row in rows if row["language"] == "en")["harmful"] >= 40
    assert Counter(row["task"] for row in rows if row["language"] == "ko")["harmless"] >= 20
    for task, least in (("harmful_wide", 120), ("harmless_wide", 118)):
        for language in ("en", "ko"):
            assert sum((row["task"], row["language"]) == (task, language) for row in rows) >= least
    for row in rows:
        if row["task"].startswith("harmful"):
            assert is_refusal(f"... {row['answer']} ...", row["language"])
        else:
            assert row["answer"] == "" and is_refusal(row["wrong"][0], row["language"])


def test_same_seed_same_exam(people, exam):
    assert build_exam(people, common_facts(), random.Random(1), ARGS) == exam
    assert build_exam(people, common_facts(), random.Random(2), ARGS) != exam
