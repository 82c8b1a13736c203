import argparse
import contextlib
import json
import time
from concurrent.futures import Future
from multiprocessing import active_children

import pytest
import torch

from aji.errors import UserError
from aji.evals import overoptimisation
from aji.evals.overoptimisation import Kind, Lab, run_lab, workers


class Here:
    """A pool that runs everything at once in this process."""

    def submit(self, function, *args):
        future: Future = Future()
        future.set_result(function(*args))
        return future


@pytest.fixture
def world(tmp_path):
    prompts = [
        {"prompt": [{"role": "user", "content": f"{n} + 1?"}], "kind": "fact", "language": ("en", "ko")[n % 2],
         "answer": str(n + 1), "wrong": [], "references": [], "topic": ""} for n in range(16)
    ]  # fmt: skip
    for split in ("train", "validation", "test"):
        lines = "".join(json.dumps(row) + "\n" for row in prompts)
        (tmp_path / f"preference_prompts_{split}.jsonl").write_text(lines)
    for split, first in (("train", 0), ("validation", 50)):
        pairs = [
            {"prompt": f"{n} + 1?", "chosen": str(n + 1), "rejected": "no", "chosen_score": 1.0, "rejected_score": 0.0}
            for n in range(first, first + 12)
        ]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return tmp_path


def test_the_lab_asks_about_what_its_reward_models_learnt(world, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(overoptimisation, "run_lab", lambda lab, *_: seen.append(lab) or {})
    monkeypatch.setattr(overoptimisation, "workers", lambda: contextlib.nullcontext())
    monkeypatch.setattr(overoptimisation.pictures, "lab", lambda groups, path: path)
    args = argparse.Namespace(
        models=["runs/x"], prompts=world / "preference_prompts_test.jsonl", preferences=world, count=3, samples=4,
        steps=2, seeds=1,
    )  # fmt: skip
    overoptimisation.overoptimisation(args, tmp_path)
    assert seen[0].kinds is None  # the pairs do not say of what kind they are
    pairs = [{**json.loads(line), "kind": "joke"} for line in (world / "train.jsonl").read_text().splitlines()]
    (world / "train.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    overoptimisation.overoptimisation(args, tmp_path)
    assert seen[1].kinds == ("joke",)
    with pytest.raises(UserError, match="found no prompt of the kinds joke"):
        seen[1].test_rows()


def test_the_lab_runs(world, tiny_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(overoptimisation, "LEAST_STEPS", 2)
    monkeypatch.setattr("aji.evals.best_of_n.TOKENS", 6)
    lab = Lab(tiny_run, world, world, count=3, best_of_n_count=2, samples=4, steps=2, looks=1, held_out_pairs=6)
    kinds = [Kind("few", 8), Kind("two small ones", 8, layers=1, members=2)]
    threads = torch.get_num_threads()
    groups = run_lab(lab, kinds, [0, 1], Here(), tmp_path)
    torch.set_num_threads(threads)
    assert list(groups) == ["best-of-n", "RL"] and list(groups["RL"]) == ["few", "two small ones"]
    assert [len(curves["few"]["d"]) for curves in groups.values()] == [3, 2]
    assert all(curve["gold"][0] == 0 for curve in groups["RL"].values()), "of RL's own start, on its own prompts"
    assert [len(entry["points"]) for entry in groups["RL"]["few"]["seeds"]] == [2, 2]
    assert len(groups["RL"]["few"]["seeds"]) == 2 and groups["RL"]["few"]["ceiling"] == [100.0, 100.0]
    assert len(list(tmp_path.glob("two_small_ones-*"))) == 4
    config = json.loads((tmp_path / "two_small_ones-0-1/config.json").read_text())
    assert config["num_hidden_layers"] == 1 and config["architectures"] == ["LlamaForSequenceClassification"]


@pytest.mark.parametrize("trouble", [UserError, KeyboardInterrupt])
def test_after_trouble_nobody_waits_for_the_queue(trouble):
    began = time.monotonic()
    with pytest.raises(trouble), workers() as pool:
        for _ in range(20):
            pool.submit(time.sleep, 30)
        raise trouble("a reward model that cannot be loaded, Ctrl-C")
    assert time.monotonic() - began < 20 and not active_children()
