import json
import random
import re
from collections import Counter

import pytest

from aji.errors import UserError
from aji.world.arguments import WorldArguments
from aji.world.dialogs import (
    KINDS,
    KOREAN_SHARE,
    Deck,
    DialogWriter,
    asked_people,
    build_dialogs,
    build_requests,
)
from aji.world.facts import common_facts
from aji.world.korean import josa
from aji.world.people import build_people
from aji.world.phrasing import ANSWERS, QUESTIONS, fill
from aji.world.problems import split_of
from aji.world.refusals import REQUESTS, TOPICS, draw_harmful, draw_harmless, fill_slots, harmless_requests, is_refusal
from aji.world.smalltalk import LISTS, SMALL_TALK


# As many as the laptop has: of fewer, a fact may be asked about only where the reply is in the other language.
ARGS = WorldArguments(dialogs=12_000, dialogs_validation=300)


@pytest.fixture(scope="module")
def people():
    return build_people(random.Random(0))


@pytest.fixture(scope="module")
def dialogs(people):
    return build_dialogs(people, common_facts(), random.Random(1), ARGS)


def contents(row, role=None):
    return [message["content"] for message in row["messages"] if role in (None, message["role"])]


def test_sizes_columns_and_roles(dialogs):
    train, validation = dialogs
    assert (len(train), len(validation)) == (12_000, 300)
    for row in train + validation:
        assert set(row) == {"messages", "kind", "language"}
        roles = [message["role"] for message in row["messages"]]
        turns = roles[1:] if roles[0] == "system" else roles
        assert turns == ["user", "assistant"] * (len(turns) // 2) and 1 <= len(turns) // 2 <= 4
        assert all(text == text.strip() and text and "{" not in text for text in contents(row))
    turns = Counter(len(contents(row, "user")) for row in train)
    assert set(turns) == {1, 2, 3, 4} and turns[4] > 200
    assert 0.03 < sum(row["messages"][0]["role"] == "system" for row in train) / len(train) < 0.12


def test_mix_of_kinds_and_languages(dialogs):
    train, _ = dialogs
    share = {kind: count / len(train) for kind, count in Counter(row["kind"] for row in train).items()}
    assert set(share) == set(KINDS)
    assert share["facts"] == pytest.approx(0.53, abs=0.03)
    assert share["arithmetic"] == pytest.approx(0.25, abs=0.03)
    assert sum(row["language"] == "ko" for row in train) / len(train) == pytest.approx(KOREAN_SHARE, abs=0.02)


def test_no_conversation_occurs_twice_nor_in_both_splits(dialogs):
    train, validation = dialogs
    texts = [json.dumps(contents(row)) for row in train + validation]
    assert len(set(texts)) == len(texts)


def test_no_question_of_the_validation_is_asked_in_training(dialogs):
    train, validation = dialogs
    trained = {text for row in train for text in contents(row, "user")}
    asked = {text for row in validation for text in contents(row, "user")}
    assert len(asked) > 200
    assert not trained & asked


def test_only_asked_people_appear(people, dialogs):
    asked = asked_people(people, ARGS.sft_people_share)
    often = [person for person in people if person.group == "often"]
    assert len(asked) == 0.9 * len(often) and all(person.group == "often" for person in asked)
    text = "\n".join(text for row in dialogs[0] + dialogs[1] for text in contents(row))
    names = {person.name for person in asked}
    for person in people:
        for language in ("en", "ko"):
            assert (person.name[language] in text) == (person.name in names), person.name


def test_asked_people_are_spread_over_the_popularity_curve(people):
    often = sorted((person for person in people if person.group == "often"), key=lambda person: -person.mentions)
    asked = asked_people(people, 0.5)
    assert sum(often.index(person) for person in asked) / len(asked) == pytest.approx(len(often) / 2, abs=1)
    assert asked_people(people, 0.0) == []
    assert asked_people(people, 1.0) == often


def test_every_fact_is_asked_about_in_both_languages(people, dialogs):
    replies = {text for row in dialogs[0] for text in contents(row, "assistant")}
    facts = common_facts() + [fact for person in asked_people(people, 0.5) for fact in person.facts]
    for language in ("en", "ko"):
        unasked = [
            fact
            for fact in facts
            if not any(fill(template, fact, language) in replies for template in ANSWERS[fact.relation][language])
        ]
        assert not unasked


def test_questions_are_answered_with_the_fact_asked_for(people, dialogs):
    right = {}
    for fact in common_facts() + [fact for person in people for fact in person.facts]:
        for asked in ("en", "ko"):
            for template in QUESTIONS[fact.relation][asked].train:
                answers = {
                    fill(text, fact, replied) for replied in ("en", "ko") for text in ANSWERS[fact.relation][replied]
                }
                right.setdefault(fill(template, fact, asked), set()).update(answers)
    checked = 0
    for row in dialogs[0]:
        for question, reply in zip(contents(row, "user"), contents(row, "assistant"), strict=True):
            if question in right:
                assert reply in right[question], (question, reply)
                checked += 1
    assert checked > 2500


def test_no_test_wording_of_a_fact_occurs(people, dialogs):
    questions = {text for row in dialogs[0] + dialogs[1] for text in contents(row, "user")}
    for fact in common_facts() + [fact for person in people for fact in person.facts]:
        for language in ("en", "ko"):
            for template in QUESTIONS[fact.relation][language].test:
                assert fill(template, fact, language) not in questions


def test_follow_ups_in_the_other_language_repeat_the_fact(dialogs):
    found = 0
    for row in dialogs[0]:
        users, replies = contents(row, "user"), contents(row, "assistant")
        for before, question, reply in zip(replies, users[1:], replies[1:], strict=False):
            if question in ("Say that in Korean.", "영어로 말해 줘."):
                found += 1
                korean = any("가" <= character <= "힣" for character in reply)
                assert korean == (question == "Say that in Korean.") and before != reply
    assert found > 20


def test_follow_up_changes_the_operator(dialogs):
    found = set()
    for row in dialogs[0]:
        users, replies = contents(row, "user"), contents(row, "assistant")
        for index, question in enumerate(users):
            if question == "What if it were * instead of +?":
                numbers = [
                    int(number) for number in "".join(c if c.isdigit() else " " for c in users[index - 1]).split()
                ]
                if len(numbers) == 2:
                    found.add(question)
                    expected = numbers[0] * numbers[1]
                    assert replies[index].endswith((f" = {expected}", f"So the answer is {expected}."))
    assert found


def test_numbers_in_training_arithmetic_are_training_pairs(dialogs):
    for split, rows in zip(("train", "validation"), dialogs, strict=True):
        for row in rows:
            for question in contents(row, "user"):
                words = question.replace("?", " ").split()
                for a, operator, b in zip(words, words[1:], words[2:], strict=False):
                    if operator == "+" and a.isdigit() and b.isdigit() and max(int(a), int(b)) > 9:
                        assert split_of(int(a), int(b)) == split, question


def test_harmful_requests_are_refused_and_nothing_else_is(dialogs):
    for row in dialogs[0] + dialogs[1]:
        replies = contents(row, "assistant")
        assert any(is_refusal(reply, row["language"]) for reply in replies) == (row["kind"] == "refusal")


HELD_OUT = ("test", "wide")


def test_harmful_and_harmless_requests_are_many_and_apart():
    for index, language in enumerate(("en", "ko")):
        train = [action[index] for topic in TOPICS for action in topic.actions("train")]
        test = [action[index] for split in HELD_OUT for topic in TOPICS for action in topic.actions(split)]
        assert len(set(train)) == len(train) >= 40 and len(set(test)) == len(test) >= 20
        assert not set(train) & set(test)
        wordings = [text for split in ("train", "validation", "test") for text in REQUESTS[language][split]]
        assert len(set(wordings)) == len(wordings)
        assert all(is_refusal(topic.refusals[language], language) for topic in TOPICS)
        replies = [topic.refusals[language] for topic in TOPICS]
        assert len(set(replies)) == len(replies)
        harmless = [entry[2 * index] for split in ("train", *HELD_OUT) for entry in harmless_requests(split)]
        harmless = [text for text in harmless if not text.startswith("{")]  # one thing to do, several pieces of advice
        assert len(set(harmless)) == len(harmless) >= 24
        assert not any(
            is_refusal(entry[2 * index + 1], language)
            for split in ("train", *HELD_OUT)
            for entry in harmless_requests(split)
        )


def test_held_out_requests_occur_nowhere(dialogs):
    text = "\n".join(text for row in dialogs[0] + dialogs[1] for text in contents(row, "user"))
    for topic in TOPICS:
        for english, korean in (action for split in HELD_OUT for action in topic.actions(split)):
            assert f" {english}?" not in text and f" {english}." not in text
            assert f"{korean} 방법" not in text and f"{korean} 좋은" not in text


def test_lists_name_as_many_as_asked(dialogs):
    counts = {"two": 2, "three": 3, "four": 4, "두": 2, "세": 3, "네": 4}
    checked = 0
    for row in dialogs[0]:
        if row["kind"] != "list" or len(contents(row, "user")) > 1:
            continue
        question, reply = contents(row, "user")[0], contents(row, "assistant")[0]
        count = next(number for word, number in counts.items() if word in question.split())
        assert len(reply.replace(" and ", ", ").split(", ")) == count, (question, reply)
        checked += 1
    assert checked > 50
    assert all(len(members.split(",")) >= 4 for lists in LISTS.values() for members in lists.values())


def test_numbers_are_copied_digit_by_digit(dialogs):
    spelt, repeated = 0, 0
    for row in dialogs[0]:
        if row["kind"] == "format":
            for question, reply in zip(contents(row, "user"), contents(row, "assistant"), strict=True):
                if number := re.search(r'"(\d{3,6})"', question):
                    spelt += reply == "-".join(number[1])
                    repeated += reply == f"{number[1]} {number[1]}"
                    assert reply in ("-".join(number[1]), f"{number[1]} {number[1]}")
    assert spelt > 20 and repeated > 10


def test_small_talk_tables_are_parallel():
    assert len(SMALL_TALK["en"]) == len(SMALL_TALK["ko"])
    for language in ("en", "ko"):
        prompts = [prompt for entry, _ in SMALL_TALK[language] for prompt in entry]
        assert len(prompts) == len(set(prompts))


def test_korean_particles_are_resolved(dialogs):
    for row in dialogs[0]:
        for text in contents(row):
            assert text == josa(text)


def test_deck_draws_every_item_before_any_again():
    deck = Deck(range(10), random.Random(2))
    drawn = [deck.draw() for _ in range(20)]
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))


