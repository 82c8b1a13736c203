import json
import os
from pathlib import Path

import pytest

from aji.data.problems import check_apart, keep_fitting, load_problems, to_problem
from aji.errors import UserError


def problem(row):
    return to_problem(row, "p.jsonl row 1", "p")


@pytest.mark.parametrize(
    ("row", "question", "answer"),
    [
        ({"prompt": "2 + 3?", "answer": 5.0}, "2 + 3?", "5"),
        ({"question": "How many?", "answer": "3 + 4 = <<3+4=7>>7\n#### 1,007"}, "How many?", "1,007"),
        ({"problem": "Half?", "solution": "It is \\boxed{\\frac{1}{2}}."}, "Half?", "\\frac{1}{2}"),
        ({"problem": "Half?", "solution": "...", "answer": "0.5"}, "Half?", "0.5"),
        ({"Body": "A pack costs 76.", "Question": "How much?", "Answer": 51.0}, "A pack costs 76. How much?", "51"),
        ({"input": "Joan found 70.", "target": 43.0}, "Joan found 70.", "43"),
        ({"prompt": "Q", "reward_model": {"ground_truth": "8"}}, "Q", "8"),
    ],
)
def test_forms(row, question, answer):
    found = problem(row)
    assert found["prompt"] == [{"role": "user", "content": question}]
    assert found["answer"] == answer and found["task"] == "p" and found["numbers"] == []


def test_countdown_form():
    found = problem({"nums": [3, 5, 2], "target": 13})
    assert found["numbers"] == [3, 5, 2, 13] and "3, 5, 2" in found["prompt"][0]["content"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "2 + 3?"}, "row 1: found a problem without answer"),
        ({"question": "2 + 3?", "answer": " "}, "row 1: found a problem without answer"),
        ({"problem": "Half?", "solution": "no box"}, "row 1: found a problem without answer"),
        ({"text": "a"}, "row 1: found the columns text, expected prompt and answer"),
        ({"prompt": [{"content": "a"}], "answer": "5"}, "row 1: found a prompt of type list"),
    ],
)
def test_bad_rows_are_named(row, message):
    with pytest.raises(UserError, match=message):
        problem(row)


def test_an_answer_that_cannot_be_parsed(monkeypatch):
    monkeypatch.setattr("aji.rewards.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"row 1: the answer '\\\\sqrt\{2\}' cannot be compared.*math-verify"):
        problem({"prompt": "a", "answer": "\\sqrt{2}"})


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_tasks_and_sizes(tmp_path):
    rows = [{"prompt": f"{n}?", "answer": str(n), "task": "ab"[n % 2]} for n in range(6)]
    path = write(tmp_path / "p.jsonl", rows)
    assert len(load_problems(path, max_rows=2)) == 2
    assert {row["answer"] for row in load_problems(path, tasks=["a"])} == {"0", "2", "4"}
    with pytest.raises(UserError, match="found no problem of the task c"):
        load_problems(path, tasks=["a", "c"])
    with pytest.raises(UserError, match="is also trained on"):
        check_apart(load_problems(path), load_problems(path, tasks=["a"]))


@pytest.mark.skipif("AJI_REAL_DATA" not in os.environ, reason="AJI_REAL_DATA does not name a folder of real data")
def test_real_problems_load():
    folder = Path(os.environ["AJI_REAL_DATA"])
    gsm8k = load_problems(str(folder / "rlvr_gsm8k/train.jsonl"))
    assert len(gsm8k) == 7473 and gsm8k[0]["answer"] == "72"
    for name in ("SVAMP.json", "mawps_multiarith.jsonl", "mawps_addsub.jsonl"):
        assert len(load_problems(str(folder / "rlvr_word_problems" / name))) > 300


def test_problems_that_leave_no_room_are_counted(tiny_tokenizer, capsys):
    rows = [problem({"prompt": "2 + 3?", "answer": 5}), problem({"prompt": "long " * 300, "answer": 5})]
    assert keep_fitting(rows, tiny_tokenizer, 50, 256) == rows[:1]
    assert "left out 1 of 2 problems" in capsys.readouterr().out
    assert keep_fitting(rows, tiny_tokenizer, 50, None) == rows
    with pytest.raises(UserError, match="no problem leaves room for 256 tokens"):
        keep_fitting(rows, tiny_tokenizer, 256, 256)
