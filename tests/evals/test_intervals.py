import pytest

from aji.evals.intervals import mean, share, share_of_groups


def test_wilson_interval_of_a_known_case():
    # 8 of 10: the textbook's interval is 0.490 to 0.943.
    assert share("x", 8, 10) == {"x": 80.0, "x_low": 49.02, "x_high": 94.33, "x_n": 10}


def test_extreme_shares_stay_inside_and_keep_a_width():
    assert share("x", 0, 20)["x_low"] == 0.0
    assert share("x", 0, 20)["x_high"] == pytest.approx(16.11, abs=0.01)
    assert share("x", 20, 20)["x_high"] == 100.0


def test_nothing_asked_gives_no_figure():
    assert share("x", 0, 0) == {}
    assert mean("x", []) == {}


def test_what_is_alike_within_groups_counts_less():
    values = [1, 1, 0, 0, 1, 1, 1, 1]
    assert share_of_groups("x", values, range(8)) == share("x", 6, 8)
    wider = share_of_groups("x", values, [0, 0, 1, 1, 2, 2, 3, 3])
    assert wider == share("x", 3, 4) | {"x_n": 8}
    assert share_of_groups("x", [1, 0] * 2 + [1, 1, 0, 1], [0, 0, 1, 1, 2, 2, 3, 3]) == share("x", 5, 8), "never more"
    assert share_of_groups("x", [1.0] * 8, [0] * 4 + [1] * 4) == share("x", 2, 2) | {"x_n": 8}
    assert share_of_groups("x", [], []) == {}


def test_mean_interval():
    metrics = mean("x", [1.0, 2.0, 3.0, 4.0])
    assert metrics["x"] == 2.5
    assert metrics["x_high"] - metrics["x"] == pytest.approx(1.96 * 1.29099 / 2, abs=1e-3)


def test_the_interval_of_a_mean_stays_where_its_values_can_lie():
    metrics = mean("x", [1.0] * 7 + [0.5], least=0, most=1)
    assert metrics["x_high"] == 1
    assert 0 < metrics["x_low"] < metrics["x"] == 0.9375
    assert mean("x", [0.0] * 7 + [0.5], least=0, most=1)["x_low"] == 0
