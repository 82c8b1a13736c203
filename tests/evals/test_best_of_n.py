import itertools
import math

import numpy as np
import pytest
import torch

from aji.evals.best_of_n import (
    best_of,
    chances,
    choose,
    curve,
    golds,
    kl_of,
    powers_of_two,
    proxies,
    sample,
)
from aji.generate import Completion
from aji.reward_model import build_reward_model
from aji.rlhf import Reward


FACT = {"kind": "fact", "language": "en", "answer": "Seoul", "wrong": ["Busan"], "references": [], "topic": ""}


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_the_estimate_is_the_mean_over_all_choices_of_n(n):
    rng = np.random.default_rng(1)
    proxy, value = rng.normal(size=(4, 6)), rng.normal(size=(4, 6))
    expected = [
        np.mean([value[row][max(places, key=lambda place: proxy[row][place])] for places in subsets(6, n)])
        for row in range(4)
    ]
    assert best_of(proxy, value, n) == pytest.approx(expected)


def subsets(size, n):
    return list(itertools.combinations(range(size), n))


def test_of_one_it_is_the_mean_and_of_all_the_best():
    proxy, value = np.array([[0.0, 2.0, 1.0]]), np.array([[5.0, 7.0, 9.0]])
    assert best_of(proxy, value, 1) == pytest.approx([7.0]) and best_of(proxy, value, 3) == pytest.approx([7.0])
    assert best_of(proxy, proxy, 3) == pytest.approx([2.0])
    with pytest.raises(ValueError, match="n is 4, expected 1 to 3"):
        best_of(proxy, value, 4)


def test_the_distance_of_best_of_n():
    assert kl_of(1) == 0 and kl_of(4) == pytest.approx(math.log(4) - 0.75)
    assert powers_of_two(256)[-1] == 256 and powers_of_two(100) == [1, 2, 4, 8, 16, 32, 64]


def test_a_perfect_and_a_blind_reward_model():
    rng = np.random.default_rng(2)
    gold, opponents = rng.normal(size=(300, 64)), rng.normal(size=(300, 8))
    perfect, blind = curve(gold, gold, opponents), curve(rng.normal(size=(300, 64)), gold, opponents)
    assert [entry["n"] for entry in perfect] == [1, 2, 4, 8, 16, 32, 64]
    assert perfect[0]["win_rate"] == pytest.approx(50, abs=3) and perfect[1]["win_rate"] == pytest.approx(67, abs=3)
    assert perfect[-1]["win_rate"] > 97 and perfect[-1]["gold_score"] == pytest.approx(perfect[-1]["reward"])
    assert blind[-1]["win_rate"] == pytest.approx(50, abs=6) and blind[-1]["reward"] > 2
    assert all(entry["gold_score_low"] < entry["gold_score"] < entry["gold_score_high"] for entry in perfect)


def test_a_tie_counts_half():
    assert chances(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0]])).tolist() == [[0.75, 1.0]]


def reply(text, ids, stopped=True):
    return Completion(ids, text, stopped, 4 if stopped else None)


def test_gold_and_proxy_of_samples(tiny_run, tiny_tokenizer):
    torch.manual_seed(1)
    reward = Reward([build_reward_model(tiny_run, tiny_tokenizer, dtype="float32")], tiny_tokenizer)
    stop = tiny_tokenizer.eos_token_id
    own = [
        Completion([30, 31], "It is Seoul.", True, stop), Completion([40], "It is Busan.", True, stop),
        Completion([30, 31], "It is Seoul.", True, stop), Completion([50], "It is", False),
    ]  # fmt: skip
    rows = [FACT | {"prompt": [{"role": "user", "content": "Where?"}]}]
    gold, proxy = golds(rows, [own]), proxies(reward, rows, [own])
    assert gold.shape == proxy.shape == (1, 4)
    assert gold[0, 0] == gold[0, 2] > gold[0, 1]
    assert proxy[0, 0] == proxy[0, 2] != proxy[0, 1] and proxy[0, 3] == proxy[0, :3].min()
    (best,) = choose(np.array([[0.0, 1.0, 3.0, 9.0]]), [own], 3)
    assert best is own[2]


def test_samples_stand_by_their_prompt(fresh_model, tiny_tokenizer):
    rows = [{"prompt": [{"role": "user", "content": text}]} for text in ("hi", "What is 12 + 34?")]
    drawn = sample(fresh_model(), tiny_tokenizer, rows, 3, seed=1, max_new_tokens=4)
    assert [len(own) for own in drawn] == [3, 3]
    assert drawn == sample(fresh_model(), tiny_tokenizer, rows, 3, seed=1, max_new_tokens=4)
