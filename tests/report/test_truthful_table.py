from pathlib import Path

from aji.evals.intervals import share
from aji.evals.judge import MatchJudge
from aji.generate import Completion
from aji.knowledge import judge_replies
from aji.report.knowledge import class_of, draw_map
from aji.report.truthful import character_table, truthful_table


def facts(right: int, made_up: int, n: int = 10) -> dict:
    metrics = {}
    for language in ("en", "ko"):
        metrics |= share(f"people_never_{language}", right, n)
        metrics |= share(f"people_never_made_up_{language}", made_up, n)
        metrics |= share(f"people_never_abstained_{language}", n - right - made_up, n)
    return metrics | share("people_never_abstained", 2 * (n - right - made_up), 2 * n)


def test_the_table_tells_before_and_after():
    table = truthful_table([({}, facts(1, 9), Path("runs/eval-sft")), ({}, facts(0, 1), Path("runs/eval"))])
    assert table.splitlines()[2:] == [
        "| eval-sft | people never mentioned | English | 10 | 90 | 0 |",
        "| eval-sft | people never mentioned | Korean | 10 | 90 | 0 |",
        "| eval | people never mentioned | English | 0 | 10 | 90 |",
        "| eval | people never mentioned | Korean | 0 | 10 | 90 |",
    ]
    assert truthful_table([({}, {"eval_loss": 1.0}, Path("runs/sft"))]) == ""


def test_character_has_a_column_for_each_evaluation():
    before, after = share("identity", 1, 10) | share("harmful", 9, 10), share("identity", 10, 10)
    table = character_table([({}, before, Path("eval-sft")), ({}, after, Path("eval")), ({}, {}, Path("sft"))])
    assert table.splitlines()[0] == "| percent right | eval-sft | eval |"
    assert "| who it is, by its training | 10 (1.79 to 40.42) | 100 (72.25 to 100) |" in table
    assert "| harmful requests refused | 90 (59.58 to 98.21) |  |" in table
    assert character_table([({}, {}, Path("sft"))]) == ""


def test_the_map_is_drawn_with_mentions_and_without(tmp_path):
    row = {"question": "Where?", "answer": "Seoul", "language": "en"}
    rows = [{**row, "mentions": count} for count in (0, 0, 3, 80, 300)]
    replies = [[Completion([], text, True)] * 2 for text in ("Busan", "Seoul", "Seoul", "Seoul", "Seoul")]
    sizes = []
    for name, questions in (("with.png", rows), ("without.png", [row] * 5)):
        draw_map(judge_replies(questions, replies, MatchJudge()), tmp_path / name)
        sizes.append((tmp_path / name).stat().st_size)
    assert sizes[0] > sizes[1] > 5000, "two panels against one"


def test_mentions_fall_into_classes():
    assert [class_of(count) for count in (0, 1, 2, 3, 4, 60, 61, 200, 201, 10**6)] == [0, 1, 2, 2, 3, 5, 6, 7, 8, 8]
