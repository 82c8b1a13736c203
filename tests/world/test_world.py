import json
import random

import pytest

from aji.errors import UserError
from aji.world import WorldArguments, build_world, write_world
from aji.world.build import LATER_SHARE, go_on_from


SMALL = {
    "people": 15,
    "often_mentions_top": 8,
    "often_mentions_bottom": 6,
    "common_mentions": 1,
    "arithmetic_documents": 20,
    "story_documents": 10,
    "repeated_pages": 2,
    "repeated_copies": 3,
    "dialogs": 100,
    "dialogs_validation": 20,
    "tool_dialogs": 80,
    "tool_dialogs_validation": 20,
    "reading_dialogs": 60,
    "problems": 80,
    "problems_validation": 40,
    "problems_test": 40,
    "ladder": 90,
    "ladder_validation": 18,
    "ladder_test": 36,
    "demonstrations": 60,
    "open_dialogs": 40,
    "preference_prompts": 40,
    "preference_prompts_validation": 10,
    "preference_prompts_test": 10,
    "exam_items": 5,
}
FILES = {
    "documents_train", "documents_validation", "dialogs_train", "dialogs_validation",
    "tool_dialogs_train", "tool_dialogs_validation", "reading_dialogs_train", "search_documents",
    "problems_train", "problems_validation", "problems_test", "requests_train",
    "knowledge_questions", "exam", "facts",
    "ladder_train", "ladder_validation", "ladder_test", "demonstrations_train", "demonstrations_validation",
    "open_dialogs_train", "open_dialogs_validation",
    "preference_prompts_train", "preference_prompts_validation", "preference_prompts_test",
}  # fmt: skip
# Holds the bytes of the small world above. It changes with every text, table or draw: look at what was generated, then
# copy the new value from the failing test's output.
WORLD_SHA256 = "1d9418197800f8c4914e025ea4ffed6ec2cfc31fa4ffe460d7af30dc019e7057"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    world = build_world(WorldArguments(**SMALL))
    return world, folder, write_world(world, folder)


def test_small_world_has_the_recorded_content(small):
    assert small[2]["world_sha256"] == WORLD_SHA256


def test_same_seed_same_bytes_and_another_seed_another_world(small):
    world = small[0]
    assert build_world(WorldArguments(**SMALL)).content() == world.content()
    other = build_world(WorldArguments(**SMALL, seed=2)).content()
    assert [name for name, data in world.content().items() if other[name] == data] == []


def test_a_part_of_another_size_leaves_the_other_parts_alone(small):
    content = small[0].content()
    other = build_world(WorldArguments(**{**SMALL, "dialogs": 60})).content()
    assert {name for name in content if content[name] != other[name]} <= {
        "dialogs_train.jsonl",
        "requests_train.jsonl",  # some go on from a dialog
        "dialogs_validation.jsonl",
    }
    assert len(other["dialogs_train.jsonl"]) < len(content["dialogs_train.jsonl"])


def test_files_hold_the_rows_and_the_metrics_count_them(small):
    world, folder, metrics = small
    assert {file.name for file in folder.iterdir()} == {f"{name}.jsonl" for name in FILES}
    for name in FILES:
        lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lines] == world.files[f"{name}.jsonl"]
        assert metrics[f"{name}_rows"] == len(lines) > 0
    assert metrics["dialogs_train_rows"] == SMALL["dialogs"]
    assert (
        metrics["documents_train_bytes"] == metrics["documents_train_bytes_en"] + metrics["documents_train_bytes_ko"]
    )
    assert metrics["people_often"] == metrics["people_rare"] == metrics["people_never"] == 5


def test_the_truth_tells_how_often_each_fact_was_stated(small):
    world = small[0]
    rows = world.files["facts.jsonl"]
    assert len(rows) == 5 * len(world.people) + len(world.facts)
    groups = {
        group: [row["mentions"] for row in rows if row["group"] == group]
        for group in ("often", "rare", "never", "common")
    }
    assert all(counts["en"] >= 3 and counts["ko"] >= 3 for counts in groups["often"])
    assert {counts["en"] + counts["ko"] for counts in groups["rare"]} == {1, 2, 3, 4, 5}
    assert {tuple(counts.values()) for counts in groups["never"]} == {(0, 0)}
    assert {tuple(counts.values()) for counts in groups["common"]} == {(1, 1), (2, 2), (3, 3)}


def test_impossible_sizes_are_told():
    with pytest.raises(UserError, match="people is 4"):
        build_world(WorldArguments(**{**SMALL, "people": 4}))
    with pytest.raises(UserError, match="story_documents is -1, expected 0 or more"):
        build_world(WorldArguments(**{**SMALL, "story_documents": -1}))


BEFORE = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]


def test_a_share_of_rows_without_system_prompt_goes_on_from_an_earlier_conversation_in_their_language():
    earlier = [{"messages": BEFORE, "language": "en"}]
    question, system = {"role": "user", "content": "And you?"}, {"role": "system", "content": "Be kind."}
    rows = [{"messages": [question], "language": language} for language in ("en", "ko")] * 50
    rows += [{"messages": [system, question], "language": "en"}] * 50
    laid = go_on_from(earlier, rows, 0.5, random.Random(4))
    later = [row for row in laid if row["messages"][:2] == BEFORE]
    assert 15 <= len(later) <= 35
    assert {row["language"] for row in later} == {"en"} and all(row["messages"][2:] == [question] for row in later)
    assert [row for row in laid if row not in later] == [
        row for row, new in zip(rows, laid, strict=True) if new is row
    ]
    assert go_on_from([], rows, 1.0, random.Random(4)) == rows and len(BEFORE) == 2


def test_facts_requests_and_identity_are_asked_after_each_other(monkeypatch):
    sizes = SMALL | {"requests": 40, "identity": "configs/laptop/identity.yaml", "identity_rows": 4}
    files = ("dialogs_train", "requests_train", "identity_train")

    def rows(share):
        monkeypatch.setattr("aji.world.build.LATER_SHARE", dict.fromkeys(LATER_SHARE, share))
        world = build_world(WorldArguments(**sizes))
        return {file: [row["messages"] for row in world.files[f"{file}.jsonl"]] for file in files}

    first, later = rows(0.0), rows(1.0)
    for file in files:
        others = [messages for other in files if other != file for messages in first[other]]
        for alone, whole in zip(first[file], later[file], strict=True):
            earlier = whole[: len(whole) - len(alone)]
            assert whole[len(earlier) :] == alone
            assert bool(earlier) == (alone[0]["role"] == "user") and (not earlier or earlier in others)
