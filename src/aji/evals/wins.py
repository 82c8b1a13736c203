"""Which of two models replies better: win rates in both orders, and as if both replied at the same length."""

from collections.abc import Callable, Mapping, Sequence
from math import exp, sqrt

import numpy as np

from aji.evals.intervals import Z95, share


# 1 where a judge prefers the first of two replies to a prompt, 0 where the second, 0.5 for neither.
Judge = Callable[[Mapping, str, str], float]
# Keeps the regression finite where one side wins every time: as if one more comparison had been undecided.
RIDGE = 0.25


def outcomes(rows: Sequence[Mapping], ours: Sequence[str], theirs: Sequence[str], judge: Judge) -> list[float]:
    """What a judge says of each pair, asked in both orders, so that a liking for the first place cancels out."""
    return [(judge(row, a, b) + 1 - judge(row, b, a)) / 2 for row, a, b in zip(rows, ours, theirs, strict=True)]


def win_metrics(
    rows: Sequence[Mapping],
    wins: Sequence[float],
    ours: Sequence[int],
    theirs: Sequence[int],
    parts: Mapping[str, Sequence[int]] | None = None,
    samples: int = 1,
) -> dict[str, float]:
    """Flat metrics: `win_rate` (percent, a tie counts half), also by language and kind; `win_rate_length_controlled`.

    Both also as `win_rate_PART` of the comparisons at the places that `parts` names. `ours` and `theirs` are the
    lengths of the replies. Where each prompt is there `samples` times, the intervals, and `n`, count prompts.
    """

    def rate(name: str, places: Sequence[int]) -> dict[str, float]:
        return share(name, sum(wins[place] for place in places) / samples, round(len(places) / samples))

    def both(name: str, places: Sequence[int]) -> dict[str, float]:
        part = ([values[place] for place in places] for values in (wins, ours, theirs))
        return rate(name, places) | length_controlled(f"{name}_length_controlled", *part, samples)

    metrics = both("win_rate", range(len(wins)))
    for part, places in (parts or {}).items():
        metrics |= both(f"win_rate_{part}", places)
    for column in ("language", "kind"):
        for value in sorted({row[column] for row in rows}):
            places = [place for place, row in enumerate(rows) if row[column] == value]
            metrics |= rate(f"win_rate_{value}", places)
    return metrics


def length_controlled(
    name: str, wins: Sequence[float], ours: Sequence[int], theirs: Sequence[int], samples: int = 1
) -> dict[str, float]:
    """The win rate in percent that a logistic regression on the difference in length gives for equal lengths.

    As AlpacaEval has it (Dubois et al. 2024, arXiv 2404.04475), with the prompts' difficulty left out: P(win) =
    sigmoid(a + b tanh(d / std(d))), at d = 0. The interval is that of a; `samples` replies to a prompt count as one.
    """
    if not wins:
        return {}
    difference = np.subtract(ours, theirs).astype(float)
    spread = difference.std()
    inputs = np.stack([np.ones(len(wins)), np.tanh(difference / spread) if spread else 0 * difference], axis=1)
    target, weights = np.asarray(wins, dtype=float), np.zeros(2)
    for _ in range(50):  # Newton's method; converges in a few steps
        p = 1 / (1 + np.exp(-inputs @ weights))
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs / samples + RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, inputs.T @ (target - p) / samples - RIDGE * weights)
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            break
    half = Z95 * sqrt(np.linalg.inv(curvature)[0, 0])
    return {
        name: _percent(weights[0]),
        f"{name}_low": _percent(weights[0] - half),
        f"{name}_high": _percent(weights[0] + half),
        f"{name}_n": round(len(wins) / samples),
    }


def _percent(logit: float) -> float:
    return round(100 / (1 + exp(-logit)), 2)
