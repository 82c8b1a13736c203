"""The knowledge map as a picture: what is known by how often it was read, and what consistency tells of it."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib


matplotlib.use("Agg")
from matplotlib import pyplot as plt

from aji.evals.intervals import share
from aji.knowledge import Asked


COLOURS = {"en": ("English", "#3b6fb6"), "ko": ("Korean", "#e0833b")}
# Upper ends of the classes of mentions.
CLASSES = (0, 1, 3, 10, 30, 60, 100, 200, 10**9)


def draw_map(asked: Sequence[Asked], path: Path) -> None:
    """Left: share of right replies by mentions in the corpus, where these are known (else by language alone); right:
    how often the most frequent answer is right, by how many of the samples agree on it."""
    counted = [one for one in asked if one.row.get("mentions") is not None]
    figure, axes = plt.subplots(1, 2 if counted else 1, figsize=(10 if counted else 5, 3.6), squeeze=False)
    if counted:
        _mentions(axes[0][0], counted)
    _calibration(axes[0][-1], asked)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def class_of(mentions: int) -> int:
    """The index of the class of mentions that a number belongs to."""
    return next(index for index, most in enumerate(CLASSES) if mentions <= most)


def _mentions(axis, asked: Sequence[Asked]) -> None:
    parts: dict[str, dict[int, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for one in asked:
        parts[one.row["language"]][class_of(int(one.row["mentions"]))] += one.judged
    shown = sorted({index for classes in parts.values() for index in classes})
    for language, classes in sorted(parts.items()):
        label, colour = COLOURS.get(language, (language, None))
        found = [index for index in sorted(classes) if classes[index]]
        _line(axis, [shown.index(index) for index in found], [classes[index] for index in found], label, colour)
    names = [_class_name(index) for index in shown]
    axis.set_xticks(range(len(shown)), names, fontsize=8)
    axis.set(title="What it knows by how often it was told", xlabel="documents that state the fact")


def _class_name(index: int) -> str:
    low, high = (CLASSES[index - 1] + 1 if index else 0), CLASSES[index]
    return str(low) if low == high else f"> {low - 1}" if high == CLASSES[-1] else f"{low}-{high}"


def _calibration(axis, asked: Sequence[Asked]) -> None:
    levels: dict[float, list[bool]] = defaultdict(list)
    for one in asked:
        if one.verdicts[one.modal] is not None:
            levels[100 * one.consistency].append(bool(one.verdicts[one.modal]))
    order = sorted(levels)
    _line(axis, order, [levels[level] for level in order], "measured", "#3b6fb6")
    axis.plot([0, 100], [0, 100], color="#999999", lw=0.8, ls="--", label="as consistent as right")
    axis.set(
        title="What consistency tells", xlabel="replies that agree with the most frequent one, percent", xlim=(0, 105)
    )
    axis.legend(fontsize=8)


def _line(axis, places: list[float], verdicts: list[list[bool]], label: str, colour: str | None) -> None:
    """The share of right ones at each place, with its interval."""
    figures = [share("x", sum(part), len(part)) for part in verdicts]
    values = [figure["x"] for figure in figures]
    spans = [
        [figure["x"] - figure["x_low"] for figure in figures],
        [figure["x_high"] - figure["x"] for figure in figures],
    ]
    axis.errorbar(places, values, yerr=spans, marker="o", ms=4, lw=1.4, capsize=2, label=label, color=colour)
    axis.set_ylim(-3, 105)
    axis.set_ylabel("right, percent, 95 % interval")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
