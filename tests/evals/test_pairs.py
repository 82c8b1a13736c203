import pytest

from aji.evals.pairs import pair_metrics


def test_accuracy_beside_its_ceiling():
    rows = [{"chosen_score": 1.0, "rejected_score": 0.5, "language": "en", "kind": "joke"}] * 6
    rows += [{"chosen_score": 0.5, "rejected_score": 1.0, "language": "ko", "kind": "fact"}] * 2
    metrics = pair_metrics(rows, [1, 1, 1, 1, 1, 0, 1, 0], [0, 0, 0, 0, 0, 1, 0, 0])
    assert metrics["accuracy"] == pytest.approx(100 * 6.5 / 8)  # one tie
    assert metrics["accuracy_low"] < metrics["accuracy"] < metrics["accuracy_high"] and metrics["accuracy_n"] == 8
    assert metrics["ceiling"] == 75
    assert (metrics["accuracy_en"], metrics["accuracy_ko"]) == (pytest.approx(83.33), 75)
    assert metrics["accuracy_joke_n"] == 6
    assert metrics["reward_mean"] == pytest.approx(7 / 16, abs=1e-4)
    assert metrics["reward_margin"] == pytest.approx((6 - 1) / 8)
    assert metrics["eval_loss"] == pytest.approx((6 * 0.3133 + 1.3133 + 0.6931) / 8, abs=1e-3)


def test_pairs_of_people_have_no_ceiling():
    metrics = pair_metrics([{}, {}], [1.0, 2.0], [0.0, 0.0])
    assert metrics["accuracy"] == 100 and "ceiling" not in metrics
    assert not [name for name in metrics if name.startswith("accuracy_") and name[9:] not in ("low", "high", "n")]


def test_pairs_of_one_ranking_share_their_luck():
    alone = pair_metrics([{}] * 40, [1.0] * 20 + [0.0] * 20, [0.5] * 40)
    rows = [{"group": place // 4} for place in range(40)]
    together = pair_metrics(rows, [1.0] * 20 + [0.0] * 20, [0.5] * 40)
    assert together["accuracy"] == alone["accuracy"] == 50
    assert together["accuracy_low"] < alone["accuracy_low"] - 5
