import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from aji.errors import UserError, report_errors
from aji.manifest import atomic_dir, content_hash, fingerprint, write_json
from aji.stage import FolderArguments, Stage


@dataclass
class Settings:
    size: int = 1


@dataclass
class Drive:
    report_to: str


def start(folder: Path, size: int = 1, inputs: tuple = (), **kwargs) -> Stage:
    return Stage.start("toy", Settings(size), FolderArguments(output_dir=str(folder), **kwargs), inputs=inputs)


def finish(stage: Stage, text: str = "made") -> None:
    with stage.writing() as folder:
        (folder / "out.txt").write_text(text)
        stage.metrics["x"] = 1


def test_a_stage_leaves_its_files_metrics_and_manifest(tmp_path):
    finish(start(tmp_path / "run"))
    manifest = json.loads((tmp_path / "run/stage.json").read_text())
    assert manifest["recipe"] == "toy"
    assert manifest["settings"]["size"] == 1
    assert manifest["packages"]["transformers"] == "5.23.0"
    assert manifest["content_hash"] == content_hash(tmp_path / "run")
    assert json.loads((tmp_path / "run/metrics.json").read_text()) == {"x": 1}
    assert sorted(os.listdir(tmp_path)) == ["run"]


def test_a_finished_run_is_not_overwritten(tmp_path):
    finish(start(tmp_path / "run"))
    with pytest.raises(UserError, match="finished run of toy.*--output_dir.*--if_exists rebuild"):
        start(tmp_path / "run")
    finish(start(tmp_path / "run", size=2, if_exists="rebuild"), "new")
    assert (tmp_path / "run/out.txt").read_text() == "new"


def checkpoint(folder: Path, step: int, state: str = "{}") -> None:
    (folder / f"checkpoint-{step}").mkdir()
    (folder / f"checkpoint-{step}/trainer_state.json").write_text(state)


def test_an_unfinished_run_says_how_to_go_on(tmp_path):
    start(tmp_path / "run")
    start(tmp_path / "run", size=2)  # nothing was made yet, so nothing is in the way
    start(tmp_path / "run")
    checkpoint(tmp_path / "run", 10)
    with pytest.raises(UserError, match="unfinished run of these settings: go on with --if_exists rebuild"):
        start(tmp_path / "run")
    with pytest.raises(UserError, match=r"differs in size \(1 there, 2 here\)"):
        start(tmp_path / "run", size=2)


def test_rebuild_keeps_the_checkpoints_of_the_same_run_only(tmp_path):
    start(tmp_path / "run")
    checkpoint(tmp_path / "run", 10)
    checkpoint(tmp_path / "run", 20, '{"half')
    resumed = start(tmp_path / "run", if_exists="rebuild")
    assert resumed.checkpoint == str(tmp_path / "run/checkpoint-10"), "a torn checkpoint is passed over"
    assert start(tmp_path / "run", size=3, if_exists="rebuild").checkpoint is None
    assert not (tmp_path / "run/checkpoint-10").exists()


def test_keep_leaves_a_finished_run_of_the_same_settings_and_inputs(tmp_path, capsys):
    folder, data = tmp_path / "run", tmp_path / "data.txt"
    again = {"inputs": (str(data),), "if_exists": "keep"}
    data.write_text("one")
    finish(start(folder, **again))
    os.utime(folder / "stage.json", (0, 0))
    with pytest.raises(SystemExit) as stop:
        start(folder, **again)
    assert stop.value.code == 0 and "holds this run already" in capsys.readouterr().out
    assert (folder / "out.txt").read_text() == "made"
    assert (folder / "stage.json").stat().st_mtime > 0, "or make would ask again"

    finish(start(folder, size=2, **again), "of another setting")
    driven = (Settings(2), Drive(report_to="tensorboard"), FolderArguments(output_dir=str(folder), if_exists="keep"))
    finish(Stage.start("toy", *driven, inputs=again["inputs"]), "driven in another way")
    data.write_text("two")
    finish(start(folder, size=2, **again), "of another input")
    (folder / "out.txt").write_text("changed by hand")
    finish(start(folder, size=2, **again), "made anew")
    (folder / "metrics.json").unlink()
    finish(start(folder, size=2, **again), "with metrics")
    assert (folder / "out.txt").read_text() == "with metrics"


