"""The record beside every output, and writing so that nothing is ever half there. Quick to import: no torch."""

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


MANIFEST = "stage.json"
STARTED = "started.json"
METRICS = "metrics.json"
# What tells of a run, as against what it made.
RECORDS = (
    MANIFEST,
    STARTED,
    METRICS,
    "training_args.bin",
    "README.md",
    "trainer_state.json",
    "funnel.md",
    "funnel.png",
)


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the whole new one, never a half."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")


def write_rows(path: Path, rows: Iterable[dict]) -> None:
    """Rows as JSON lines."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def atomic_dir(path: Path) -> Iterator[Path]:
    """A folder to write in that becomes `path` by rename when the block ends well, and vanishes when it does not."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    old = path.with_name(f".{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        os.replace(path, old)
    os.replace(partial, path)
    shutil.rmtree(old, ignore_errors=True)


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(path: Path) -> str:
    """SHA-256 over what a stage made (names and bytes; no checkpoints, no records of the run itself)."""
    if path.is_file():
        return file_hash(path)
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        name = file.relative_to(path)
        if name.parts[0].startswith(("checkpoint-", ".")) or name.name in RECORDS:
            continue
        digest.update(f"{name.as_posix()} {file_hash(file)}\n".encode())
    return digest.hexdigest()


def fingerprint(source: str) -> dict:
    """Where an input came from: its path, the stage that made it, and the hash of its content."""
    path = Path(source)
    if glob.has_magic(source) and (found := sorted(map(Path, glob.glob(source, recursive=True)))):
        digest = hashlib.sha256("".join(f"{file.name} {content_hash(file)}\n" for file in found).encode()).hexdigest()
        return fingerprint(str(found[0])) | {"path": source, "sha256": digest}
    if not path.exists():
        return {"path": source, "sha256": None}  # a model or data set of the Hub: its own revision names it
    manifest = next((folder / MANIFEST for folder in (path, path.parent) if (folder / MANIFEST).is_file()), None)
    stage = read_json(manifest)["recipe"] if manifest else None
    known = read_json(manifest)["content_hash"] if manifest and path.is_dir() else None
    return {"path": source, "stage": stage, "sha256": known or content_hash(path)}


def find_in_lineage(run: Path, name: str) -> Path | None:
    """A file of that name in the folder of a run or of a stage that it came from, nearest first; None if none has it.

    Goes by the `parents` of `stage.json`, whose paths are relative to where the stages were started.
    """
    waiting, seen = [run], set()
    while waiting:
        folder = waiting.pop(0)
        folder = folder if folder.is_dir() else folder.parent
        if folder in seen:
            continue
        seen.add(folder)
        if (folder / name).is_file():
            return folder / name
        manifest = next((place / MANIFEST for place in (folder, folder.parent) if is_json(place / MANIFEST)), None)
        if manifest:
            waiting += [Path(parent["path"]) for parent in read_json(manifest).get("parents", ())]
    return None


def is_json(path: Path) -> bool:
    """Whether a file is there and holds whole JSON."""
    try:
        read_json(path)
    except (OSError, ValueError):
        return False
    return True
