"""Curves of gold and proxy reward over the distance from the start: their fits, their peaks, and where to stop.

The forms are those of Gao, Schulman and Hilton 2022 (arXiv 2210.10760), with d the square root of the KL.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

import numpy as np

from aji.early_stop import EarlyStopArguments, decide


FIGURES = ("gold_peak", "gold_peak_d", "gold_end", "proxy_end")


def fit_best_of_n(d: Sequence[float], gain: Sequence[float]) -> dict[str, float]:
    """a, b, R^2 and the peak of gain = d (a - b d), by least squares; the peak is None where b is not positive."""
    d = np.asarray(d, dtype=float)
    return _fit(d, gain, d, lambda a, b: a / (2 * b))


def fit_rl(d: Sequence[float], gain: Sequence[float]) -> dict[str, float]:
    """a, b, R^2 and the peak of gain = d (a - b log d), by least squares; 0 at d = 0."""
    d = np.asarray(d, dtype=float)
    logs = np.log(np.maximum(d, 1e-12))
    return _fit(d, gain, logs, lambda a, b: np.exp(a / b - 1))


def _fit(d: np.ndarray, gain: Sequence[float], bend: np.ndarray, peak: Callable[[float, float], float]) -> dict:
    gain = np.asarray(gain, dtype=float)
    a, b = np.linalg.lstsq(np.stack([d, -d * bend], axis=1), gain, rcond=None)[0]
    fitted = d * (a - b * bend)
    spread = ((gain - gain.mean()) ** 2).sum()
    r2 = 1 - ((gain - fitted) ** 2).sum() / spread if spread else 1.0
    return {
        "a": float(a),
        "b": float(b),
        "r2": float(r2),
        "peak_d": float(peak(a, b)) if b > 0 else None,
        "fitted": fitted.tolist(),
    }


def standardise(points: Sequence[Mapping], start: Mapping[str, tuple[float, float]]) -> tuple[list, list]:
    """Gains of gold and proxy over the start, each in standard deviations of what the start's replies get.

    So both stand on one axis: a reward model's numbers have no unit of their own.
    """
    return tuple(
        [(point[column] - start[name][0]) / (start[name][1] or 1.0) for point in points]
        for name, column in (("gold", "gold_score"), ("proxy", "reward"))
    )


def stop_of(points: Sequence[Mapping], patience: int = EarlyStopArguments.patience) -> int:
    """The place at which the early stop would have ended the run: by the labels, the gold scores unseen."""
    return decide([point["look"] for point in points], patience)[0]


def together(runs: Sequence[tuple[list[dict], dict]], fit: Callable) -> dict:
    """The mean curve of the seeds, the range of gold, the fit, and where each seed peaks and would have stopped."""
    d = np.mean([[point["d"] for point in points] for points, _ in runs], axis=0)
    gains = [standardise(points, start) for points, start in runs]
    gold, proxy = np.array([one for one, _ in gains]), np.array([other for _, other in gains])
    fitted = fit(d, gold.mean(0))
    found = {"d": d.tolist(), "gold": gold.mean(0).tolist(), "proxy": proxy.mean(0).tolist()}
    found |= {"gold_low": gold.min(0).tolist(), "gold_high": gold.max(0).tolist(), "fit_gold": fitted.pop("fitted")}
    found |= {f"fit_{name}": value for name, value in fitted.items()}
    found["seeds"] = [
        {
            "gold_peak": max(one),
            "gold_peak_d": points[int(np.argmax(one))]["d"],
            "gold_end": one[-1],
            "proxy_end": other[-1],
            "gold_score_peak": max(point["gold_score"] for point in points),
            "gold_score_end": points[-1]["gold_score"],
            "points": points,
        }
        for (points, _), one, other in zip(runs, gold, proxy, strict=True)
    ]
    if "look" in runs[0][0][0]:
        for (points, _), one, entry in zip(runs, gold, found["seeds"], strict=True):
            place = stop_of(points)
            entry |= {"stop_d": points[place]["d"], "stop_gold": float(one[place])}
            entry |= {"stop_step": points[place]["look"]["step"], "gold_score_stop": points[place]["gold_score"]}
        found |= {key: [entry[key] for entry in found["seeds"]] for key in ("stop_d", "stop_gold")}
    return found


def table(groups: Mapping[str, Mapping[str, Mapping]]) -> str:
    """The figures in Markdown, means over the seeds; gains in standard deviations of the start's replies."""
    lines = ["| method | reward model | pairs in order | gold peak | at d | end | proxy end | a | b | R^2 | stop |"]
    lines += ["|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for method, curves in groups.items():
        for name, curve in curves.items():
            means = {key: fmean(entry[key] for entry in curve["seeds"]) for key in FIGURES}
            kept = fmean(curve["stop_gold"]) / means["gold_peak"] if "stop_gold" in curve else None
            stop = "" if kept is None else f"{100 * kept:.0f} %"
            cells = [f"{fmean(curve['accuracy']):.1f} %", *(f"{means[key]:.2f}" for key in FIGURES)]
            cells += [f"{curve[f'fit_{key}']:.2f}" for key in ("a", "b", "r2")]
            lines.append(f"| {method} | {name} | {' | '.join(cells)} | {stop} |")
    return "\n".join(lines) + "\n"
