"""How far the tasks on this machine are: numbers in memory that a parent shares with the processes it forks."""

import multiprocessing
import time
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Bytes of input and documents that each task has done. `total` is the bytes of all; 0 when nobody counts them."""

    tasks: int
    total: int
    finished: int = 0
    started: float = field(default_factory=time.time)

    def __post_init__(self):
        self.done = multiprocessing.RawArray("Q", self.tasks)
        self.documents = multiprocessing.RawArray("Q", self.tasks)

    def text(self) -> str:
        """`1,234 pages, 345/s, 0:42 left`, the last once there is something to reckon from; or `3 of 15 tasks`."""
        if not self.total:
            return f"{self.finished} of {self.tasks} tasks"
        seconds = max(1e-6, time.time() - self.started)
        documents, done = sum(self.documents), sum(self.done)
        words = f"{documents:,} pages, {documents / seconds:,.0f}/s"
        if done:
            left = max(0.0, seconds * (self.total - done) / done)
            words += f", {done / self.total:.0%}, {int(left) // 60}:{int(left) % 60:02d} left"
        return words


_current: Progress | None = None


def watch(progress: Progress | None) -> None:
    """What `report` of the processes forked from now on counts for."""
    global _current
    _current = progress


def report(rank: int, done: int, documents: int) -> None:
    if _current is not None:
        _current.done[rank] = done
        _current.documents[rank] = documents