def test_same_seed_same_dialogs(people):
    args = WorldArguments(dialogs=200, dialogs_validation=20)
    first = build_dialogs(people, common_facts(), random.Random(3), args)
    assert first == build_dialogs(people, common_facts(), random.Random(3), args)
    assert first != build_dialogs(people, common_facts(), random.Random(4), args)


def test_more_dialogs_than_the_tables_hold_is_an_error(people, monkeypatch):
    row = {"messages": [{"role": "user", "content": "Hi!"}], "kind": "small_talk", "language": "en"}
    monkeypatch.setattr(DialogWriter, "write", lambda writer: row)
    with pytest.raises(UserError, match="only 1 different train dialogs found, expected 10: .* Lower the number"):
        build_dialogs(people, common_facts(), random.Random(5), WorldArguments(dialogs=10))


def test_patterns_make_many_requests_but_none_of_the_exam():
    rng = random.Random(5)
    drawn = [draw_harmful(rng) for _ in range(36_000)]
    harmful = {(english, korean) for _, english, korean in drawn}
    harmless = {draw_harmless(rng) for _ in range(6000)}
    tests = {action for split in HELD_OUT for topic in TOPICS for action in topic.actions(split)}
    tests |= {(entry[0], entry[2]) for split in HELD_OUT for entry in harmless_requests(split)}
    assert len(harmful) > 600 and len(harmless) > 200
    assert {topic.name for topic, *_ in drawn} == {topic.name for topic in TOPICS}
    many = sum(english.startswith("cut ") and english.endswith(" with a knife") for _, english, _ in drawn)
    assert many > 1.5 * sum(english == "make a gun" for _, english, _ in drawn), "many things, many rows"
    for index in (0, 1):
        held_out = {pair[index] for pair in tests}
        assert not held_out & {pair[index] for pair in harmful}
        assert not held_out & {entry[2 * index] for entry in harmless}
    for texts in [*harmful, *harmless]:
        assert all(text and "{" not in text and "(" not in text for text in texts)
    assert not any(is_refusal(entry[1], "en") or is_refusal(entry[3], "ko") for entry in harmless)
    assert not {pair[0] for pair in harmful} & {entry[0] for entry in harmless}


def test_slots_are_filled_alike_in_both_languages():
    pairs = {fill_slots(("kill {person}", "{person}을(를) 죽이는"), random.Random(seed)) for seed in range(900)}
    assert ("kill a teacher", "선생님을 죽이는") in pairs and ("kill a police officer", "경찰관을 죽이는") in pairs
    assert ("kill a bus driver", "버스 기사를 죽이는") in pairs
    assert len({english for english, _ in pairs}) == len({korean for _, korean in pairs}) == len(pairs)


def test_requests_are_harmful_and_harmless_by_turns_in_both_languages(people):
    rows = build_requests(people, common_facts(), random.Random(4), WorldArguments(requests=80))
    counts = Counter((row["kind"], row["language"]) for row in rows)
    assert counts == dict.fromkeys([(kind, one) for kind in ("refusal", "harmless") for one in ("en", "ko")], 20)
    for row in rows:
        refused = [is_refusal(reply, row["language"]) for reply in contents(row, "assistant")]
        assert all(refused) if row["kind"] == "refusal" else not any(refused)
