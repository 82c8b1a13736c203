"""Arithmetic in the pretraining text: bare sums, worked sums and word problems, all of the asked split."""

import random

from aji.world.grammar import write
from aji.world.problems import QA_FORMAT, TRANSCRIPT, Problem, draw_problem, split_of


# Tasks of `draw_problem` by how often a lesson sets them; sums of two and three digits need the most practice.
WORKED_TASKS = (
    ("sum2_steps",) * 9 + ("sum3_steps",) * 12
    + ("difference2_steps", "product1_steps", "word1_steps", "word1_steps", "word2_steps", "sum1_steps")
)  # fmt: skip
DIRECT_TASKS = (
    ("sum1_direct",) * 2 + ("sum2_direct",) * 2
    + ("sum3_direct", "difference2_direct", "product1_direct", "word1_direct")
)  # fmt: skip


def arithmetic_lesson(language: str, split: str, rng: random.Random) -> str:
    """One lesson in one of three forms, with numbers of `split` (train, validation or test)."""
    form = rng.choices((_table, _worked, _direct), weights=(2, 7, 1))[0]
    lines = [write("sums_title", language, rng)]
    if rng.random() < 0.4:
        lines.append(write("sums_open", language, rng))
    return "\n".join([*lines, *form(language, split, rng)])


def _table(language: str, split: str, rng: random.Random) -> list[str]:
    """Bare equations: 39 + 6 = 45."""
    lines = []
    for _ in range(rng.randint(6, 12)):
        a, operator, b = _draw_equation(split, rng)
        value = a + b if operator == "+" else a - b if operator == "-" else a * b
        lines.append(f"{a} {operator} {b} = {value}")
    return lines


def _draw_equation(split: str, rng: random.Random) -> tuple[int, str, int]:
    if rng.random() < 0.15:
        return rng.randint(2, 9), "*", rng.randint(2, 9)
    while True:
        a, b = (rng.randint(0, 10 ** rng.choices((1, 2, 3), weights=(5, 3, 1))[0] - 1) for _ in range(2))
        if split_of(a, b) == split:
            return (a + b, "-", b) if rng.random() < 0.25 else (a, "+", b)


def _worked(language: str, split: str, rng: random.Random) -> list[str]:
    lines = []
    for _ in range(rng.randint(3, 6)):
        problem = draw_problem(rng, rng.choice(WORKED_TASKS), language, split)
        lines.append(_question_and_answer(problem, language, rng))
    return lines


def _direct(language: str, split: str, rng: random.Random) -> list[str]:
    problems = [draw_problem(rng, rng.choice(DIRECT_TASKS), language, split) for _ in range(rng.randint(3, 6))]
    return [_question_and_answer(problem, language, rng) for problem in problems]


def _question_and_answer(problem: Problem, language: str, rng: random.Random) -> str:
    form = rng.random()
    if form < 0.4:
        return TRANSCRIPT.format(q=problem.question, a=problem.solution)
    if form < 0.6 and problem.question.endswith((".", "?")):
        return f"{problem.question} {problem.solution}"
    return QA_FORMAT[language].format(question=problem.question, answer=problem.solution)
