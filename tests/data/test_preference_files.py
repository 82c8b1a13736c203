"""Published forms of comparisons as canonical pairs, and what is left out of them, counted with its reason."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from aji.data.load import load_conversations, open_rows
from aji.data.preferences import (
    PreferenceArguments,
    count_swapped,
    encode_preferences,
    load_preference_splits,
    load_preferences,
    pair_counts,
)
from aji.errors import UserError


REAL_DATA = Path(os.environ.get("AJI_REAL_DATA", "no-such-folder"))
ASK = [{"role": "user", "content": "1 + 1?"}]
EARLIER = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, *ASK]


def said(text, role="assistant"):
    return {"role": role, "content": text}


def pairs_of(*rows, dropped=None, **options):
    places = ((f"row {number}", row) for number, row in enumerate(rows, start=1))
    return load_preferences(places, "my.jsonl", dropped=dropped, **options)


def texts(pairs):
    return [(pair["chosen"][0]["content"], pair["rejected"][0]["content"]) for pair in pairs]


HH = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: 1 + 1?\n\nAssistant: {}"


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "1 + 1?", "chosen": "2", "rejected": "3"}, ASK),
        ({"prompt": ASK, "chosen": [said("2")], "rejected": [said("3")]}, ASK),
        ({"prompt": ASK, "chosen": said("2"), "rejected": said("3")}, ASK),
        (
            {"prompt": "1 + 1?", "chosen": [*ASK, said("2")], "rejected": [*ASK, said("3")]},
            ASK,
        ),  # ultrafeedback_binarized
        ({"chosen": [*EARLIER, said("2")], "rejected": [*EARLIER, said("3")]}, EARLIER),
        ({"chosen": HH.format("2"), "rejected": HH.format("3")}, EARLIER),
        (
            {
                "conversations": [{"from": "human", "value": "1 + 1?"}],
                "chosen": {"from": "gpt", "value": "2"},
                "rejected": {"from": "gpt", "value": "3"},
            },
            ASK,
        ),
        (
            {
                "instruction": "1 + 1?",
                "completions": [{"response": "3", "overall_score": 2.5}, {"response": "2", "overall_score": 8}],
            },
            ASK,
        ),
        ({"prompt": ASK, "responses": ["2", "3"]}, ASK),
    ],
)
def test_known_forms(row, prompt):
    (pair,) = pairs_of(row)
    assert texts([pair]) == [("2", "3")]
    assert pair["prompt"] == prompt


TREE = {
    "message_tree_id": "a",
    "prompt": {
        "message_id": "a", "text": "1 + 1?", "role": "prompter",
        "replies": [
            {"message_id": "b", "text": "3", "role": "assistant", "rank": 1, "replies": []},
            {"message_id": "c", "text": "2", "role": "assistant", "rank": 0, "replies": [
                {"message_id": "d", "text": "Sure?", "role": "prompter", "replies": [
                    {"message_id": "e", "text": "Yes", "role": "assistant", "rank": 0, "replies": []},
                    {"message_id": "f", "text": "No", "role": "assistant", "rank": 1, "replies": []},
                    {"message_id": "g", "text": "Spam", "role": "assistant", "rank": 2, "deleted": True},
                ]},
            ]},
        ],
    },
}  # fmt: skip


def flat(message, parent=None):
    yield {"message_id": message["message_id"], "parent_id": parent, "text": message["text"], "role": message["role"],
           "rank": message.get("rank"), "deleted": message.get("deleted", False)}  # fmt: skip
    for reply in message.get("replies") or []:
        yield from flat(reply, message["message_id"])


@pytest.mark.parametrize("rows", [[TREE], list(flat(TREE["prompt"]))], ids=["tree", "messages"])
def test_message_trees_give_a_ranking_at_each_fork(rows):
    pairs = pairs_of(*rows)
    assert texts(pairs) == [("2", "3"), ("Yes", "No")]
    assert pairs[1]["prompt"] == [*ASK, said("2"), said("Sure?", "user")]


def test_message_trees_are_conversations_too(tmp_path):
    path = tmp_path / "trees.jsonl"
    path.write_text(json.dumps(TREE) + "\n", encoding="utf-8")
    (row,) = load_conversations(str(path))
    assert row["messages"] == [*ASK, said("2"), said("Sure?", "user"), said("Yes")]


def test_a_ranking_gives_all_its_pairs_or_some():
    ranking = {"prompt": ASK, "responses": list("abcd"), "scores": [4, 2, 3, 1], "kind": "joke", "language": "en"}
    pairs = pairs_of(ranking)
    assert texts(pairs) == [*zip("aaabbc", "bcdcdd", strict=True)]
    assert (pairs[3]["chosen_score"], pairs[3]["rejected_score"]) == (2, 3)
    assert {(pair["kind"], pair["language"], pair["group"]) for pair in pairs} == {("joke", "en", 0)}
    few = pairs_of(ranking, pairs_per_prompt=2)
    assert len(few) == 2 and few == pairs_of(ranking, pairs_per_prompt=2)
    asked = [ranking | {"prompt": [said(f"{number}?", "user")]} for number in range(20)]
    two = [
        texts(pair for pair in pairs_of(*asked, pairs_per_prompt=2) if pair["group"] == group) for group in range(20)
    ]
    assert all(set("".join(map("".join, pairs))) == set("abcd") for pairs in two), (
        "no reply twice while there are others"
    )
    assert len({tuple(pairs) for pairs in two}) > 3, "and at random"
    assert len({*texts(pairs_of(ranking, pairs_per_prompt=5))}) == 5
    tied = {
        "instruction": "?",
        "completions": [{"response": r, "score": s} for r, s in (("a", 1), ("b", 1), ("c", 2))],
    }
    assert texts(pairs_of(tied)) == [("c", "a"), ("c", "b")]


def test_what_cannot_be_learnt_from_is_counted():
    dropped = Counter()
    pairs = pairs_of(
        {"prompt": "?", "chosen": "2", "rejected": "3"},
        {"prompt": "?", "chosen": "2", "rejected": " 2\n"},
        {"prompt": "?", "chosen": "2", "rejected": " "},
        {"chosen": HH.format("2"), "rejected": HH.format("3").replace("Hi", "Ho")},
        {"chosen": "\n\nHuman: Hi", "rejected": HH.format("3")},
        dropped=dropped,
    )
    assert len(pairs) == 1
    assert dropped == {"equal": 1, "empty": 2, "prompts_differ": 1}
    with pytest.raises(
        UserError, match=r"my.jsonl: found no two replies to compare \(1 compare a reply with itself\)"
    ):
        pairs_of({"prompt": "?", "chosen": "2", "rejected": "2"}, dropped=Counter())


def test_pairs_given_both_ways_are_counted():
    a, b = {"prompt": "?", "chosen": "2", "rejected": "3"}, {"prompt": "?", "chosen": "3", "rejected": "2"}
    assert count_swapped(pairs_of(a, b, a)) == 3
    assert pair_counts(pairs_of(a, b), 2, {"long": 3}) == {"train_pairs": 2, "swapped_pairs": 2, "dropped_long": 3}
    assert count_swapped(pairs_of(a, a)) == 0
    assert count_swapped(pairs_of(a, b | {"prompt": "!"})) == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "a"}, "row 1: found the columns text, expected one of: chosen and rejected"),
        ({"messages": ASK, "label": True}, "row 1: found one reply with a label, expected two to compare"),
        ({"chosen": "a", "rejected": "b"}, "row 1: chosen is a text and there is no prompt, expected a transcript"),
        (
            {"prompt": "?", "chosen": 3, "rejected": "b"},
            "row 1: a reply is of type int, expected a string or a message",
        ),
        ({"prompt": " ", "chosen": "a", "rejected": "b"}, "row 1: found an empty prompt"),
        (
            {"instruction": "?", "completions": [{"response": "a"}]},
            "row 1: completion 1 has no score, expected one of",
        ),
        ({"prompt": ASK, "responses": ["a", "b"], "scores": [1]}, "row 1: found 1 scores for 2 replies"),
        (
            {"prompt": {"text": "?", "role": "king", "replies": []}},
            "row 1: role 'king' of a message tree, expected prompter or assistant",
        ),
    ],
)
def test_mistakes_of_form(row, message):
    with pytest.raises(UserError) as caught:
        pairs_of(row)
    assert str(caught.value).startswith(message)


def test_columns_of_an_unknown_form():
    columns = {"prompt": "q", "chosen": "good", "rejected": "bad"}
    assert texts(pairs_of({"q": "?", "good": "2", "bad": "3"}, columns=columns)) == [("2", "3")]
    with pytest.raises(UserError, match="row 1: found no column 'good' but q, best. Correct --columns"):
        pairs_of({"q": "?", "best": "2"}, columns=columns)
    with pytest.raises(UserError, match="columns: found prompt, expected prompt, chosen, rejected"):
        PreferenceArguments("a.jsonl", columns={"prompt": "q"})


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_the_tail_holds_whole_prompts(tmp_path, capsys):
    rows = [{"prompt": f"{n}?", "responses": ["a", "b", "c"]} for n in range(10)]
    file = write(tmp_path / "rankings.jsonl", rows)
    train, held_out, _ = load_preference_splits(PreferenceArguments(file, eval_tail=0.2))
    assert (len(train), len(held_out)) == (24, 6)
    assert not {row["group"] for row in train} & {row["group"] for row in held_out}
    with pytest.raises(UserError, match="eval_tail 0.99 of 10 prompts leaves one side empty"):
        load_preference_splits(PreferenceArguments(file, eval_tail=0.99))
    with pytest.raises(UserError, match="the held-out set is the training set"):
        load_preference_splits(PreferenceArguments(file, eval_file=file))
    rows[0]["responses"] = ["a", "a"]
    _, _, dropped = load_preference_splits(PreferenceArguments(write(tmp_path / "b.jsonl", rows), eval_tail=0.2))
    assert dropped == {"equal": 1}
    assert "left out 1 of 28 pairs: 1 compare a reply with itself" in capsys.readouterr().out


def test_tokens_of_a_pair(tiny_tokenizer, capsys):
    long = {"prompt": "1 + 1?", "chosen": "2 " * 200, "rejected": "3"}
    pairs = pairs_of({"prompt": EARLIER, "chosen": "2", "rejected": "<|im_end|>", "kind": "sum"}, long)
    dropped = Counter()
    (row,) = encode_preferences(pairs, tiny_tokenizer, 128, dropped)
    stop = tiny_tokenizer.eos_token_id
    assert tiny_tokenizer.decode(row["prompt_ids"]).endswith(
        "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert row["chosen_ids"] == [*tiny_tokenizer.encode("2"), stop]
    assert row["rejected_ids"].count(stop) == 1, "the text of a reply cannot be a stop token"
    assert row["kind"] == "sum" and "prompt" not in row
    assert dropped == {"long": 1}
    assert "left out 1 of 2 pairs that are longer than 128 tokens" in capsys.readouterr().out
    with pytest.raises(UserError, match="no pair fits into 4 tokens"):
        encode_preferences(pairs, tiny_tokenizer, 4, Counter())


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="AJI_REAL_DATA names no folder of real files")
@pytest.mark.parametrize(
    ("file", "least", "lost"),
    [
        ("pref_hh_rlhf_harmless_test/harmless-base_test.jsonl.gz", 2300, {"prompts_differ": 5}),
        ("pref_ko_square_kosbi/square_pairs_ood.jsonl", 80, {}),
        ("pref_llamafactory_dpo_kto/dpo_en_demo.json", 290, {}),
        ("sft_oasst_trees/en_100_tree.jsonl", 250, {}),
    ],
)
def test_real_files(file, least, lost):
    dropped = Counter()
    pairs = load_preferences(open_rows(str(REAL_DATA / file)), file, dropped=dropped)
    assert len(pairs) >= least
    assert {reason: count for reason, count in dropped.items() if reason in lost} == lost
    assert sum(dropped.values()) < 0.02 * len(pairs)


def test_rankings_are_trained_on_in_random_order_and_their_pairs_stay_together(tmp_path):
    rows = [{"prompt": f"Q{n:03}", "responses": ["a", "b", "c"]} for n in range(100)]
    args = PreferenceArguments(write(tmp_path / "sorted.jsonl", rows), eval_tail=0.2)
    train, held_out, _ = load_preference_splits(args)
    asked = [pair["prompt"][0]["content"] for pair in train]
    assert sorted(asked) == sorted([f"Q{n:03}" for n in range(80) for _ in range(3)]) != asked
    assert all(asked[start] == asked[start + 1] == asked[start + 2] for start in range(0, 240, 3))
    assert [pair["prompt"][0]["content"] for pair in held_out][::3] == [f"Q{n:03}" for n in range(80, 100)]
    assert load_preference_splits(args)[0] == train
