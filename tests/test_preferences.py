import json

import pytest

from aji.errors import UserError
from aji.generate import Completion
from aji.preferences import draw_rankings, group_sizes, help_metrics, label_metrics, load_prompts, score_metrics
from aji.world.labeler import Labeler


ROW = {"prompt": [{"role": "user", "content": "Capital?"}], "kind": "fact", "language": "en", "answer": "Seoul",
       "wrong": ["Busan"], "references": [], "topic": ""}  # fmt: skip


def completion(text, stopped=True):
    return Completion([1], text, stopped)


def test_replies_are_ranked_and_the_ranking_is_kept():
    replies = [completion(text) for text in ("It is Busan.", "It is Seoul.", "I do not know.", " It is Seoul.")]
    replies.append(completion("It is", stopped=False))
    (ranking,), left_out = draw_rankings([ROW], [replies], Labeler(noise=0, seed=1))
    assert ranking["responses"] == ["It is Seoul.", "I do not know.", "It is Busan."]
    assert ranking["scores"] == sorted(ranking["scores"], reverse=True)
    assert (ranking["prompt"], ranking["kind"], ranking["language"]) == (ROW["prompt"], "fact", "en")
    assert left_out == {"unfinished": 1, "same": 1, "too_few": 0}


def test_one_reply_is_no_ranking():
    with pytest.raises(UserError, match="no two different whole replies to any prompt"):
        draw_rankings([ROW], [[completion("Seoul."), completion("Seoul.")]], Labeler(0, 1))
    rankings, left_out = draw_rankings(
        [ROW, ROW], [[completion("a")], [completion("a"), completion("b")]], Labeler(0, 1)
    )
    assert len(rankings) == 1 and left_out["too_few"] == 1


def test_group_sizes():
    sizes = group_sizes(500, 4, 9, seed=1)
    assert set(sizes) == set(range(4, 10)) and sizes == group_sizes(500, 4, 9, seed=1)
    for wrong in ((1, 4), (5, 4)):
        with pytest.raises(UserError, match="responses_min . and responses_max 4: expected two replies or more"):
            group_sizes(5, *wrong, seed=1)


def test_what_noise_leaves_to_be_learnt():
    right, wrong = {"chosen_score": 0.6, "rejected_score": 0.5}, {"chosen_score": 0.5, "rejected_score": 0.6}
    pairs = [pair | {"group": group} for group, pair in enumerate([right] * 3 + [wrong])]
    metrics = label_metrics(pairs, noise=0.1)
    assert metrics["ceiling"] == 75
    assert metrics["agreement"] == pytest.approx(100 * (0.7311**2 + 0.2689**2), abs=0.02)


def test_mean_scores_by_kind():
    rows = [{"kind": "joke", "scores": [0.2, 0.4]}, {"kind": "fact", "scores": [0.9]}]
    metrics = score_metrics(rows)
    assert metrics["gold_score"] == 0.5 and metrics["gold_score_joke"] == pytest.approx(0.3)
    assert metrics["gold_score_n"] == 3


def test_replies_that_fall_apart_or_are_about_something_else_do_not_help():
    row = {"kind": "joke", "language": "en", "topic": "fox", "answer": "", "wrong": [], "references": []}
    said = ("Why did the fox run? Because it could.", "Why did the hen run? Because it could.", "The fox mountor take")
    replies = [*map(completion, said), completion("Why did the fox run? Because", stopped=False)]
    metrics = help_metrics([row, row], [replies[:1], replies[1:]])
    assert (metrics["helpful"], metrics["helpful_n"]) == (25, 4)


def test_prompts_must_be_of_the_world(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps({"prompt": ROW["prompt"]}) + "\n")
    with pytest.raises(UserError, match="prompts.jsonl row 2: found no 'kind', which the labeler needs"):
        load_prompts(str(path))
    with pytest.raises(UserError, match="found no such file. Make the prompts with recipes/world.py"):
        load_prompts(str(tmp_path / "none.jsonl"))


def test_prompts_of_some_kinds(tmp_path):
    keys = dict.fromkeys(("answer", "references", "topic"), "")
    rows = [{"prompt": [], "kind": kind, "language": "en", **keys} for kind in ("joke", "fact", "joke")]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [row["kind"] for row in load_prompts(str(path), kinds=["joke"])] == ["joke", "joke"]
    assert len(load_prompts(str(path), 2)) == 2
    twice = load_prompts(str(path), 2, samples=2)
    assert twice == load_prompts(str(path), 2) * 2
    with pytest.raises(UserError, match="eval_samples is 0, expected 1 or more"):
        load_prompts(str(path), samples=0)
    with pytest.raises(UserError, match="no prompt of the kinds jok. There are: fact, joke"):
        load_prompts(str(path), kinds=["jok"])
