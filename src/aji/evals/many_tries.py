"""What a model could do in several tries against what it does in one: pass@k and majority vote."""

import argparse
import random
from pathlib import Path

from aji.evals.experiment import held_out, load
from aji.evals.intervals import mean
from aji.evals.pass_at_k import majority, pass_at_k, try_problems
from aji.generate import for_many
from aji.manifest import write_json
from aji.report import trial


SAMPLES = 16
KS = (1, 2, 4, 8, 16)
LONGEST = 128  # tokens


def tries(args: argparse.Namespace, folder: Path) -> Path:
    """pass@k and the majority of k, each for every model."""
    rows = held_out(args)
    series = {}
    for path in args.models:
        model, tokenizer = load(path)
        tried = try_problems(model, tokenizer, rows, SAMPLES, LONGEST, seed=args.seed, **for_many(model))
        rng = random.Random(args.seed)
        one = {k: [100 * pass_at_k(SAMPLES, sum(own.right), k) for own in tried] for k in KS}
        most = {k: [100.0 * majority(own, k, rng) for own in tried] for k in KS}
        for name, shares in (("one of k is right", one), ("most of k are right", most)):
            series[f"{path}: {name}"] = [{"k": k, **mean("right", shares[k], digits=2, least=0, most=100)} for k in KS]
    write_json(folder / "tries.json", series)
    labels = {"xlabel": "tries, k", "ylabel": "problems solved, percent", "title": ", ".join(args.tasks)}
    return trial.curves(series, "k", "right", labels, folder / "tries.png")
