"""Pictures of learning by trial; each takes figures that were measured and writes one file."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib


matplotlib.use("Agg")
from matplotlib import pyplot as plt


BLUE, ORANGE, GREEN, GREY = "#3b6fb6", "#e0833b", "#4f9d69", "#8a8a8a"
COLOURS = (BLUE, ORANGE, GREEN, GREY)


def save(figure, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _axis(axis, **labels) -> None:
    axis.set(**labels)
    axis.grid(alpha=0.3)


def beyond(history: Sequence[dict], metrics: dict, path: Path) -> Path | None:
    """The demonstrators, the model that imitates them, and what trial makes of it, with 95 % intervals."""
    curve = [entry for entry in history if "held_out" in entry]
    if not curve:
        return None
    figure, axis = plt.subplots(figsize=(6.2, 3.8))
    steps = [entry["step"] for entry in curve]
    axis.plot(steps, [entry["held_out"] for entry in curve], "o-", ms=4, color=BLUE, label="the model, by trial")
    axis.fill_between(
        steps, *([entry[f"held_out_{end}"] for entry in curve] for end in ("low", "high")), color=BLUE, alpha=0.2, lw=0
    )
    if "demonstrators" in metrics:
        axis.axhline(metrics["demonstrators"], color=ORANGE, label="its demonstrators")
        axis.axhspan(metrics["demonstrators_low"], metrics["demonstrators_high"], color=ORANGE, alpha=0.2, lw=0)
    axis.axhline(curve[0]["held_out"], color=GREY, ls="--", lw=1, label="the model, by imitation")
    _axis(axis, xlabel="step", ylabel="held-out problems solved, percent", ylim=(0, 102))
    axis.legend(loc="lower right", fontsize=8)
    return save(figure, path)


def over_steps(history: Sequence[dict], path: Path) -> Path | None:
    """Reward, length of the replies, and how many of them test themselves, over the steps."""
    entries = [entry for entry in history if "mean_reward" in entry]
    if not entries:
        return None
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.2))
    steps = [entry["step"] for entry in entries]
    names = (("mean_reward", "reward", 1), ("mean_length", "tokens per reply", 1))
    for axis, (name, label, scale) in zip(axes, names, strict=False):
        axis.plot(steps, [scale * entry[name] for entry in entries], color=BLUE)
        _axis(axis, xlabel="step", ylabel=label)
        axis.set_ylim(bottom=0)
    axes[2].plot(steps, [100 * entry["checking_share"] for entry in entries], color=GREEN, label="test themselves")
    axes[2].plot(steps, [100 * entry["dead_groups"] for entry in entries], color=GREY, lw=1, label="dead groups")
    _axis(axes[2], xlabel="step", ylabel="percent", ylim=(0, 102))
    axes[2].legend(fontsize=8)
    return save(figure, path)


def curves(series: dict[str, list[dict]], x: str, name: str, labels: dict[str, str], path: Path) -> Path:
    """Lines of NAME over X with their intervals; `labels` go to matplotlib (xlabel, ylabel, title)."""
    figure, axis = plt.subplots(figsize=(6.2, 3.8))
    for colour, (label, entries) in zip(COLOURS, series.items(), strict=False):
        places = [entry[x] for entry in entries]
        axis.plot(places, [entry[name] for entry in entries], "o-", ms=4, color=colour, label=label)
        low, high = ([entry[f"{name}_{end}"] for entry in entries] for end in ("low", "high"))
        axis.fill_between(places, low, high, color=colour, alpha=0.2, lw=0)
    _axis(axis, ylim=(0, 102), **labels)
    if len(series) > 1:
        axis.legend(fontsize=8)
    return save(figure, path)


def bars(figures: dict[str, dict], name: str, labels: dict[str, str], path: Path) -> Path:
    """A bar of NAME with its interval for each label of `figures`."""
    figure, axis = plt.subplots(figsize=(1.6 * len(figures) + 2, 3.6))
    values = [entry[name] for entry in figures.values()]
    ends = [[abs(entry[f"{name}_{end}"] - entry[name]) for entry in figures.values()] for end in ("low", "high")]
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(figures))]
    axis.bar(range(len(figures)), values, 0.6, yerr=ends, capsize=3, color=colours, error_kw={"lw": 0.8})
    axis.set_xticks(range(len(figures)), list(figures), fontsize=8)
    _axis(axis, ylim=(0, 105), **labels)
    return save(figure, path)