def test_keep_goes_on_with_an_unfinished_run(tmp_path):
    start(tmp_path / "run", if_exists="keep")
    checkpoint(tmp_path / "run", 10)
    resumed = start(tmp_path / "run", if_exists="keep")
    assert resumed.goes_on and resumed.checkpoint == str(tmp_path / "run/checkpoint-10")


PROCESSES = """
import sys
from accelerate import PartialState
from aji.stage import FolderArguments, Stage

state = PartialState(cpu=True)
stage = Stage.start("toy", FolderArguments(output_dir=sys.argv[1], seed=int(sys.argv[2]), if_exists="keep"))
print(f"process {state.process_index} of {state.num_processes} runs", flush=True)
state.wait_for_everyone()
if state.is_main_process:
    stage.finish({})
"""


@pytest.mark.slow
def test_all_processes_keep_a_run_or_all_make_another(tmp_path):
    (tmp_path / "stage.py").write_text(PROCESSES)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", tmp_path / "stage.py"]
    for seed, runs in ((1, 2), (1, 0), (2, 2)):
        done = subprocess.run(
            [*map(str, launch), str(tmp_path / "run"), str(seed)], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr[-1500:]
        assert done.stdout.count("of 2 runs") == runs and done.stdout.count("kept.") == (runs == 0)


def test_a_folder_of_somebody_else_is_never_touched(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_text("")
    for if_exists in ("refuse", "rebuild", "keep"):
        with pytest.raises(UserError, match="no run of aji made"):
            start(tmp_path / "photos", if_exists=if_exists)
    assert (tmp_path / "photos/cat.jpg").exists()


def test_a_changed_input_makes_another_run(tmp_path):
    data = tmp_path / "data.txt"
    data.write_text("one")
    start(tmp_path / "run", inputs=(str(data),))
    checkpoint(tmp_path / "run", 10)
    data.write_text("two")
    with pytest.raises(UserError, match="differs in the content of its inputs"):
        start(tmp_path / "run", inputs=(str(data),))


def test_parents_are_named_with_the_hash_of_their_content(tmp_path):
    finish(start(tmp_path / "parent"))
    parent = fingerprint(str(tmp_path / "parent"))
    assert parent["stage"] == "toy" and parent["sha256"] == content_hash(tmp_path / "parent")
    file = fingerprint(str(tmp_path / "parent/out.txt"))
    assert file["stage"] == "toy" and file["sha256"] != parent["sha256"]


def test_the_content_hash_ignores_records_and_checkpoints(tmp_path):
    (tmp_path / "model.bin").write_text("weights")
    before = content_hash(tmp_path)
    write_json(tmp_path / "metrics.json", {"a": 1})
    (tmp_path / "checkpoint-1").mkdir()
    (tmp_path / "checkpoint-1/x").write_text("x")
    assert content_hash(tmp_path) == before
    (tmp_path / "model.bin").write_text("other")
    assert content_hash(tmp_path) != before


def test_a_failed_write_leaves_what_was_there(tmp_path):
    target = tmp_path / "out"
    with atomic_dir(target) as folder:
        (folder / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_dir(target) as folder:
        (folder / "a").write_text("half")
        raise ZeroDivisionError
    assert (target / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_missing_output_dir():
    with pytest.raises(UserError, match="output_dir is missing"):
        Stage.start("toy", Settings(), FolderArguments())


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (UserError("do this"), "Error: do this", 1),
        (OSError(28, "No space left on device"), "the disk is full", 1),
        (RuntimeError("PytorchStreamWriter failed writing file data/3"), "the disk is full", 1),
        (KeyboardInterrupt(), "Interrupted", 130),
    ],
)
def test_mistakes_are_told_in_one_line(error, message, code, capsys):
    with pytest.raises(SystemExit) as exit_info, report_errors():
        raise error
    told = capsys.readouterr().err + (exit_info.value.code if isinstance(exit_info.value.code, str) else "")
    assert message in told and "Traceback" not in told
    assert exit_info.value.code == code or (code == 1 and isinstance(exit_info.value.code, str))


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), report_errors():
        raise ZeroDivisionError


def test_a_full_disk_stops_with_one_line():
    """A real full device, not a stand-in."""
    code = "from aji.errors import report_errors\nwith report_errors(), open('/dev/full', 'w') as f:\n    f.write('x')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the disk is full") and done.stderr.count("\n") == 1
