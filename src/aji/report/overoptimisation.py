"""Pictures of what a reward model is worth when it is pressed: gold and proxy reward over the distance gone."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from aji.report.trial import BLUE, GREEN, GREY, ORANGE, plt, save


COLOURS = (ORANGE, BLUE, GREEN, "#8e5bb5", GREY, "#b5483b", "#3ba6a6")
DISTANCE = "distance from the start, square root of KL (nats)"


def best_of_n(entries: Sequence[Mapping], path: Path) -> Path:
    """Gold score, and proxy reward on an axis of its own, over n."""
    figure, axis = plt.subplots(figsize=(6.2, 3.8))
    other = axis.twinx()
    places = [entry["n"] for entry in entries]
    for on, name, colour, style in ((axis, "gold_score", BLUE, "o-"), (other, "reward", GREY, "s--")):
        on.plot(places, [entry[name] for entry in entries], style, ms=4, color=colour)
        low, high = ([entry[f"{name}_{end}"] for entry in entries] for end in ("low", "high"))
        on.fill_between(places, low, high, color=colour, alpha=0.15, lw=0)
    axis.set_xscale("log", base=2)
    axis.set(xlabel="n: replies to choose from", ylabel="gold score (line)")
    other.set_ylabel("reward of the reward model (dashed)")
    axis.grid(alpha=0.3)
    return save(figure, path)


def lab(groups: Mapping[str, Mapping[str, Mapping]], path: Path) -> Path:
    """Two panels, best-of-n and RL. `groups[method][name]`: lists `d`, `gold`, `gold_low`, `gold_high`, `proxy`, the
    fit's `fit_gold`, and in RL `stop_d` and `stop_gold`, where the early stop would have ended."""
    figure, axes = plt.subplots(1, len(groups), figsize=(6.4 * len(groups), 4.6), squeeze=False)
    for axis, (method, curves) in zip(axes[0], groups.items(), strict=True):
        for colour, (name, curve) in zip(COLOURS, curves.items(), strict=False):
            axis.plot(curve["d"], curve["gold"], "o-", ms=3, color=colour, label=name)
            axis.fill_between(curve["d"], curve["gold_low"], curve["gold_high"], color=colour, alpha=0.12, lw=0)
            axis.plot(curve["d"], curve["proxy"], "--", lw=1, color=colour)
            axis.plot(curve["d"], curve["fit_gold"], ":", lw=1.2, color=colour)
            if "stop_d" in curve:
                edge = {"edgecolor": "black", "linewidth": 0.6}
                axis.scatter(curve["stop_d"], curve["stop_gold"], marker="*", s=90, color=colour, zorder=5, **edge)
        axis.set(xlabel=DISTANCE, title=method)
        axis.grid(alpha=0.3)
        golds, lows, proxies = (
            np.concatenate([curve[name] for curve in curves.values()]) for name in ("gold_high", "gold_low", "proxy")
        )
        # A proxy that runs away would press the gold curves flat.
        room = max(2.5 * max(0.4, golds.max()), min(proxies.max() + 0.1, -lows.min()))
        axis.set_ylim(min(-0.3, lows.min() - 0.1), room)
    axes[0][0].set_ylabel("gain over the start, in standard deviations of its replies")
    axes[0][0].legend(fontsize=8, title="line: gold, dashed: proxy, dotted: fit, star: early stop", title_fontsize=7)
    return save(figure, path)
