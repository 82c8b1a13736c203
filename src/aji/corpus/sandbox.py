"""A function in a process beside this one, so that an input on which it hangs or crashes costs that input only.

datatrove's sandbox sends one page at a time, which takes as long as extracting it; and its process outlives a parent
that is killed.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator


BATCH = 32
BATCH_CHARACTERS = 2_000_000
PR_SET_PDEATHSIG = 1
TIMEOUT, CRASHED = "timeout", "crashed"


class Sandbox:
    """Calls `function` on texts, in order, in batches.

    Args:
        seconds: limit for one text.
    """

    def __init__(self, function: Callable[[str], str | None], seconds: float):
        self.function, self.seconds = function, seconds
        self.process = None
        self.connection = None

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *error) -> None:
        self._end()

    def map(self, texts: list[str]) -> Iterator[tuple[str | None, str | None]]:
        """(result, None) for each text, or (None, TIMEOUT or CRASHED)."""
        while texts:
            if self.process is None:
                self._start()
            done, failure = 0, None
            try:
                self.connection.send(texts)
                for _ in texts:
                    if not self.connection.poll(self.seconds):
                        failure = TIMEOUT
                        break
                    result = self.connection.recv()
                    done += 1
                    yield result, None
            except (EOFError, OSError):
                failure = CRASHED
            if failure:
                self._end()
                yield None, failure
                done += 1
            texts = texts[done:]

    def _start(self) -> None:
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
        self.connection, theirs = context.Pipe()
        arguments = (theirs, self.connection, self.function, os.getpid())
        self.process = context.Process(target=_serve, args=arguments, daemon=True)  # or a task that fails waits for it
        self.process.start()
        theirs.close()

    def _end(self) -> None:
        if self.process is not None:
            self.connection.close()
            self.process.kill()  # it has nothing to lose
            self.process.join()
            self.process = None


def _serve(connection, parents_end, function: Callable[[str], str | None], parent: int) -> None:
    parents_end.close()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we could ask to be told
            os._exit(1)
    while True:
        try:
            for text in connection.recv():
                connection.send(function(text))
        except (EOFError, OSError):
            os._exit(0)


def batches(items: Iterator, size: Callable[[object], int]) -> Iterator[list]:
    """Lists of at most `BATCH` items and about `BATCH_CHARACTERS` in sum."""
    batch, total = [], 0
    for item in items:
        batch.append(item)
        total += size(item)
        if len(batch) == BATCH or total >= BATCH_CHARACTERS:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
