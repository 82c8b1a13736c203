"""What all stages share: the entry point, the folder they write, the manifest that says where it came from."""

import dataclasses
import enum
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import datasets
import transformers
from accelerate import PartialState

from aji.config import parse
from aji.errors import UserError, report_errors
from aji.machine import keep_freed_memory, use_all_threads
from aji.manifest import (
    MANIFEST,
    METRICS,
    STARTED,
    atomic_dir,
    content_hash,
    fingerprint,
    is_json,
    read_json,
    write_json,
)


PACKAGES = ("torch", "transformers", "trl", "datasets", "accelerate", "peft", "tokenizers")
# Settings that say how a command treats its folder.
HANDLING = {"output_dir", "if_exists", "resume_from_checkpoint"}
# Settings that say how a run is driven, not what it computes: they may differ when it is taken up again.
NOT_IDENTITY = HANDLING | {"report_to", "push_to_hub", "hub_token", "run_name"}


@dataclass
class StageArguments:
    """How a stage treats the folder that it writes."""

    if_exists: Literal["refuse", "rebuild", "keep"] = field(
        default="refuse",
        metadata={
            "help": "When `output_dir` already holds a run. refuse: stop. rebuild: go on with an unfinished run of "
            "the same settings, replace any other. keep (what make uses): as rebuild, but a finished run of the same "
            "settings and inputs stays as it is."
        },
    )


@dataclass
class FolderArguments(StageArguments):
    """`StageArguments` for stages whose trainer does not bring an `output_dir` of its own."""

    output_dir: str = field(default="", metadata={"help": "Folder that the stage writes."})
    seed: int = field(default=42, metadata={"help": "Seed of everything random in this stage."})


def run(main: Callable[..., None], *argument_types: type) -> None:
    """Entry point of every recipe: parse the command line, use every core, tell the user's mistakes in one line."""
    # The Makefile keeps Ctrl-C from the launcher, and a child inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with report_errors():
        arguments = parse(*argument_types, description=sys.modules["__main__"].__doc__)
        use_all_threads()
        keep_freed_memory()
        if not sys.stderr.isatty():  # a bar that cannot move fills a log file
            datasets.disable_progress_bars()
            transformers.utils.logging.disable_progress_bar()
        main(*arguments)


def resolved(arguments: tuple) -> dict[str, Any]:
    """All settings of a run in one flat dictionary of plain values."""
    settings = {}
    for argument in arguments:
        for entry in dataclasses.fields(argument):
            value = getattr(argument, entry.name)
            settings[entry.name] = value.value if isinstance(value, enum.Enum) else value
    settings.pop("hub_token", None)
    return json.loads(json.dumps(settings, default=str))


def git_commit() -> str | None:
    """The commit of the code that runs, marked when files differ from it; None outside a checkout."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here), "-c", f"safe.directory={here.parents[1]}"]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}-dirty" if changed else commit


def peak_memory_gb() -> float:
    """Largest resident memory of this process so far, in GB (10^9 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e9, 3)


