"""What a run of reinforcement learning looked like, from what it wrote down."""

import argparse
from pathlib import Path

from aji.errors import UserError
from aji.manifest import METRICS, read_json
from aji.report import trial


def _records(run: str) -> tuple[list[dict], dict]:
    folder = Path(run)
    if not (folder / "log_history.json").is_file() or not (folder / METRICS).is_file():
        raise UserError(f"{run} holds no finished run of recipes/rlvr.py: log_history.json or {METRICS} is missing.")
    return read_json(folder / "log_history.json"), read_json(folder / METRICS)


def steps(args: argparse.Namespace, folder: Path) -> Path:
    history, _ = _records(args.models[0])
    return trial.over_steps(history, folder / "steps.png") or _nothing(args.models[0])


def beyond(args: argparse.Namespace, folder: Path) -> Path:
    history, metrics = _records(args.models[0])
    return trial.beyond(history, metrics, folder / "beyond.png") or _nothing(args.models[0])


def _nothing(run: str):
    raise UserError(f"{run}: its log_history.json tells of no rewards; give a run of recipes/rlvr.py.")
