import random
import re

import pytest

from aji.errors import UserError
from aji.rewards import is_right
from aji.world.arguments import WorldArguments
from aji.world.korean import josa
from aji.world.ladder import (
    PLAIN,
    QUESTIONS,
    REQUESTS,
    RUNGS,
    STORIES,
    build_demonstrations,
    build_ladder,
    draw_exercise,
)
from aji.world.problems import split_of
from aji.world.solutions import STYLES, arithmetic, borrows, carries, chain, counting


EQUATION = re.compile(r"(?<![\d+*-] )\d+(?: [-+] \d+)+ = \d+")


SELDOM = (*PLAIN, "sum1", "sum2")  # rungs that leave nothing to slip on, or not always


def exercises(split="train", count=40, seed=1):
    rng = random.Random(seed)
    return [
        draw_exercise(rng, rung, language, split) for rung in RUNGS for language in ("en", "ko") for _ in range(count)
    ]


def test_the_checkers_judge_every_solution_in_every_style():
    for exercise in exercises():
        row = exercise.row()
        for style in STYLES if exercise.rung not in PLAIN else ("direct",):
            assert is_right(exercise.work.write(style, exercise.language), row), (style, exercise)
            slipped = exercise.slipped.write(style, exercise.language)
            # A slip is wrong, but for a countdown found at once, which has no attempt to stop at.
            if exercise.rung not in PLAIN and exercise.slipped.answer != exercise.work.answer:
                assert not is_right(slipped, row), (style, slipped)


def test_slips_change_the_answer():
    for exercise in exercises():
        if exercise.rung not in SELDOM:
            assert exercise.slipped.answer != exercise.work.answer, exercise
    sums = [exercise for exercise in exercises() if exercise.rung == "sum2"]
    changed = {exercise.slipped.answer != exercise.work.answer for exercise in sums}
    assert changed == {True, False}  # where nothing is carried, no carry is forgotten


def test_every_equation_of_the_right_solutions_is_true():
    for exercise in exercises():
        for style in ("steps", "check"):
            for equation in EQUATION.findall(exercise.work.write(style, exercise.language)):
                left, right = equation.split(" = ")
                assert eval(left) == int(right), equation


def test_worked_sums_and_differences():
    work = arithmetic(47, "+", 85, "en", slip=False)
    assert work.write("terse", "en") == "47 + 85: 12, 13. So the answer is 132."
    assert work.write("steps", "en") == "47 + 85: 7 + 5 = 12, 4 + 8 + 1 = 13. So the answer is 132."
    assert work.write("first", "en") == "The answer is 132. 47 + 85: 7 + 5 = 12, 4 + 8 + 1 = 13."
    assert work.write("check", "en").endswith("So the answer is 132. Check: 132 - 85 = 47. Right.")
    assert work.write("direct", "ko") == "47 + 85 = 132"
    slip = arithmetic(47, "+", 85, "ko", slip=True)
    assert slip.write("steps", "ko") == "47 + 85: 7 + 5 = 12, 4 + 8 = 12. 그래서 답은 122입니다."
    assert slip.write("check", "ko").endswith("그래서 답은 122입니다. 검산: 122 - 85 = 37. 틀립니다.")
    assert arithmetic(52, "-", 17, "en", slip=True).answer == "45"


def test_other_solutions():
    assert (
        chain([12, 9, 5], "+-", "en", False).write("terse", "en") == "12 + 9 = 21, 21 - 5 = 16. So the answer is 16."
    )
    assert chain([12, 9, 5], "+-", "en", True).answer == "21"
    assert counting("banana", "a", False).write("steps", "en") == "b, a 1, n, a 2, n, a 3. So the answer is 3."
    assert counting("banana", "a", True).answer == "2"


def test_rungs_hold_what_they_promise():
    rng = random.Random(3)
    for _ in range(50):
        for rung, least in (("carry2", 1), ("carry3", 2)):
            a, b = map(int, re.findall(r"\d+", draw_exercise(rng, rung, "en", "train").work.steps)[:2])
            assert carries(a, b) >= least
        a, b = map(int, re.findall(r"\d+", draw_exercise(rng, "borrow2", "en", "test").work.steps)[:2])
        assert borrows(a, b) >= 1 and split_of(b, a - b) == "test"


def test_splits_share_no_question_and_korean_is_resolved():
    splits = build_ladder(random.Random(5), WorldArguments(ladder=720, ladder_validation=180, ladder_test=360))
    questions = [{row["prompt"][0]["content"] for row in rows} for rows in splits]
    assert [len(rows) for rows in splits] == [720, 170, 360]  # few sums of one digit are there to validate on
    assert not questions[0] & questions[1] and not questions[0] & questions[2] and not questions[1] & questions[2]
    answers = {(row["task"], row["language"]) for row in splits[2]}
    assert answers == {(rung, language) for rung in RUNGS for language in ("en", "ko")}
    assert all(question == josa(question) for own in questions for question in own)
    words = [set(re.findall(r'"(\w{4,})"', " ".join(own))) for own in questions]
    assert words[0] and not words[0] & words[2]


def test_wordings_are_apart_by_split_and_style():
    for table in (QUESTIONS, REQUESTS, STORIES):
        for name, languages in table.items():
            for language in ("en", "ko"):
                splits = languages[language]
                texts = [text for split in ("train", "validation", "test") for text in splits[split]]
                assert splits["train"] and splits["validation"] and splits["test"], (name, language)
                assert len(texts) == len(set(texts))
    requests = [
        text for style in REQUESTS.values() for splits in style.values() for own in splits.values() for text in own
    ]
    assert len(requests) == len(set(requests))


def test_demonstrators_slip_as_often_as_set():
    train, validation = build_demonstrations(
        random.Random(6), WorldArguments(demonstrations=2000, demonstrator_noise=0.4)
    )
    assert (len(train), len(validation)) == (2000, 100)
    free = [row for row in train if not row["requested"] and row["task"] not in SELDOM]
    right = [is_right(row["messages"][1]["content"], row) for row in free]
    assert sum(right) / len(right) == pytest.approx(0.6, abs=0.03)
    asked = [row for row in train if row["requested"] or row["task"] in (*PLAIN, "sum1")]
    assert all(is_right(row["messages"][1]["content"], row) for row in asked)
    assert {row["style"] for row in free} == {"direct", "terse", "steps", "check"}
    with pytest.raises(UserError, match=r"demonstrator_noise is 1.5"):
        build_demonstrations(random.Random(6), WorldArguments(demonstrator_noise=1.5))
