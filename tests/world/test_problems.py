import random
import re

import pytest

from aji.world.arguments import WorldArguments
from aji.world.korean import josa
from aji.world.problem_texts import EXPRESSIONS, STORIES, STORY_REQUESTS
from aji.world.problems import (
    build_problems,
    compute,
    difference_steps,
    draw_problem,
    draw_problems,
    is_training_pair,
    solve,
    split_of,
    split_of_operation,
    tasks,
    worked_sum,
)


EQUATION = re.compile(r"\d+(?: [+-] \d+)+ = \d+")
EXPRESSION = re.compile(r"(\d+) (?:([-+*])|plus|minus|times|더하기|빼기|곱하기) (\d+)")


@pytest.mark.parametrize(
    ("a", "b", "language", "expected"),
    [
        (47, 85, "en", "47 + 85: 7 + 5 = 12, 4 + 8 + 1 = 13. So the answer is 132."),
        (47, 85, "ko", "47 + 85: 7 + 5 = 12, 4 + 8 + 1 = 13. 그래서 답은 132입니다."),
        (21, 34, "en", "21 + 34: 1 + 4 = 5, 2 + 3 = 5. So the answer is 55."),
        (3, 9, "en", "3 + 9: 3 + 9 = 12. So the answer is 12."),
        (98, 407, "en", "98 + 407: 8 + 7 = 15, 9 + 0 + 1 = 10, 0 + 4 + 1 = 5. So the answer is 505."),
    ],
)
def test_worked_sum_goes_column_by_column(a, b, language, expected):
    assert worked_sum(a, b, language) == expected


def test_difference_borrows_from_the_next_column():
    assert difference_steps(52, 17) == "12 - 7 = 5, 5 - 1 - 1 = 3."
    assert difference_steps(100, 37) == "10 - 7 = 3, 10 - 3 - 1 = 6, 1 - 0 - 1 = 0."


def test_digits_of_the_answer_can_be_read_off_the_columns():
    rng = random.Random(0)
    for _ in range(500):
        a, b = rng.randint(0, 9999), rng.randint(0, 9999)
        text = worked_sum(a, b, "en")
        columns = [int(equation.rsplit(" ", 1)[1]) for equation in EQUATION.findall(text)]
        assert int(str(columns[-1]) + "".join(str(column % 10) for column in reversed(columns[:-1]))) == a + b
        assert text.endswith(f" So the answer is {a + b}.")
        low = rng.randint(0, a)
        columns = [int(equation.rsplit(" ", 1)[1]) for equation in EQUATION.findall(difference_steps(a, low))]
        assert int("".join(map(str, reversed(columns)))) == a - low


def test_every_equation_in_the_steps_is_true():
    rng = random.Random(1)
    for task in tasks(4):
        if not task.endswith("_steps"):
            continue
        for language in ("en", "ko"):
            for _ in range(60):
                problem = draw_problem(rng, task, language, "train")
                for equation in EQUATION.findall(problem.solution):
                    left, right = equation.split(" = ")
                    assert eval(left) == int(right), problem.solution
                assert re.findall(r"\d+", problem.solution)[-1] == problem.answer


def test_answer_is_what_the_operators_give():
    rng = random.Random(2)
    for task in tasks(3):
        problem = draw_problem(rng, task, "en", "train")
        value = problem.numbers[0]
        for operator, number in zip(problem.operators, problem.numbers[1:], strict=True):
            value = compute(value, operator, number)
        assert problem.answer == str(value)
        if task.endswith("_direct"):
            assert "," not in problem.solution and problem.solution.split(" = ")[-1] == problem.answer


def test_two_step_solution():
    solution, answer = solve([12, 9, 5], "+-", "steps", "en", is_story=True)
    assert answer == "16"
    assert solution == (
        "First 12 + 9: 2 + 9 = 11, 1 + 0 + 1 = 2. That is 21. "
        "Then 21 - 5: 11 - 5 = 6, 2 - 0 - 1 = 1. So the answer is 16."
    )
    korean, _ = solve([3, 7, 4], "*+", "steps", "ko", is_story=True)
    assert korean == "먼저 3 * 7: 7, 14, 21. 즉 21. 다음 21 + 4: 1 + 4 = 5, 2 + 0 = 2. 그래서 답은 25입니다."


