import pytest

from aji.errors import UserError
from aji.evals.intervals import share
from aji.manifest import write_json
from aji.report import tables
from aji.report.card import write_card
from aji.report.page import write_report


def stage(folder, name, metrics, history=None):
    (folder / name).mkdir()
    write_json(folder / name / "metrics.json", metrics)
    manifest = {"finished": f"2026-01-01 00:00:0{len(name)}", "wall_seconds": 65, "peak_memory_gb": 1.25}
    write_json(folder / name / "stage.json", manifest | {"machine": {"cores": 2, "device": "cpu"}})
    if history:
        write_json(folder / name / "log_history.json", history)


def test_a_figure_stands_on_one_line_with_its_interval():
    assert tables.rows({**share("common", 8, 10), "parameters": 4262144}) == [
        ("common", "80", "49.02 to 94.33", "10"),
        ("parameters", "4,262,144", "", ""),
    ]
    assert "| common | 80 | 49.02 to 94.33 | 10 |" in tables.markdown(share("common", 8, 10))


def test_the_report_has_every_stage_its_cost_and_its_pictures(tmp_path):
    history = [{"step": step, "loss": 5 - step / 10} for step in range(1, 20)] + [{"step": 20, "eval_loss": 3.0}]
    stage(tmp_path, "sft", {"train_tokens": 1000, "train_tokens_per_second": 500}, history)
    exam = {}
    for task in ("common", "people_often", "people_rare", "people_never"):
        exam |= share(f"{task}_en", 8, 10) | share(f"{task}_ko", 7, 10) | share(task, 15, 20)
    for task in ("sum2", "sum3"):
        exam |= share(f"{task}_direct", 1, 10) | share(f"{task}_steps", 9, 10)
    stage(tmp_path, "eval", exam)
    text = write_report(tmp_path).read_text()
    assert "| sft | 1:05 | 1,000 | 500 | 1.25 GB |" in text and "| all | 2:10 |" in text
    assert "| sum3_steps | 90 | 59.58 to 98.21 | 10 |" in text
    for picture in ("loss.png", "exam.png"):
        assert f"({picture})" in text and (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


def test_nothing_to_report(tmp_path):
    with pytest.raises(UserError, match="holds no finished stage"):
        write_report(tmp_path)


def test_the_card_names_inputs_and_figures(tmp_path):
    write_card(
        tmp_path,
        "sft",
        [{"path": "runs/base", "sha256": "ab" * 32}, {"path": "me/x", "sha256": None}],
        {"eval_loss": 0.5},
    )
    card = (tmp_path / "README.md").read_text()
    assert "library_name: transformers" in card and "- `runs/base` (abababababab)" in card
    assert "- `me/x` (Hub)" in card and "| eval_loss | 0.5 |" in card
