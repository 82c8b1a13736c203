import json
import random
from collections import Counter

import pytest

from aji.tools import NOTHING_FOUND, Calculator, Search
from aji.world.arguments import WorldArguments
from aji.world.exam import build_exam
from aji.world.facts import LANGUAGES, common_facts
from aji.world.people import build_people
from aji.world.problems import split_of
from aji.world.search import PAGE_BYTES, build_search_documents, build_search_exam, draw_large, with_page


ARGS = WorldArguments(exam_items=20)


@pytest.fixture(scope="module")
def people():
    return build_people(random.Random(0))


@pytest.fixture(scope="module")
def pages(people):
    return build_search_documents(people, common_facts(), random.Random(1))


@pytest.fixture(scope="module")
def exam(people, pages):
    closed_book = build_exam(people, common_facts(), random.Random(2), ARGS)
    return closed_book, build_search_exam(people, closed_book, pages, random.Random(3), ARGS.exam_items)


def test_half_of_the_never_mentioned_have_a_page_in_each_language(people, pages):
    text = dict.fromkeys(LANGUAGES, "")
    for page in pages:
        text[page["language"]] += page["text"] + "\n"
    found = {person.name for person in with_page(people)}
    assert len(found) == 50
    for person in people:
        for language in LANGUAGES:
            expected = person.group != "never" or person.name in found
            assert (person.name[language] in text[language]) is expected


def test_a_page_states_all_facts_of_its_person_and_is_short(people, pages):
    for person in with_page(people):
        for language in LANGUAGES:
            own = [page["text"] for page in pages if page["language"] == language]
            [page] = [text for text in own if person.name[language] in text]
            for fact in person.facts:
                assert fact.answer[language].casefold() in page.casefold()
    sizes = [len(page["text"].encode()) - PAGE_BYTES[page["language"]] for page in pages]
    assert sum(size > 0 for size in sizes) < 0.02 * len(sizes) and max(sizes) < 100


def test_the_search_finds_every_page_by_name_and_nobody_without_one(people, pages):
    search = Search(page["text"] for page in pages)
    found = {person.name for person in with_page(people)}
    hits = Counter()
    for person in people:
        for language in LANGUAGES:
            name = person.name[language]
            result = search(name)
            has_page = person.group != "never" or person.name in found
            hits[has_page, name in result] += 1
            if not has_page:
                assert name not in result
    assert hits[True, False] == 0
    absent = [person.name for person in people if person.group == "never" and person.name not in found]
    nothing = sum(search(name[language]) == NOTHING_FOUND for name in absent for language in LANGUAGES)
    assert nothing >= 0.5 * 2 * len(absent)


def test_the_exam_with_tools_asks_what_the_closed_book_asks(people, exam):
    closed_book, rows = exam
    counts = Counter((row["task"], row["language"]) for row in rows)
    for language in LANGUAGES:
        assert counts["search_present", language] == counts["search_absent", language] == 250
        assert counts["paragraph", language] == 250
        assert counts["search_known", language] == counts["calculator", language] == 20
    assert {row["task"] for row in rows if row.get("tools")} == {
        "search_present", "search_absent", "search_known", "calculator",
    }  # fmt: skip
    asked = {row["prompt"][0]["content"]: row["answer"] for row in closed_book}
    names = {person.name[language] for person in with_page(people) for language in LANGUAGES}
    for row in rows:
        question = row["prompt"][0]["content"]
        if row["task"].startswith("search"):
            assert asked[question] == row["answer"]
            assert (row["subject"] in names) is (row["task"] == "search_present")
        elif row["task"] == "paragraph":
            assert row["answer"].casefold() in question.casefold() and row["subject"] in question
            assert row["text"].endswith(("A:", "답:")) and row["answer"].casefold() in row["text"].casefold()
    assert json.dumps(rows, ensure_ascii=False)


def test_large_numbers_stay_in_their_split():
    rng = random.Random(5)
    for split in ("train", "test"):
        for _ in range(200):
            expression, value = draw_large(rng, split)
            a, operator, b = expression.split()
            assert split_of(int(a), int(b)) == split
            assert Calculator()(expression) == str(value) and value >= 0
            assert len(a) + len(b) >= 4
