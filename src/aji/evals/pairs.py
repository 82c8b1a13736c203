"""How well a reward model orders pairs it has not seen, beside the best that noisy labels allow."""

from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev

from aji.evals.intervals import share


def pair_metrics(rows: Sequence[Mapping], chosen: Sequence[float], rejected: Sequence[float]) -> dict[str, float]:
    """Flat metrics of rewards on held-out pairs.

    `accuracy` (percent of pairs whose chosen reply has the higher reward, a tie counts half) with its interval, also
    by language and kind where rows have them; `reward_mean` and `reward_std` over all replies, `reward_margin`. Where
    rows have gold scores, `ceiling`: the accuracy of the gold score itself, which no reward model can be expected to
    surpass, since the rest is noise of the labels.
    """
    wins = [_win(a, b) for a, b in zip(chosen, rejected, strict=True)]
    metrics = share("accuracy", sum(wins), len(wins))
    if all("chosen_score" in row for row in rows):
        best = [_win(row["chosen_score"], row["rejected_score"]) for row in rows]
        metrics |= share("ceiling", sum(best), len(best))
    for column in ("language", "kind"):
        for value in sorted({row[column] for row in rows if column in row}):
            own = [win for win, row in zip(wins, rows, strict=True) if row.get(column) == value]
            metrics |= share(f"accuracy_{value}", sum(own), len(own))
    rewards = [*chosen, *rejected]
    return metrics | {
        "reward_mean": round(fmean(rewards), 4),
        "reward_std": round(pstdev(rewards), 4),
        "reward_margin": round(fmean(a - b for a, b in zip(chosen, rejected, strict=True)), 4),
    }


def _win(a: float, b: float) -> float:
    return 0.5 if a == b else float(a > b)
