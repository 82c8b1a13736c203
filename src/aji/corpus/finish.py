"""The last step: the parquet files in their place, and beside them what they are and how they came about."""

import os
import resource
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from aji.corpus import funnel
from aji.errors import UserError
from aji.manifest import read_json, write_json, write_text
from aji.stage import NOT_IDENTITY


# How the work is shared out changes nothing in what comes out, and is told by stage.json.
HOW = {"executor", "workers", "slurm"}


def finish(work: Path, folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Put the corpus of `work` into `folder`, write its records, and return the metrics.

    `work` stays whole: who is interrupted here finds the tasks done, and gets here again.

    Raises:
        UserError: when no page was kept.
    """
    blocks = funnel.read_trace(work / "trace")
    counts: Counter = Counter()
    digest = 0
    for path in sorted((work / "corpus").glob(".*.json")):
        part = read_json(path)
        counts.update(part["counts"])
        digest = (digest + int(part["hash"], 16)) % 2**128
    if not counts["train_documents"]:
        dropped = Counter()
        for name, block in blocks.items():
            dropped.update({f"{name}: {key}": n for key, n in block["documents"].items() if key != funnel.KEPT})
        why = ", ".join(f"{reason} {count}" for reason, count in dropped.most_common(4)) or "there was no page"
        said = "".join(f" {note}." for note in funnel.notes(blocks)[:2])
        raise UserError(f"found no page to train on ({why}), expected some.{said} See the rules in docs/corpus.md")
    for path in [*(work / "corpus").glob("*.parquet"), *work.glob("quality.npz")]:
        _place(path, folder / path.name)
    merge_drops(work / "trace", folder / "drops.jsonl")
    funnel.write_funnel(blocks, folder)
    record = {
        "output_hash": f"{digest:032x}",
        "settings": {key: value for key, value in settings.items() if key not in NOT_IDENTITY | HOW},
        "written": dict(sorted(counts.items())),
        "blocks": funnel.counts(blocks),
    }
    write_json(folder / "corpus.json", record)
    figures = funnel.metrics(blocks) | dict(sorted(counts.items()))
    return figures | {"worker_peak_memory_gb": workers_peak_memory_gb(), "output_hash": record["output_hash"]}


def _place(path: Path, target: Path) -> None:
    """The same file under another name, or a copy where the disk knows no second names."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def merge_drops(trace: Path, target: Path) -> None:
    """The logs of all tasks in one file, in the order of tasks and blocks; no file when nothing was logged."""
    parts = sorted(trace.glob("*/*.drops.jsonl"), key=lambda path: (path.parent.name, path.name))
    if parts:
        with open(target, "wb") as file:
            for part in parts:
                file.write(part.read_bytes())


def workers_peak_memory_gb() -> float:
    """Largest resident memory of any process that worked for this one, in GB (10^9 bytes); shared memory included."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e9, 3)


def measure(truth: str, labels: str | None, share: float, folder: Path) -> dict[str, float]:
    """How right the pipeline was by the truth about every page; writes truth.md."""
    from aji.corpus.quality import read_labels
    from aji.evals.corpus import score_corpus, table

    seen = set(read_labels(labels, share)[0]) if labels else set()
    metrics = score_corpus(truth, folder, seen)
    write_text(folder / "truth.md", table(metrics))
    return metrics
