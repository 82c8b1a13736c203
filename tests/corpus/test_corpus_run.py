"""The whole stage through its recipe: equal output however it is run, resumed, ended, and told in one line."""

import importlib.util
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest
from crawls import page, record, stories, write_warc

from aji.corpus.finish import finish
from aji.data.load import load_documents
from aji.errors import UserError


ROOT = Path(__file__).parents[2]
RULES = {language: {"gopher_repetition": {"dup_n_grams": []}} for language in ("en", "ko")}
FLAGS = ["--block_lists", "false", "--rules", json.dumps(RULES), "--validation_percent", "20", "--tasks", "4"]


def run(source: Path | str, output: Path, *flags: str, env: dict | None = None) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        "recipes/corpus.py",
        "--input",
        str(source),
        "--output_dir",
        str(output),
        *FLAGS,
        *flags,
    ]
    options = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": 120}
    return subprocess.run(command, env=os.environ | (env or {}), **options)


def hash_of(output: Path) -> str:
    return json.loads((output / "corpus.json").read_text())["output_hash"]


@pytest.fixture(scope="module")
def crawl(tmp_path_factory) -> Path:
    """Six archives: sixty distinct pages in two languages, a copy, a German page, an error and a broken file."""
    folder = tmp_path_factory.mktemp("crawl")
    pages = [record(url, page(text)) for url, text in stories(60)]
    url, text = stories(1)[0]
    pages += [record(f"{url}?print=1", page(text)), record("https://x.example/", page(text), status="404 Not Found")]
    pages += [
        record("https://de.example/", page("Alle Menschen sind frei und gleich an Würde und Rechten geboren. " * 9))
    ]
    for number in range(6):
        write_warc(folder / f"{number}.warc.gz", pages[number::6])
    path = folder / "5.warc.gz"
    path.write_bytes(path.read_bytes()[:-30])
    return folder


