import numpy as np
import pytest

from aji.evals.proxy_curves import fit_best_of_n, fit_rl, standardise, stop_of, table, together
from aji.report import overoptimisation as pictures


D = np.linspace(0, 4, 15)


def test_the_fits_find_known_coefficients():
    found = fit_best_of_n(D, D * (1.2 - 0.2 * D))
    assert (found["a"], found["b"], found["r2"]) == pytest.approx((1.2, 0.2, 1.0))
    assert found["peak_d"] == pytest.approx(3.0)
    gain = np.where(D > 0, D * (0.9 - 0.6 * np.log(np.maximum(D, 1e-9))), 0)
    found = fit_rl(D, gain)
    assert (found["a"], found["b"], found["r2"]) == pytest.approx((0.9, 0.6, 1.0))
    assert found["peak_d"] == pytest.approx(D[gain.argmax()], abs=0.15) == pytest.approx(np.exp(0.5), abs=0.15)
    assert found["fitted"] == pytest.approx(gain.tolist())


def test_the_fits_with_noise_and_without_a_fall():
    noise = np.random.default_rng(1).normal(scale=0.02, size=len(D))
    found = fit_rl(D, np.where(D > 0, D * (0.9 - 0.6 * np.log(np.maximum(D, 1e-9))), 0) + noise)
    assert (found["a"], found["b"]) == pytest.approx((0.9, 0.6), abs=0.03) and 0.9 < found["r2"] < 1
    assert fit_best_of_n(D, D * (0.5 + 0.1 * D))["peak_d"] is None is fit_rl(D, D * (0.5 + 0.1 * D))["peak_d"]


def point(step, gold, reward, preferred, d):
    look = {"step": step, "preferred": preferred, "reply_kl": d * d}
    return {"d": d, "gold_score": gold, "reward": reward, "look": look}


RUN = [point(0, 0.5, 1, 50, 0), point(4, 0.7, 2, 70, 1), point(8, 0.9, 4, 68, 2), point(12, 0.6, 6, 60, 3),
       point(16, 0.4, 8, 40, 4)]  # fmt: skip
START = {"gold": (0.5, 0.2), "proxy": (1.0, 2.0)}


def test_gains_are_in_standard_deviations_of_the_start():
    gold, proxy = standardise(RUN, START)
    assert gold == pytest.approx([0, 1, 2, 0.5, -0.5]) and proxy == pytest.approx([0, 0.5, 1.5, 2.5, 3.5])


def test_the_stop_sees_labels_only():
    assert stop_of(RUN) == 1, "the best by gold is the look after it"
    assert stop_of([*RUN[:4], point(16, -9, 8, 80, 4)]) == 4


def test_the_curve_of_all_seeds_and_its_picture(tmp_path):
    shifted = [entry | {"gold_score": entry["gold_score"] + 0.02} for entry in RUN]
    found = together([(RUN, START), (shifted, START)], fit_rl)
    assert found["gold"] == pytest.approx([0.05, 1.05, 2.05, 0.55, -0.45])
    assert found["gold_low"][2] == pytest.approx(2.0) and found["gold_high"][2] == pytest.approx(2.1)
    assert found["seeds"][0]["gold_peak"] == pytest.approx(2.0) and found["seeds"][0]["gold_peak_d"] == 2
    assert found["stop_d"] == [1, 1] and found["seeds"][0]["gold_score_stop"] == 0.7
    groups = {"best-of-n": {"few": without_looks(found)}, "RL": {"few": found}}
    for curves in groups.values():
        curves["few"] |= {"accuracy": [70.0, 72.0]}
    assert pictures.lab(groups, tmp_path / "lab.png").stat().st_size > 10_000
    rows = table(groups).splitlines()
    assert rows[3].startswith("| RL | few | 71.0 % | 2.05 | 2.00 |") and rows[3].endswith("| 51 % |")
    assert rows[2].endswith("|  |")


def without_looks(curve):
    seeds = [{key: value for key, value in entry.items() if "stop" not in key} for entry in curve["seeds"]]
    return {key: value for key, value in curve.items() if "stop" not in key} | {"seeds": seeds}
