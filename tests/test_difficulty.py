import pytest

from aji.difficulty import DifficultyArguments, choose, measure, suggest
from aji.errors import UserError
from aji.evals.pass_at_k import Tries


def tried(task, *rights, stopped=True):
    return [Tries({"task": task}, [""] * len(r), list(r), [stopped] * len(r), [9] * len(r)) for r in rights]


TRIES = [
    *tried("easy", (True, True), (True, True)),
    *tried("middle", (True, False), (False, True)),
    *tried("hard", (False, False), (False, False)),
]
ROWS = [one.row for one in TRIES]


def test_the_table():
    found = measure(TRIES)
    assert found.pass_1 == {"easy": 1.0, "middle": 0.5, "hard": 0.0}
    assert found.pass_k == {"easy": 1.0, "middle": 1.0, "hard": 0.0}
    assert found.metrics() == {"difficulty_easy": 100.0, "difficulty_middle": 50.0, "difficulty_hard": 0.0}


def test_auto_takes_the_rungs_within_reach():
    rows, _, remark = choose(ROWS, TRIES, DifficultyArguments())
    assert {row["task"] for row in rows} == {"middle"} and remark == ""


def test_auto_without_such_a_rung_says_so_and_takes_the_nearest():
    hard = [one for one in TRIES if one.row["task"] == "hard"]
    rows, _, remark = choose(ROWS[-2:], hard, DifficultyArguments())
    assert {row["task"] for row in rows} == {"hard"}
    assert "No task is solved in 20 to 80 %" in remark and "hard (0 %), which is too hard" in remark


def test_filter_takes_single_problems():
    rows, _, remark = choose(ROWS, TRIES, DifficultyArguments(difficulty="filter"))
    assert len(rows) == 2 and remark.startswith("2 of 6 problems")
    with pytest.raises(UserError, match="Nothing to train on: widen --difficulty_range"):
        choose(ROWS, TRIES, DifficultyArguments(difficulty="filter", difficulty_range=[0.6, 0.8]))


def test_all_takes_all():
    rows, _, _ = choose(ROWS, TRIES, DifficultyArguments(difficulty="all"))
    assert rows == ROWS


def test_replies_that_are_all_cut_stop_the_run_before_it_starts():
    with pytest.raises(UserError, match="all 4 completions were cut at 9 tokens"):
        measure(tried("a", (False, False), (False, False), stopped=False))


def test_nothing_is_suggested_where_something_fits():
    assert suggest(None, None, "x", DifficultyArguments(), {}, measure(TRIES)) == ""
    hard = measure([one for one in TRIES if one.row["task"] == "hard"])
    assert "Take easier problems" in suggest(None, None, None, DifficultyArguments(), {}, hard)


@pytest.mark.parametrize("wrong", [[0.8, 0.2], [0.2], [-1, 0.5]])
def test_ranges(wrong):
    with pytest.raises(UserError, match="expected two shares"):
        DifficultyArguments(difficulty_range=wrong)
