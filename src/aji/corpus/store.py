"""Documents between the steps, and the corpus itself: parquet, split by a hash of the text."""

import json
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow
import pyarrow.parquet
import xxhash
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from aji.corpus import progress
from aji.manifest import write_json


SCHEMA = pyarrow.schema([("text", "string"), ("url", "string"), ("language", "string")])
SCORED = SCHEMA.append(pyarrow.field("score", "float32"))
ROWS_AT_ONCE = 1000
WHOLE = 2**64


class Keep(PipelineStep):
    """Writes the documents of a task to `folder/RANK.jsonl`, for a later step to read in the same order."""

    type, name = "corpus", "keep"

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = Path(folder)

    def run(self, data: Iterator[Document] = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / f"{rank:05d}.jsonl", "wb") as file:
            for doc in data:
                file.write(orjson.dumps([doc.id, doc.text, doc.metadata], option=orjson.OPT_APPEND_NEWLINE))
                yield doc


class Load(PipelineStep):
    """Reads what `Keep` wrote in the task of the same rank."""

    type, name = "corpus", "load"

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = Path(folder)

    def run(self, data: Iterator[Document] = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        done = 0
        with open(self.folder / f"{rank:05d}.jsonl", "rb") as file:
            for number, line in enumerate(file, start=1):
                done += len(line)
                progress.report(rank, done, number)
                yield _document(line)


def kept_bytes(folder: Path) -> int:
    """Bytes of all that `Keep` wrote."""
    return sum(file.stat().st_size for file in folder.glob("*.jsonl"))


def load(path: Path) -> Iterator[Document]:
    with open(path, "rb") as file:
        yield from map(_document, file)


def _document(line: bytes) -> Document:
    name, text, metadata = orjson.loads(line)
    return Document(text, name, metadata=metadata)


class WriteSplits(PipelineStep):
    """`train-RANK-of-TASKS.parquet` and `validation-...`: columns text, url, language and, where there is one, score.

    Which split a page is in depends on its text and the seed alone: the same page is never in both, in no run.
    """

    type, name = "corpus", "write"

    def __init__(self, folder: Path, validation_percent: float, seed: int, scored: bool):
        super().__init__()
        self.folder = Path(folder)
        self.share, self.seed = validation_percent / 100, seed
        self.schema = SCORED if scored else SCHEMA

    def run(self, data: Iterator[Document] = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        self.folder.mkdir(parents=True, exist_ok=True)
        files: dict[str, pyarrow.parquet.ParquetWriter] = {}
        waiting: dict[str, list[dict]] = {"train": [], "validation": []}
        counts: dict[str, int] = {}
        digest = 0
        try:
            for doc in data:
                row = {"text": doc.text, **{name: doc.metadata.get(name) for name in self.schema.names[1:]}}
                split = "validation" if is_held_out(doc.text, self.share, self.seed) else "train"
                waiting[split].append(row)
                digest += row_hash(row)
                for key, count in (
                    (f"{split}_documents", 1),
                    (f"{split}_bytes", len(doc.text.encode())),
                    (f"{split}_documents_{row['language']}", 1),
                    (f"{split}_bytes_{row['language']}", len(doc.text.encode())),
                ):
                    counts[key] = counts.get(key, 0) + count
                if len(waiting[split]) == ROWS_AT_ONCE:
                    self._flush(split, waiting, files, rank, world_size)
            for split in waiting:
                self._flush(split, waiting, files, rank, world_size)
        finally:
            for file in files.values():
                file.close()
        write_json(self.folder / f".{rank:05d}.json", {"counts": counts, "hash": f"{digest % 2**128:032x}"})
        yield from ()

    def _flush(self, split: str, waiting: dict, files: dict, rank: int, world_size: int) -> None:
        if waiting[split]:
            if split not in files:
                path = self.folder / f"{split}-{rank:05d}-of-{world_size:05d}.parquet"
                files[split] = pyarrow.parquet.ParquetWriter(path, self.schema, compression="zstd")
            files[split].write_table(pyarrow.Table.from_pylist(waiting[split], self.schema))
            waiting[split] = []


def is_held_out(text: str, share: float, seed: int) -> bool:
    return xxhash.xxh64_intdigest(text.encode(), seed) < share * WHOLE


def row_hash(row: dict) -> int:
    """128 bits; their sum over all rows is the hash of the corpus, in whatever order and files they are."""
    return xxhash.xxh3_128_intdigest(json.dumps(row, ensure_ascii=False, sort_keys=True).encode())