@dataclass
class Stage:
    """One run of one recipe in one folder, from the check that the folder is free to the manifest."""

    recipe: str
    output_dir: Path
    settings: dict
    parents: list[dict]
    resume: bool = False
    metrics: dict = field(default_factory=dict)
    started: float = field(default_factory=time.time)

    @classmethod
    def start(cls, recipe: str, *arguments: Any, inputs: tuple[str | None, ...] = ()) -> "Stage":
        """Claim `output_dir` for this run.

        Raises:
            UserError: when the folder holds another run, or files that no run made.
            SystemExit: with 0, when the folder holds this very run, finished, and is to be kept.
        """
        settings = resolved(arguments)
        if not settings.get("output_dir"):
            raise UserError(
                "output_dir is missing: say where the stage shall write, for instance --output_dir runs/mine."
            )
        parents = [fingerprint(source) for source in inputs if source]
        stage = cls(recipe, Path(settings["output_dir"]), settings, parents)
        with PartialState().main_process_first():
            # The others look after the main process, which by then has kept the run, or cleared the folder for it.
            keep = settings.get("if_exists") == "keep" and stage._is_finished()
            if PartialState().is_main_process:
                if keep:
                    stage._keep()
                else:
                    stage._claim()
        if keep:
            sys.exit(0)
        stage.resume = stage._last_checkpoint() is not None
        return stage

    @property
    def identity(self) -> dict:
        """What makes two runs the same run: recipe, settings, content of the inputs."""
        return _identity(self.recipe, self.settings, self.parents, NOT_IDENTITY)

    @property
    def goes_on(self) -> bool:
        """Whether the same command takes up an unfinished run by itself."""
        return self.settings.get("if_exists") in ("rebuild", "keep")

    @property
    def checkpoint(self) -> str | None:
        """The checkpoint to go on from, None for a fresh start."""
        return str(self._last_checkpoint()) if self.resume else None

    def _last_checkpoint(self) -> Path | None:
        """The newest checkpoint that was written to its end: upstream writes its state file last."""
        complete = [path.parent for path in self.output_dir.glob("checkpoint-*/trainer_state.json") if is_json(path)]
        return max(complete, key=lambda folder: int(folder.name.split("-")[-1]), default=None)

    def _is_finished(self) -> bool:
        """Whether the folder holds this very run, complete and as it was made."""
        if not (is_json(self.output_dir / MANIFEST) and is_json(self.output_dir / METRICS)):
            return False
        found = read_json(self.output_dir / MANIFEST)
        # What only drives a run counts too: one that is now to be pushed, say, has to be.
        ours = _identity(self.recipe, self.settings, self.parents, HANDLING)
        same = ours == _identity(found["recipe"], found["settings"], found["parents"], HANDLING)
        return same and content_hash(self.output_dir) == found["content_hash"]

    def _keep(self) -> None:
        """Leave the folder as it is, but newer than its config, so that make is content."""
        (self.output_dir / MANIFEST).touch()
        print(f"{self.output_dir} holds this run already, of the same settings and inputs: kept.", flush=True)

    def _claim(self) -> None:
        folder = self.output_dir
        if folder.is_file():
            raise UserError(f"{folder} is a file: give a folder as --output_dir.")
        # A run that left nothing but its mark has nothing to lose: a mistyped input, say.
        if folder.is_dir() and any(path.name != STARTED for path in folder.iterdir()):
            unfinished = read_json(folder / STARTED) if is_json(folder / STARTED) else None
            finished = read_json(folder / MANIFEST) if is_json(folder / MANIFEST) else None
            if unfinished is None and finished is None:
                raise UserError(f"{folder} holds files that no run of aji made: give another --output_dir.")
            same = unfinished is not None and unfinished["identity"] == self.identity
            if not self.goes_on:
                self._refuse(unfinished, finished, same)
            if not same:
                shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / STARTED, {"identity": self.identity, "started": self.started})

    def _refuse(self, unfinished: dict | None, finished: dict | None, same: bool) -> None:
        """Raise unless the user asked to resume this very run."""
        other = "give another --output_dir, or --if_exists rebuild to replace it"
        if unfinished is None:
            raise UserError(f"{self.output_dir} holds a finished run of {finished['recipe']}: {other}.")
        if not same:
            raise UserError(
                f"{self.output_dir} holds an unfinished run that differs in "
                f"{_differences(unfinished['identity'], self.identity)}: {other}."
            )
        if "resume_from_checkpoint" not in self.settings:
            raise UserError(
                f"{self.output_dir} holds an unfinished run of these settings: go on with --if_exists rebuild."
            )
        if not self.settings["resume_from_checkpoint"]:
            raise UserError(
                f"{self.output_dir} holds an unfinished run of these settings: "
                f"go on with --resume_from_checkpoint true, or {other}."
            )

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """For stages that make files rather than train: a folder whose content appears as a whole, or not at all.

        What the block puts into `self.metrics` becomes `metrics.json`.
        """
        with atomic_dir(self.output_dir) as folder:
            yield folder
            self.finish(self.metrics, folder)

    def finish(self, metrics: dict, folder: Path | None = None) -> None:
        """Write `metrics.json` and, last of all, `stage.json`: with it the stage counts as complete."""
        folder = folder or self.output_dir
        write_json(folder / METRICS, metrics)
        write_json(folder / MANIFEST, self._manifest(folder))
        (folder / STARTED).unlink(missing_ok=True)

    def _manifest(self, folder: Path) -> dict:
        return {
            "recipe": self.recipe,
            "finished": time.strftime("%Y-%m-%d %H:%M:%S"),
            "wall_seconds": round(time.time() - self.started, 1),
            "peak_memory_gb": peak_memory_gb(),
            "machine": {
                "cores": len(os.sched_getaffinity(0)),
                "architecture": platform.machine(),
                "device": str(PartialState().device),
            },
            "content_hash": content_hash(folder),
            "parents": self.parents,
            "seed": self.settings.get("seed"),
            "git_commit": git_commit(),
            "packages": {name: version(name) for name in PACKAGES},
            "python": platform.python_version(),
            "settings": self.settings,
        }


def _identity(recipe: str, settings: dict, parents: list[dict], apart: Collection[str]) -> dict:
    settings = {key: value for key, value in settings.items() if key not in apart}
    return {"recipe": recipe, "settings": settings, "inputs": [parent["sha256"] for parent in parents]}


def _differences(old: dict, new: dict) -> str:
    """The settings in which two identities differ, a few of them, in words."""
    if old["recipe"] != new["recipe"]:
        return f"recipe ({old['recipe']} there, {new['recipe']} here)"
    keys = sorted(set(old["settings"]) | set(new["settings"]))
    changed = [key for key in keys if old["settings"].get(key) != new["settings"].get(key)]
    words = [f"{key} ({old['settings'].get(key)} there, {new['settings'].get(key)} here)" for key in changed[:3]]
    if len(changed) > 3:
        words.append(f"{len(changed) - 3} more")
    return ", ".join(words) or "the content of its inputs"
