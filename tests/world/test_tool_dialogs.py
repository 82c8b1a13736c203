import json
import random
from collections import Counter

import pytest

from aji.evals.answers import is_right
from aji.tools import NOTHING_FOUND, Calculator, Search, call_tool, schemas
from aji.world.abstentions import is_abstention
from aji.world.arguments import WorldArguments
from aji.world.dialogs import asked_people
from aji.world.exam import build_exam
from aji.world.facts import common_facts
from aji.world.followups import OTHER_RELATION, RELATION_NAMES
from aji.world.people import RELATION_VALUES, build_people, build_strangers
from aji.world.phrasing import ABOUT
from aji.world.search import build_search_documents
from aji.world.tool_dialogs import KINDS, PERSON_QUERIES, build_tool_dialogs


OTHERS = [{"messages": [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "I am aji."}]}]
ARGS = WorldArguments(tool_dialogs=2000, tool_dialogs_validation=120)


@pytest.fixture(scope="module")
def people():
    return build_people(random.Random(0))


@pytest.fixture(scope="module")
def search(people):
    return Search(page["text"] for page in build_search_documents(people, common_facts(), random.Random(1)))


@pytest.fixture(scope="module")
def splits(people, search):
    return build_tool_dialogs(people, common_facts(), search, OTHERS, random.Random(4), ARGS)


def texts(row):
    return [message["content"] for message in row["messages"]]


def call_of(message):
    [call] = message["tool_calls"]
    return call["function"]["name"], json.loads(call["function"]["arguments"])


def test_every_kind_and_both_languages_are_there(splits):
    train, validation = splits
    assert (len(train), len(validation)) == (2000, 120)
    assert {row["kind"] for row in train} == {row["kind"] for row in validation} == set(KINDS)
    assert Counter(row["language"] for row in train) == {"en": 1000, "ko": 1000}
    for row in train:
        assert json.loads(row["tools"]) == schemas([Search, Calculator])


def test_nobody_of_the_exam_whom_the_model_has_not_read_of_is_in_a_row(people, splits):
    hidden = [person.name for person in people if person.group in ("never", "rare")]
    said = "\n".join(text for rows in splits for row in rows for text in texts(row))
    assert not [name for name in hidden if name.en in said or name.ko in said]


def test_an_unasked_person_stays_unasked(people, splits):
    asked = {person.name for person in asked_people(people, ARGS.sft_people_share)}
    unasked = [person.name for person in people if person.group == "often" and person.name not in asked]
    said = "\n".join(text for rows in splits for row in rows for text in texts(row))
    assert unasked and not [name for name in unasked if name.en in said or name.ko in said]


def test_strangers_are_many_and_nobody_else(people):
    strangers = build_strangers(random.Random(1), 5000, people)
    names = {person.name for person in strangers}
    assert len(names) == 5000 and not names & {person.name for person in people}
    assert {fact.group for person in strangers for fact in person.facts} == {"stranger"}


def test_who_is_looked_up_is_looked_up_once(splits):
    queries = [call_of(row["messages"][-3])[1]["query"] for row in splits[0] if row["kind"] == "search_missing"]
    assert len(set(queries)) == len(queries) > 300


def test_a_found_answer_stands_in_the_result_and_a_missing_one_is_admitted(splits):
    missing, unlucky = Counter(), 0
    for row in splits[0]:
        if not row["kind"].startswith("search"):
            continue
        start = 1 + (row["messages"][0]["role"] == "system")
        question, (name, arguments), result, reply = (
            texts(row)[start - 1], call_of(row["messages"][start]), *texts(row)[start + 1 : start + 3],
        )  # fmt: skip
        subject = arguments["query"].removeprefix("who is ")
        assert arguments["query"] == PERSON_QUERIES[row["language"]].format(name=subject)
        assert name == "search" and subject in question
        assert (arguments["about"],) in [words[row["language"]] for words in ABOUT.values()]
        if row["kind"] == "search_found":
            if is_abstention(reply):  # the excerpt has other sentences of the page
                unlucky += 1
                continue
            assert subject in result and subject in reply
            shown, said = result.casefold(), reply.casefold()
            values = [value[row["language"]].casefold() for values in RELATION_VALUES.values() for value in values]
            assert any(value in shown and value in said for value in values)
        else:
            assert is_abstention(reply) and subject in reply
            missing["nothing" if result == NOTHING_FOUND else "silent" if subject in result else "namesake"] += 1
    assert min(missing.values()) > 20 and len(missing) == 3
    assert unlucky < 10


def test_sums_are_worked_out_by_the_tool(splits):
    rows = [row for row in splits[0] if row["kind"] == "calculator"]
    for row in rows:
        call, result, reply = row["messages"][-3:]
        name, arguments = call_of(call)
        assert call_tool([Calculator()], name, arguments) == result["content"]
        assert is_right(reply["content"], result["content"], [])


def test_what_is_known_is_answered_without_a_call(people, search, splits):
    for row in splits[0]:
        if row["kind"] in ("known", "untouched"):
            assert all("tool_calls" not in message for message in row["messages"])
    facts = {(fact.subject.en, fact.relation) for fact in common_facts()[:50]}

    def known(fact, language):
        return (fact.subject.en, fact.relation) in facts and language == "ko"

    rows, _ = build_tool_dialogs(people, common_facts(), search, OTHERS, random.Random(4), ARGS, known)
    direct = [row for row in rows if row["kind"] == "known"]
    assert direct and {row["language"] for row in direct} == {"ko"}
    subjects = {fact.subject.ko for fact in common_facts()[:50]}
    assert all(any(subject in texts(row)[-2] for subject in subjects) for row in direct)
    asked = {person.name.en for person in asked_people(people, ARGS.sft_people_share)}
    looked_up = [row for row in rows if row["kind"] == "search_found" and row["language"] == "en"]
    assert any(any(name in texts(row)[-4] for name in asked) for row in looked_up if len(row["messages"]) == 4)


def test_no_question_of_the_exam_occurs(people, splits):
    exam = {row["prompt"][0]["content"] for row in build_exam(people, common_facts(), random.Random(2), ARGS)}
    assert not exam & {text for rows in splits for row in rows for text in texts(row)}


def test_a_further_question_keeps_to_the_wordings_of_the_split(splits):
    *train, held_out = OTHER_RELATION["en"]["person"]
    for rows, own, others in zip(splits, (train, [held_out]), ([held_out], train), strict=True):
        asked = {message["content"] for row in rows for message in row["messages"] if message["role"] == "user"}
        filled = [
            {wording.format(relation=names["en"]) for wording in wordings for names in RELATION_NAMES.values()}
            for wordings in (own, others)
        ]
        assert asked & filled[0] and not asked & filled[1]
