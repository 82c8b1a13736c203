"""How well a reward model orders pairs it has not seen, beside the best that noisy labels allow."""

from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev

import numpy as np

from aji.evals.intervals import share_of_groups


def pair_metrics(rows: Sequence[Mapping], chosen: Sequence[float], rejected: Sequence[float]) -> dict[str, float]:
    """Flat metrics of rewards on held-out pairs.

    `accuracy` (percent of pairs whose chosen reply has the higher reward, a tie counts half) with its interval, also
    by language and kind where rows have them; `eval_loss`, -log sigmoid of the difference, in nats a pair;
    `reward_mean` and `reward_std` over all replies, `reward_margin`. Where rows have gold scores, `ceiling`: the
    accuracy of the gold score itself, which no reward model can be expected to surpass, since the rest is noise of
    the labels. Pairs of one `group` share replies: the intervals allow for it.
    """
    wins = [win(a, b) for a, b in zip(chosen, rejected, strict=True)]
    groups = [row.get("group", place) for place, row in enumerate(rows)]
    metrics = share_of_groups("accuracy", wins, groups)
    if all("chosen_score" in row for row in rows):
        best = [win(row["chosen_score"], row["rejected_score"]) for row in rows]
        metrics |= share_of_groups("ceiling", best, groups)
    for column in ("language", "kind"):
        for value in sorted({row[column] for row in rows if column in row}):
            own = [place for place, row in enumerate(rows) if row.get(column) == value]
            part = ([every[place] for place in own] for every in (wins, groups))
            metrics |= share_of_groups(f"accuracy_{value}", *part)
    rewards, margins = [*chosen, *rejected], np.subtract(chosen, rejected)
    return metrics | {
        "eval_loss": round(float(np.logaddexp(0, -margins).mean()), 4),
        "reward_mean": round(fmean(rewards), 4),
        "reward_std": round(pstdev(rewards), 4),
        "reward_margin": round(float(margins.mean()), 4),
    }


def win(a: float, b: float) -> float:
    """1 where `a` is larger, 0 where `b` is, 0.5 for a tie."""
    return 0.5 if a == b else float(a > b)
