"""The block all others are made of: it keeps or drops a page, counts why, and keeps a few examples.

datatrove's own filters count drops, but not bytes, and lose the count when a statistic is zero or one.
"""

import hashlib
import heapq
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from aji.manifest import write_json


EXAMPLES = 3
EXAMPLE_CHARACTERS = 400
KEPT = "kept"


class Block(PipelineStep):
    """Drops the pages for which `judge` gives a reason.

    Attributes:
        trace: folder for the counts, set by the run; each task leaves `RANK-INDEX.json` there, and with `log_drops`
            `RANK-INDEX.drops.jsonl`, a line with url, block and reason for each page that it dropped.
    """

    type = "corpus"
    name = "block"
    trace: Path | None = None
    log_drops = False
    index = 0

    def judge(self, doc: Document) -> str | None:
        """The reason to drop `doc`, None to keep it. May change it."""
        raise NotImplementedError

    def judged(self, data: Iterator[Document], rank: int, world_size: int) -> Iterator[tuple[Document, str | None]]:
        """Every page of this task with the reason to drop it. Time outside of this block is not counted."""
        for doc in data:
            started = time.perf_counter()
            reason = self.judge(doc)
            self.seconds += time.perf_counter() - started
            yield doc, reason

    def run(self, data: Iterator[Document] = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        self.seconds = 0.0
        self.notes: dict[str, int] = Counter()
        documents: Counter = Counter()
        size: Counter = Counter()
        examples: dict[str, list] = defaultdict(list)
        log = None
        if self.trace:
            self.trace.mkdir(parents=True, exist_ok=True)
            if self.log_drops:
                log = (self.trace / f"{rank:05d}-{self.index:02d}.drops.jsonl").open("w", encoding="utf-8")
        try:
            for doc, reason in self.judged(data, rank, world_size):
                outcome = reason or KEPT
                documents[outcome] += 1
                size[outcome] += byte_length(doc.text)
                keep_example(examples[outcome], doc)
                if reason is None:
                    yield doc
                elif log:
                    row = {"url": doc.metadata.get("url", doc.id), "block": self.name, "reason": reason}
                    log.write(json.dumps(row, ensure_ascii=False) + "\n")
        finally:
            if log:
                log.close()
        if self.trace:
            write_json(
                self.trace / f"{rank:05d}-{self.index:02d}.json",
                {
                    "block": self.name,
                    "index": self.index,
                    "documents": documents,
                    "bytes": size,
                    "seconds": self.seconds,
                    "notes": self.notes,
                    "examples": {outcome: [row for _, row in rows] for outcome, rows in examples.items()},
                },
            )


def byte_length(text: str) -> int:
    """Length in UTF-8; lone surrogates count as the three bytes they would take."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def example_key(url: str) -> int:
    """A number that orders pages by chance, the same in every run and however the work is shared out."""
    return int.from_bytes(hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def keep_example(rows: list, doc: Document) -> None:
    """Keep the few pages with the largest keys: the same ones whatever the number of tasks."""
    url = doc.metadata.get("url") or doc.id
    key = example_key(url)
    if len(rows) == EXAMPLES and key <= rows[0][0]:
        return
    entry = (key, {"url": url, "text": doc.text[:EXAMPLE_CHARACTERS].encode("utf-8", "replace").decode()})
    if any(key == other for other, _ in rows):
        return
    (heapq.heappush if len(rows) < EXAMPLES else heapq.heapreplace)(rows, entry)