@pytest.fixture(scope="module")
def output(crawl, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "corpus"
    done = run(crawl, folder, "--workers", "2", "--log_drops", "true")
    assert done.returncode == 0, done.stderr[-2000:]
    (folder.parent / "log").write_text(done.stdout)
    return folder


def test_what_is_written(output, crawl):
    metrics = json.loads((output / "metrics.json").read_text())
    # One good page was the last of the file that is cut.
    assert metrics["pages_kept"] == 59 == metrics["train_documents"] + metrics["validation_documents"]
    assert metrics["dropped_duplicates"] == 1 and metrics["dropped_language"] == 1
    train = load_documents(str(output / "train-*.parquet"))
    held_out = load_documents(str(output / "validation-*.parquet"))
    assert train.column_names == ["text", "url", "language"] and set(train["language"]) == {"en", "ko"}
    assert len(train) + len(held_out) == 59 and not set(train["text"]) & set(held_out["text"])
    assert not any("Comments" in text or "Shop" in text for text in train["text"])
    drops = [json.loads(line) for line in (output / "drops.jsonl").read_text().splitlines()]
    assert {(row["block"], row["reason"]) for row in drops} >= {
        ("read", "error_page"), ("language", "language_de"), ("duplicates", "exact_copy")
    }  # fmt: skip
    assert (output / "funnel.png").stat().st_size > 10_000
    assert "| duplicates | **kept** | 59 |" in (output / "funnel.md").read_text()
    assert "## language: language_de" in (output / "examples.md").read_text()
    assert not (output / "work").exists() and not (output / "started.json").exists()


@pytest.mark.parametrize(("tasks", "workers"), [("4", "1"), ("1", "1"), ("7", "3")])
def test_the_output_hash_does_not_depend_on_how_the_work_is_shared(output, crawl, tmp_path, tasks, workers):
    done = run(crawl, tmp_path / "other", "--tasks", tasks, "--workers", workers)
    assert done.returncode == 0, done.stderr[-2000:]
    assert hash_of(tmp_path / "other") == hash_of(output)
    if tasks == "4":
        for path in output.glob("*.parquet"):
            assert (tmp_path / "other" / path.name).read_bytes() == path.read_bytes()


def test_a_killed_task_is_told_and_only_it_is_repeated(output, crawl, tmp_path):
    """A page that hangs holds one task long enough to kill it."""
    folder = tmp_path / "crawl"
    folder.mkdir()
    for path in crawl.glob("*"):
        (folder / path.name).write_bytes(path.read_bytes())
    deep = "<div>" * 100_000 + "text"
    write_warc(folder / "6.warc.gz", [record("https://deep.example/", deep)])
    flags = ["--input", str(folder), "--output_dir", str(tmp_path / "out"), *FLAGS, "--workers", "2"]
    flags += ["--page_seconds", "12", "--if_exists", "rebuild"]
    command = [sys.executable, "recipes/corpus.py", *flags]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    done = tmp_path / "out" / "work" / "log/0-clean/completions"
    deadline = time.time() + 60
    while time.time() < deadline and not (done.is_dir() and len(list(done.iterdir())) == 3):
        time.sleep(0.1)
    tasks = (Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()).split()
    for child in tasks:
        os.kill(int(child), signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1 and "was ended by SIGKILL" in errors and "3 of 4 tasks are done" in errors
    assert "Traceback" not in errors
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert again.returncode == 0, again.stderr[-2000:]
    assert "clean: 1 of 4 tasks" in again.stdout
    assert hash_of(tmp_path / "out") == hash_of(output)


def test_who_is_interrupted_at_the_very_end_goes_on_from_there(output, crawl, tmp_path):
    """The truth is compared last, when all tasks are done: what breaks off there loses nothing."""
    truth = tmp_path / "truth.jsonl"
    truth.write_text('{"url": "https://nobody.example/", "kind": "good"}\n')
    flags = ("--truth", str(truth), "--if_exists", "rebuild")
    for _ in range(2):
        done = run(crawl, tmp_path / "out", *flags)
        assert done.returncode == 1 and "found none of the urls of the corpus in it" in done.stderr
        assert list((tmp_path / "out" / "work" / "corpus").glob("train-*.parquet"))
    assert "clean:" not in done.stdout, "the tasks were done"


def test_mistakes_are_one_line(tmp_path, crawl):
    empty = write_warc(tmp_path / "empty.warc.gz", [])
    images = write_warc(tmp_path / "images.warc.gz", [record("http://a.example/i.png", b"\x89PNG", mime="image/png")])
    for source, message in (
        (tmp_path / "none*", "found no file to read"),
        (empty, "found no page to train on (there was no page)"),
        (images, "found no page to train on (read: not_html 1)"),
    ):
        done = run(source, tmp_path / "out", "--if_exists", "rebuild")
        assert done.returncode == 1 and message in done.stderr, done.stderr
        assert done.stderr.strip().count("\n") == 0 and not list((tmp_path / "out").glob("*.parquet"))


def test_a_full_disk_is_told(tmp_path, crawl):
    limit = [
        "bash",
        "-c",
        f"ulimit -f 4; trap '' XFSZ; exec {sys.executable} recipes/corpus.py "
        + " ".join(f"'{word}'" for word in ("--input", str(crawl), "--output_dir", str(tmp_path / "out"), *FLAGS)),
    ]
    done = subprocess.run(limit, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and not (tmp_path / "out/corpus.json").exists()
    assert "Traceback" not in done.stderr and "Error: " in done.stderr


def test_nothing_is_left_when_no_page_is_kept(tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/.00000.json").write_text('{"counts": {}, "hash": "0"}')
    with pytest.raises(UserError, match="found no page to train on"):
        finish(tmp_path, tmp_path, {})


def test_slurm_gets_the_steps_in_order(tmp_path, crawl):
    """A stand-in for sbatch writes down what it is given."""
    fake = tmp_path / "bin/sbatch"
    fake.parent.mkdir()
    fake.write_text(
        '#!/bin/sh\necho "$@" >> "$SBATCH_LOG"\ncat "$(eval echo \\${$#})" >> "$SBATCH_LOG"\n'
        'n=$(grep -c -- --export "$SBATCH_LOG")\necho "Submitted batch job 10$n"\n'
    )
    fake.chmod(fake.stat().st_mode | stat.S_IEXEC)
    log = tmp_path / "sbatch.log"
    env = {"PATH": f"{fake.parent}:{os.environ['PATH']}", "SBATCH_LOG": str(log)}
    settings = "{partition: cpu, time: '01:00:00'}"
    flags = ["--executor", "slurm", "--slurm", settings, "--workers", "50"]
    done = run(crawl, tmp_path / "out", *flags, env=env)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "jobs are submitted" in done.stdout
    submitted = log.read_text()
    for line in (
        "--partition=cpu",
        "--job-name=aji-clean",
        "--array=0-3%50",
        "--job-name=aji-pairs",
        "--array=0-14%50",
    ):
        assert line in submitted, line
    assert submitted.count("launch_pickled_pipeline") == 4 and "--dependency=afterok:10" in submitted


def test_ray_makes_the_same_corpus(output, crawl, tmp_path):
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed")
    done = run(crawl, tmp_path / "ray", "--executor", "ray", "--workers", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    assert hash_of(tmp_path / "ray") == hash_of(output)


def test_rows_of_parquet_are_read_too(output, tmp_path):
    """The corpus of a corpus is itself, but for what the split says."""
    again = run(str(output / "train-*.parquet"), tmp_path / "again")
    assert again.returncode == 0, again.stderr[-2000:]
    rows = sum(pyarrow.parquet.read_metadata(path).num_rows for path in (tmp_path / "again").glob("train-*.parquet"))
    assert rows == len(load_documents(str(output / "train-*.parquet")))
