import argparse
import json

import pytest

from aji.cli import main
from aji.errors import UserError
from aji.evals import many_tries, over_steps, thinking
from aji.evals.progress import demonstrators
from aji.rewards import is_right
from aji.world.ladder import draw_exercise


@pytest.fixture
def args(tiny_run, tmp_path):
    import random

    rng = random.Random(1)
    rows = [draw_exercise(rng, "carry2", language, "test").row() for language in ("en", "ko") for _ in range(3)]
    problems = tmp_path / "problems.jsonl"
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return argparse.Namespace(models=[tiny_run], problems=problems, tasks=["carry2"], count=4, seed=0)


def test_budget_counts_what_is_right_within_so_many_tokens(args, tmp_path, monkeypatch):
    monkeypatch.setattr(thinking, "BUDGETS", (2, 8))
    thinking.budget(args, tmp_path)
    (entries,) = json.loads((tmp_path / "budget.json").read_text()).values()
    assert [entry["tokens"] for entry in entries] == [2, 8]
    assert all(entry["right"] == 0 and entry["right_n"] == 4 for entry in entries)
    assert (tmp_path / "budget.png").stat().st_size > 5000


def test_order_asks_the_same_problems_in_every_style():
    rows = {style: thinking.asked("carry3", style, 8, 0) for style in ("steps", "first", "direct")}
    answers = [[row["answer"] for row in own] for own in rows.values()]
    assert answers[0] == answers[1] == answers[2] and len(answers[0]) == 8
    questions = [row["prompt"][0]["content"] for own in rows.values() for row in own]
    assert len(set(questions)) == 24
    spelled = thinking.asked("letters", "direct", 4, 0, spelled=True)
    assert all("-" in row["prompt"][0]["content"] for row in spelled)


def test_tries_of_two_models(args, tmp_path, monkeypatch):
    monkeypatch.setattr(many_tries, "SAMPLES", 4)
    monkeypatch.setattr(many_tries, "KS", (1, 4))
    monkeypatch.setattr(many_tries, "LONGEST", 4)
    many_tries.tries(args, tmp_path)
    series = json.loads((tmp_path / "tries.json").read_text())
    assert len(series) == 2 and all([entry["k"] for entry in own] == [1, 4] for own in series.values())


HISTORY = [
    {"step": 0, "held_out": 30.0, "held_out_low": 25.0, "held_out_high": 35.0},
    {"step": 1, "mean_reward": 0.3, "mean_length": 20.0, "checking_share": 0.2, "dead_groups": 0.1},
    {"step": 2, "mean_reward": 0.9, "mean_length": 30.0, "checking_share": 0.1, "dead_groups": 0.6},
    {"step": 2, "held_out": 92.0, "held_out_low": 88.0, "held_out_high": 95.0},
]


def test_pictures_of_a_run(tmp_path):
    run = tmp_path / "rlvr"
    run.mkdir()
    (run / "log_history.json").write_text(json.dumps(HISTORY))
    (run / "metrics.json").write_text(
        json.dumps({"demonstrators": 45.0, "demonstrators_low": 42.0, "demonstrators_high": 48.0})
    )
    main(["experiment", "beyond", str(run)])
    main(["experiment", "steps", str(run)])
    for name in ("beyond", "steps"):
        assert (tmp_path / f"experiments/{name}.png").stat().st_size > 5000
    with pytest.raises(UserError, match="holds no finished run"):
        over_steps.steps(argparse.Namespace(models=[str(tmp_path)]), tmp_path)


def test_demonstrators_are_judged_by_the_checkers(tmp_path):
    replies = ["So the answer is 5.", "So the answer is 6.", "5"]
    rows = [
        {"messages": [{"role": "user", "content": "2 + 3"}, {"role": "assistant", "content": reply}]}
        | {"task": "a", "answer": "5", "requested": number == 2}
        for number, reply in enumerate(replies)
    ]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert demonstrators(str(path), ["a"])["demonstrators"] == 50.0
    assert demonstrators(str(path), ["b"]) == {}
    assert is_right("5", {"answer": "5"})
