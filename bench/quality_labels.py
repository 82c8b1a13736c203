"""How far the rules and the learnt quality score agree with people who called web pages good or bad.

    python bench/quality_labels.py --labels majority_data.jsonl

Rows `text`, `label` (1: good), such as those of DCLM (github.com/mlfoundations/dclm, data/). The score of a page comes
from a classifier that learnt from the other folds.
"""

import argparse

import numpy as np
from datatrove.data import Document

from aji.corpus.quality import read_labels, train_quality
from aji.corpus.rules import FILTERS, Rules


def area_under_curve(scores: np.ndarray, labels: np.ndarray) -> float:
    """Probability that a good page has a higher score than a bad one; ties count half."""
    difference = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def cross_validated(texts: list[str], labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """A score for every text, from a classifier that did not see it."""
    fold = np.random.default_rng(seed).permutation(len(texts)) % folds
    scores = np.zeros(len(texts))
    for held_out in range(folds):
        seen = np.flatnonzero(fold != held_out)
        model = train_quality([texts[i] for i in seen], labels[seen].tolist(), seed)
        for i in np.flatnonzero(fold == held_out):
            scores[i] = model.score(texts[i])
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", nargs="+", required=True)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    rows = dict(row for path in args.labels for row in read_labels(path)[1])  # a text counts once
    texts, labels = list(rows), np.array(list(rows.values()))
    print(f"{len(texts)} pages, {labels.mean():.1%} of them good")
    for name in FILTERS:
        rules = Rules(name, ["en"])
        kept = np.array([rules.judge(Document(text, "", metadata={"language": "en"})) is None for text in texts])
        good, bad = kept[labels == 1].mean(), kept[labels == 0].mean()
        precision = labels[kept].mean()
        print(
            f"{name:18} keeps {good:.1%} of the good, {bad:.1%} of the bad; {precision:.1%} of what it keeps is good"
        )
    for seed in range(args.seeds):
        scores = cross_validated(texts, labels, args.folds, seed)
        best = np.argsort(-scores)[: len(scores) // 4]
        print(
            f"score, seed {seed}: area under the curve {area_under_curve(scores, labels):.3f}; "
            f"{labels[best].mean():.1%} of the best quarter is good"
        )


if __name__ == "__main__":
    main()
