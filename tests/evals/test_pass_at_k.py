import random
from itertools import combinations

import pytest

from aji.evals.pass_at_k import Tries, by_task, majority, pass_at_k, pass_metrics, take_evenly, try_problems


def tries(right, texts=None, task="a"):
    texts = texts or ["1"] * len(right)
    return Tries({"task": task}, texts, right, [True] * len(right), [1] * len(right))


def test_pass_at_k_is_the_share_of_draws_with_a_right_one():
    results = [True, True, False, False, False, False]
    for k in (1, 2, 3, 5, 6):
        draws = list(combinations(results, k))
        assert pass_at_k(6, 2, k) == pytest.approx(sum(map(any, draws)) / len(draws))
    assert pass_at_k(4, 0, 4) == 0.0


def test_majority_takes_the_answer_given_most():
    own = tries([True, True, False, False, False], ["5", "the answer is 5.", "6", "7", "8"])
    assert majority(own, 5, random.Random(0))
    own = tries([True, False, False], ["5", "6", "6"])
    assert not majority(own, 3, random.Random(0))


def test_pass_metrics_and_tasks():
    one = [tries([True]), tries([False]), tries([True], task="b"), tries([True], task="b")]
    assert pass_metrics("pass", one)["pass"] == 75.0 and pass_metrics("pass", one)["pass_n"] == 4
    assert list(by_task(one)) == ["a", "b"]
    several = [tries([True, False]), tries([True, True])]
    assert pass_metrics("pass", several)["pass"] == 75.0
    assert 0 <= pass_metrics("pass", several)["pass_low"] < 75 < pass_metrics("pass", several)["pass_high"] <= 100


def test_take_evenly():
    rows = [
        {"task": task, "language": language, "n": n} for n in range(5) for task in "ab" for language in ("en", "ko")
    ]
    taken = take_evenly(rows, 4)
    assert len(taken) == 8 and {row["n"] for row in taken} == {0, 1}


def test_tries_of_a_model_are_judged_and_a_cut_reply_is_wrong(tiny_model, tiny_tokenizer):
    rows = [{"prompt": [{"role": "user", "content": "hi"}], "answer": "", "task": "a", "numbers": []}] * 2
    found = try_problems(tiny_model, tiny_tokenizer, rows, 3, 4, seed=1)
    assert [len(own.right) for own in found] == [3, 3]
    assert all(not right or stopped for own in found for right, stopped in zip(own.right, own.stopped, strict=True))
    again = try_problems(tiny_model, tiny_tokenizer, rows, 3, 4, seed=1)
    assert [own.texts for own in found] == [own.texts for own in again]