def test_splits_hold_the_stated_shares_and_ignore_the_order():
    pairs = [(a, b) for a in range(10, 200) for b in range(10, 200)]
    shares = dict.fromkeys(("train", "validation", "test"), 0.0)
    for a, b in pairs:
        shares[split_of(a, b)] += 1 / len(pairs)
        assert split_of(a, b) == split_of(b, a)
    assert shares["train"] == pytest.approx(0.85, abs=0.01)
    assert shares["validation"] == pytest.approx(0.05, abs=0.01)
    assert shares["test"] == pytest.approx(0.10, abs=0.01)
    assert all(is_training_pair(a, b) for a in range(10) for b in range(10))
    # What is taken away belongs to the sum that it undoes.
    assert all(split_of_operation(a + b, "-", b) == split_of(a, b) for a, b in pairs[:2000])


def test_no_number_pair_of_the_test_occurs_in_training():
    args = WorldArguments(problems=3000, problems_validation=600, problems_test=1500)
    train, validation, test = build_problems(random.Random(3), args)
    assert (len(train), len(validation), len(test)) == (3000, 600, 1500)

    def sums(rows):
        found = set()
        for row in rows:
            for a, operator, b in EXPRESSION.findall(row["prompt"][0]["content"]):
                if operator in ("+", "-") and (int(a) > 9 or int(b) > 9):
                    low, high = (int(b), int(a) - int(b)) if operator == "-" else (int(a), int(b))
                    found.add(frozenset((low, high)))
        return {pair for pair in found if max(pair) > 9}

    assert len(sums(train)) > 500 and len(sums(test)) > 200
    assert not sums(train) & sums(test)
    assert not sums(train) & sums(validation)
    assert not sums(validation) & sums(test)
    questions = [{row["prompt"][0]["content"] for row in rows} for rows in (train, validation, test)]
    assert not questions[0] & questions[1] and not questions[0] & questions[2] and not questions[1] & questions[2]


def test_training_chains_hold_only_training_pairs():
    rng = random.Random(4)
    for _ in range(300):
        problem = draw_problem(rng, "word2_steps", "en", "train")
        value = problem.numbers[0]
        for operator, number in zip(problem.operators, problem.numbers[1:], strict=True):
            assert split_of_operation(value, operator, number) == "train"
            value = compute(value, operator, number)


def test_rows_are_canonical_and_cover_every_task_in_both_languages():
    args = WorldArguments(problems=560, problems_validation=56, problems_test=56)
    train, _, test = build_problems(random.Random(5), args)
    assert set(train[0]) == {"prompt", "answer", "task", "language", "solution"}
    for rows in (train, test):
        assert {(row["task"], row["language"]) for row in rows} == {
            (task, language) for task in tasks(3) for language in ("en", "ko")
        }
    assert all(row["answer"].isdigit() for row in train + test)
    assert all([message["role"] for message in row["prompt"]] == ["user"] for row in train)
    assert not any("(" in row["prompt"][0]["content"] for row in train + test if row["language"] == "ko")


def test_wordings_are_apart_by_split():
    for table in (EXPRESSIONS, STORY_REQUESTS, STORIES):
        for name, languages in table.items():
            for language in ("en", "ko"):
                splits = languages[language]
                wordings = [text for split in ("train", "validation", "test") for text in splits[split]]
                assert splits["train"] and splits["validation"] and splits["test"], (name, language)
                assert len(wordings) == len(set(wordings)), (name, language)
    assert all(len(EXPRESSIONS[way][language]["train"]) >= 8 for way in EXPRESSIONS for language in ("en", "ko"))


def test_the_same_wording_never_asks_for_both_ways():
    for table in (EXPRESSIONS, STORY_REQUESTS):
        for language in ("en", "ko"):
            direct, steps = (
                {text for texts in table[way][language].values() for text in texts} for way in ("direct", "steps")
            )
            assert not direct & steps


def test_asking_for_more_than_the_table_holds_gives_what_there_is():
    problems = draw_problems(random.Random(6), "product1_direct", "en", "validation", 100)
    # One wording, 64 ordered products.
    assert 50 < len(problems) <= 64
    assert len({problem.question for problem in problems}) == len(problems)


def test_korean_questions_are_resolved():
    rng = random.Random(7)
    for task in tasks(3):
        for split in ("train", "validation", "test"):
            question = draw_problem(rng, task, "ko", split).question
            assert question == josa(question)


def test_same_seed_same_problems():
    args = WorldArguments(problems=100, problems_validation=30, problems_test=30)
    assert build_problems(random.Random(8), args) == build_problems(random.Random(8), args)
    assert build_problems(random.Random(8), args) != build_problems(random.Random(9), args)
