"""Runs the steps: on this machine, on Slurm or on Ray. Tasks that are done are not done again."""

import contextlib
import errno
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from datatrove.executor.base import PipelineExecutor
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from aji.corpus import progress
from aji.corpus.arguments import CorpusArguments
from aji.corpus.block import Block
from aji.errors import UserError
from aji.machine import threads


REFRESH_SECONDS = 2.0
LINE_SECONDS = 15.0


@dataclass
class Step:
    """Blocks that run one after another in each of `tasks` tasks.

    `total`, asked when the step starts, is the bytes that all tasks read, for the time left; 0 counts tasks instead.
    """

    name: str
    tasks: int
    blocks: list[PipelineStep]
    total: Callable[[], int] = int


def run_steps(steps: list[Step], args: CorpusArguments, work: Path) -> bool:
    """Run what is not done yet, each step after the one before it.

    Returns:
        Whether all of it is done. On Slurm the first call only submits the jobs.

    Raises:
        UserError: when a task failed. The tasks that were done stay done.
    """
    previous = None
    for number, step in enumerate(steps):
        for index, block in enumerate(block for block in step.blocks if isinstance(block, Block)):
            block.trace, block.index, block.log_drops = work / "trace" / f"{number}-{step.name}", index, args.log_drops
        executor = build_executor(step, args, work / "log" / f"{number}-{step.name}", previous)
        started = time.time()
        executor.run()
        if args.executor == "local" and executor.ran:
            print(f"{step.name}: {executor.ran} of {step.tasks} tasks in {time.time() - started:.1f} s", flush=True)
        previous = executor
    return not any(executor_left(step, work, number) for number, step in enumerate(steps))


def executor_left(step: Step, work: Path, number: int) -> int:
    """Tasks of a step that are not done."""
    done = work / "log" / f"{number}-{step.name}" / "completions"
    return step.tasks - (len(list(done.iterdir())) if done.is_dir() else 0)


def build_executor(step: Step, args: CorpusArguments, log: Path, depends: Any) -> PipelineExecutor:
    options: dict[str, Any] = {"pipeline": step.blocks, "tasks": step.tasks, "logging_dir": str(log)}
    if args.executor == "slurm":
        from datatrove.executor import SlurmPipelineExecutor

        settings = {"mem_per_cpu_gb": 2, "venv_path": f"{sys.prefix}/bin/activate"} | args.slurm
        options |= {"workers": args.workers or -1, "depends": depends, "job_name": f"aji-{step.name}"}
        return SlurmPipelineExecutor(**options, **settings)
    if args.executor == "ray":
        try:
            import ray
            from datatrove.executor import RayPipelineExecutor
        except ImportError:
            raise UserError("executor is ray, which is not installed: pip install ray") from None
        if not ray.is_initialized():
            ray.init(address=os.environ.get("RAY_ADDRESS"), include_dashboard=False, log_to_driver=False)
        return RayPipelineExecutor(**options, workers=args.workers or -1)
    return LocalExecutor(**options, workers=args.workers or threads(), total=step.total())


class LocalExecutor(LocalPipelineExecutor):
    """datatrove's, with a process of its own for each task: memory goes back after it, and one that is killed is seen.

    Upstream's pool waits forever for a task whose process was killed.
    """

    def __init__(self, *, total: int = 0, **options: Any):
        super().__init__(**options)
        self.total = total
        self.ran = 0

    def run(self) -> None:
        todo = self.get_incomplete_ranks()
        self.ran = len(todo)
        if not todo:
            return
        state = progress.Progress(self.tasks, self.total)
        progress.watch(state)
        # Forked children share the modules and lists that are loaded here; nothing of torch has run yet.
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        running: dict[int, multiprocessing.Process] = {}
        show = _Line()
        try:
            while todo or running:
                while todo and len(running) < self.workers:
                    rank = todo.pop(0)
                    running[rank] = context.Process(target=self._task, args=(rank,))
                    running[rank].start()
                wait([process.sentinel for process in running.values()], REFRESH_SECONDS)
                show(state)
                for rank, process in list(running.items()):
                    if process.exitcode is not None:
                        del running[rank]
                        state.finished += 1
                        if process.exitcode != 0:
                            self._fail(rank, process.exitcode)
        finally:
            progress.watch(None)
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.join(5)
                if process.is_alive():
                    process.kill()
            show.end()

    def _task(self, rank: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its children
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        folder = Path(self.logging_dir.path)
        failed = folder / f"failed-{rank:05d}.txt"
        failed.unlink(missing_ok=True)
        try:
            with open(os.devnull, "w") as sys.stderr:  # upstream logs to the screen as well as to its log file
                self._run_for_rank(rank, local_rank=1)
        except Exception as error:
            number = getattr(error, "errno", None)
            with contextlib.suppress(OSError):
                failed.write_text(f"{number if isinstance(number, int) else 0}\n{type(error).__name__}: {error}")
            sys.exit(2 if isinstance(error, OSError) and number in (errno.ENOSPC, errno.EDQUOT) else 1)

    def _fail(self, rank: int, code: int) -> None:
        folder = Path(self.logging_dir.path)
        if code == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = self.tasks - len(self.get_incomplete_ranks())
        resume = f"{done} of {self.tasks} tasks are done and stay so: give the same command with --if_exists rebuild"
        if code < 0:
            name = signal.Signals(-code).name
            raise UserError(f"task {rank} of {self.tasks} was ended by {name} (no memory left?). {resume}")
        path = folder / f"failed-{rank:05d}.txt"
        said = path.read_text().split("\n", 1)[1] if path.is_file() else f"exit code {code}"
        if said.startswith("UserError: "):
            raise UserError(said.removeprefix("UserError: "))
        log = folder / f"logs/task_{rank:05d}.log"
        raise UserError(f"task {rank} of {self.tasks} failed: {said[:300]} (all of it in {log}). {resume}")


class _Line:
    """How far it is: one line that is written over on a terminal, a line now and then elsewhere."""

    def __init__(self):
        self.terminal, self.last = sys.stderr.isatty(), time.time()

    def __call__(self, state: progress.Progress) -> None:
        if self.terminal or time.time() - self.last > LINE_SECONDS:
            self.last = time.time()
            print(
                f"\r{state.text():78}" if self.terminal else state.text(),
                end="" if self.terminal else "\n",
                file=sys.stderr,
            )

    def end(self) -> None:
        if self.terminal:
            print(f"\r{'':78}\r", end="", file=sys.stderr)
