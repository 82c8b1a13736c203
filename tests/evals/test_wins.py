import random

import pytest

from aji.evals.wins import length_controlled, outcomes, win_metrics


def test_a_liking_for_the_first_place_cancels_out():
    rows = [{}] * 3
    assert outcomes(rows, "abc", "xyz", lambda row, a, b: 1.0) == [0.5] * 3
    assert outcomes(rows, "abc", "xyz", lambda row, a, b: float(a < b)) == [1.0] * 3


def test_win_rates_by_language_and_kind():
    rows = [{"language": "en", "kind": "joke"}, {"language": "ko", "kind": "fact"}]
    metrics = win_metrics(rows, [1.0, 0.5], [5, 5], [5, 5])
    assert metrics["win_rate"] == 75 and metrics["win_rate_n"] == 2
    assert (metrics["win_rate_en"], metrics["win_rate_ko"]) == (100, 50)
    assert (metrics["win_rate_joke"], metrics["win_rate_fact"]) == (100, 50)


def test_parts_are_counted_apart():
    rows = [{"language": "en", "kind": "joke"}] * 4
    metrics = win_metrics(rows, [1.0, 0.0, 0.5, 1.0], [5, 9, 5, 5], [5] * 4, {"trained": [0, 2], "none": []})
    assert (metrics["win_rate_trained"], metrics["win_rate_trained_n"]) == (75, 2)
    expected = length_controlled("w", [1.0, 0.5], [5, 5], [5, 5])["w"]
    assert metrics["win_rate_trained_length_controlled"] == expected
    assert not any("none" in name for name in metrics)


def test_several_replies_to_a_prompt_count_as_one():
    """The rates are those of all replies; how sure they are is a matter of prompts."""
    rng = random.Random(3)
    rows = [{"language": "en", "kind": "joke"}] * 100
    wins = [float(rng.random() < 0.7) for _ in rows]
    lengths = [rng.randint(5, 30) for _ in rows], [rng.randint(5, 30) for _ in rows]
    once = win_metrics(rows, wins, *lengths)
    again = win_metrics(rows * 4, wins * 4, *(side * 4 for side in lengths), samples=4)
    assert again == once and again["win_rate_en_n"] == 100
    mixed = win_metrics(rows[:1] * 4, [1.0, 1.0, 0.0, 0.5], [5] * 4, [5] * 4, samples=4)
    assert (mixed["win_rate"], mixed["win_rate_n"]) == (62.5, 1)


def test_wins_by_length_alone_are_no_wins():
    rng = random.Random(1)
    ours = [rng.randint(10, 60) for _ in range(400)]
    theirs = [rng.randint(5, 30) for _ in range(400)]
    longer = [
        float(a > b) if rng.random() < 0.9 else float(rng.random() < 0.5) for a, b in zip(ours, theirs, strict=True)
    ]
    assert sum(longer) / 400 > 0.75
    assert length_controlled("w", longer, ours, theirs)["w"] < 55
    better = [float(rng.random() < 0.8) for _ in range(400)]
    controlled = length_controlled("w", better, ours, theirs)
    assert controlled["w_low"] < 80 < controlled["w_high"] and controlled["w_n"] == 400


def test_equal_lengths_and_clear_cases_stay_finite():
    even = length_controlled("w", [1.0, 0.0, 1.0, 0.0], [5] * 4, [5] * 4)
    assert even["w"] == pytest.approx(50)
    clear = length_controlled("w", [1.0] * 50, list(range(50)), [3] * 50)
    assert 85 < clear["w"] < 100 and clear["w_high"] <= 100
    assert length_controlled("w", [], [], []) == {}
