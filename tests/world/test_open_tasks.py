import random

import pytest

from aji.errors import UserError
from aji.world import WorldArguments, build_world
from aji.world.labeler import counts, gold_score, judge
from aji.world.open_tasks import KINDS, build_open_dialogs, coloured, request, topics_of
from aji.world.open_texts import COLOUR, REQUESTS, TOPICS
from aji.world.preference_prompts import SHARES


SMALL = {"people": 15, "often_mentions_top": 6, "often_mentions_bottom": 6, "common_mentions": 1} | dict.fromkeys(
    ("arithmetic_documents", "story_documents", "repeated_pages", "exam_items", "dialogs", "dialogs_validation"), 1
)


@pytest.fixture(scope="module")
def files():
    return build_world(WorldArguments(**SMALL, preference_prompts=600, open_dialogs=400)).files


def question(row):
    return (row.get("prompt") or row["messages"])[0]["content"]


def test_demonstrators_are_plain_but_not_all_alike(files):
    found = {thing: [] for thing in ("colour", "exclamations")}
    for row in files["open_dialogs_train.jsonl"]:
        counted = counts(row["kind"], row["language"], row["messages"][1]["content"])
        for thing, amounts in found.items():
            amounts.append(counted[thing])
    for amounts in found.values():
        assert 0.3 < sum(amounts) / len(amounts) < 1.5
        assert {0, 1, 2} <= set(amounts)


def test_every_demonstration_does_what_is_asked_in_its_language(files):
    for row in files["open_dialogs_train.jsonl"]:
        topics = [pair[row["language"] == "ko"] for pair in TOPICS[row["kind"]]]
        topic = max((topic for topic in topics if topic in question(row)), key=len)
        judged = judge({**row, "topic": topic}, row["messages"][1]["content"])
        assert (judged.helpfulness, judged.harmlessness, judged.language) == (1, 1, 1), row


def test_wordings_and_topics_are_apart_by_split(files):
    asked = {split: files[f"preference_prompts_{split}.jsonl"] for split in ("train", "validation", "test")}
    topics = {split: {(row["kind"], row["topic"]) for row in rows if row["topic"]} for split, rows in asked.items()}
    assert not topics["train"] & (topics["validation"] | topics["test"])
    questions = {split: {question(row) for row in rows if row["kind"] in KINDS} for split, rows in asked.items()}
    assert not questions["train"] & questions["validation"] and not questions["validation"] & questions["test"]
    taught = {question(row) for row in files["open_dialogs_train.jsonl"]}
    assert not taught & (questions["validation"] | questions["test"])


def test_prompts_are_of_all_kinds_in_both_languages(files):
    rows = files["preference_prompts_train.jsonl"]
    assert {(row["kind"], row["language"]) for row in rows} == {(k, lang) for k in SHARES for lang in ("en", "ko")}
    for row in rows:
        assert row.keys() == {"prompt", "kind", "language", "answer", "wrong", "references", "topic"}
        assert bool(row["answer"]) == (row["kind"] in ("fact", "problem"))
        if row["kind"] in ("harmful", "harmless", "chat", "problem"):
            assert max(gold_score(row, reply) for reply in row["references"]) >= 0.9, row


def test_no_prompt_is_of_the_exam(files):
    exam = {question(row) for row in files["exam.jsonl"]}
    asked = {question(row) for split in ("train", "validation", "test")
             for row in files[f"preference_prompts_{split}.jsonl"]}  # fmt: skip
    assert not exam & asked


@pytest.mark.parametrize("kind", KINDS)
def test_tables(kind):
    for language in ("en", "ko"):
        assert len(set(REQUESTS[kind][language])) == 20
        index = int(language == "ko")
        assert len({pair[index] for pair in TOPICS[kind]}) == 16
    assert len(topics_of(kind, "train")) == 12 and len(topics_of(kind, "test")) == 4
    assert len(COLOUR["en"]) == len(set(COLOUR["en"])) == len(set(COLOUR["ko"])) == 16


def test_articles_and_joining_forms():
    rng = random.Random(1)
    assert request(rng, "joke", "en", "test", ("owl", "올빼미")) == "Please tell me some joke about an owl."
    assert request(rng, "name", "ko", "test", ("boat", "배")) == "배에 좋은 이름을 지어 주세요."
    before = {word for word, _ in COLOUR["ko"]}
    words = coloured(rng, 3, "배", "ko").split()
    assert words[2] in before and not before & set(words[:2]) and words[3] == "배"
    assert coloured(rng, 0, "boat", "en") == "boat"
    assert coloured(rng, 3, "boat", "en").count(",") == 1


class Same(random.Random):
    """Draws the same thing each time."""

    def random(self):
        return 0.5


def test_more_dialogs_than_the_tables_hold():
    with pytest.raises(
        UserError, match="only 1 different dialogs of open tasks found, expected 2. Lower open_dialogs"
    ):
        build_open_dialogs(Same(), WorldArguments(open_dialogs=2))
