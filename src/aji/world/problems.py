"""Arithmetic and word problems, each asked for the bare answer or for the worked steps.

A model of a few million parameters cannot add three-digit numbers in one go but can copy, add single digits and carry.
So the steps go column by column from the ones and leave every digit of the answer in the text, one digit per token.
"""

import random
import zlib
from dataclasses import dataclass
from itertools import zip_longest

from aji.world.korean import josa
from aji.world.problem_texts import EXPRESSIONS, ITEMS, NAMES, OPERATOR_WORDS, STORIES, STORY_REQUESTS


QA_FORMAT = {"en": "Q: {question}\nA: {answer}", "ko": "질문: {question}\n답: {answer}"}
TRANSCRIPT = "user: {q}\nassistant: {a}"

_CONCLUSION = {"en": "So the answer is {answer}.", "ko": "그래서 답은 {answer}입니다."}
_FIRST = {"en": "First {problem}: {steps} That is {answer}.", "ko": "먼저 {problem}: {steps} 즉 {answer}."}
_THEN = {"en": "Then {problem}: {steps}", "ko": "다음 {problem}: {steps}"}


def split_of(a: int, b: int) -> str:
    """Which of train (85 %), validation (5 %), test (10 %) the pair of numbers belongs to.

    A hash of the unordered pair, so that 47 + 85, 85 + 47, 132 - 47 and 132 - 85 always stay together, in both
    languages and however they are asked. Pairs of one-digit numbers are the addition table itself: there are only 55,
    all are for training, and a test on them asks for knowledge of the table, not for generalization.
    """
    if a < 10 and b < 10:
        return "train"
    bucket = zlib.crc32(f"{min(a, b)} {max(a, b)}".encode()) % 20
    return "test" if bucket < 2 else "validation" if bucket == 2 else "train"


def is_training_pair(a: int, b: int) -> bool:
    """Whether a + b (and what it undoes: (a + b) - a, (a + b) - b) may appear in any training text."""
    return split_of(a, b) == "train"


def _digits(number: int) -> list[int]:
    """Decimal digits, ones first."""
    return [int(digit) for digit in reversed(str(number))]


def sum_steps(a: int, b: int) -> str:
    """The columns of a + b from the ones up, without the conclusion; a carried one is added at the end."""
    steps, carry = [], 0
    for x, y in zip_longest(_digits(a), _digits(b), fillvalue=0):
        total = x + y + carry
        steps.append(f"{x} + {y} + 1 = {total}" if carry else f"{x} + {y} = {total}")
        carry = total // 10
    return ", ".join(steps) + "."


def difference_steps(a: int, b: int) -> str:
    """The columns of a - b (a >= b >= 0) from the ones up; a column that is too small borrows ten from the next."""
    steps, borrow = [], 0
    for x, y in zip_longest(_digits(a), _digits(b), fillvalue=0):
        short = x - y - borrow < 0
        top = x + 10 if short else x
        steps.append(f"{top} - {y} - 1 = {top - y - 1}" if borrow else f"{top} - {y} = {top - y}")
        borrow = int(short)
    return ", ".join(steps) + "."


def product_steps(a: int, b: int) -> str:
    """a * b for small a as the first a multiples of b."""
    return ", ".join(str(b * n) for n in range(1, a + 1)) + "."


_STEPS = {"+": sum_steps, "-": difference_steps, "*": product_steps}


def conclude(steps: str, answer: int, language: str) -> str:
    return f"{steps} {_CONCLUSION[language].format(answer=answer)}"


def worked_sum(a: int, b: int, language: str) -> str:
    """a + b column by column: "47 + 85: 7 + 5 = 12, 4 + 8 + 1 = 13. So the answer is 132."."""
    return conclude(f"{a} + {b}: {sum_steps(a, b)}", a + b, language)


def tasks(sum_digits: int) -> tuple[str, ...]:
    """Names of the tasks: a kind of problem, easiest first, and a way it is asked: "sum2_steps", "word1_direct"."""
    sums = [f"sum{digits}" for digits in range(1, sum_digits + 1)]
    kinds = [*sums, "difference2", "product1", "word1", "word2"]
    return tuple(f"{kind}_{way}" for kind in kinds for way in ("direct", "steps"))


def split_of_operation(a: int, operator: str, b: int) -> str:
    """Products of one digit are the multiplication table, so all are for training; see `split_of` for the others."""
    return "train" if operator == "*" else split_of(b, a - b) if operator == "-" else split_of(a, b)


def compute(a: int, operator: str, b: int) -> int:
    return a + b if operator == "+" else a - b if operator == "-" else a * b


def split_of_chain(numbers: list[int], operators: str) -> str:
    """A chain of operations is for training when all are, else for the split of its first that is not."""
    value = numbers[0]
    for operator, number in zip(operators, numbers[1:], strict=True):
        split = split_of_operation(value, operator, number)
        if split != "train":
            return split
        value = compute(value, operator, number)
    return "train"


def _draw_sum(rng: random.Random, digits: int, split: str) -> list[int]:
    """Two numbers of that many digits; in training one of them is sometimes shorter."""
    low, high = (0, 9) if digits == 1 else (10 ** (digits - 1), 10**digits - 1)
    a, b = rng.randint(low, high), rng.randint(low, high)
    if split == "train" and digits > 1 and rng.random() < 0.15:
        b = rng.randint(1, low - 1)
        return [a, b] if rng.random() < 0.5 else [b, a]
    return [a, b]


def _draw_numbers(rng: random.Random, kind: str, operators: str, split: str) -> list[int]:
    if kind.startswith("sum"):
        return _draw_sum(rng, int(kind[3:]), split)
    if operators == "*":
        return [rng.randint(2, 9), rng.randint(2, 9)]
    if operators == "*+":
        return [rng.randint(2, 5), rng.randint(2, 9), rng.randint(2, 30)]
    if operators == "-":
        a = rng.randint(10, 99) if kind == "difference2" else rng.randint(4, 50)
        return [a, rng.randint(2, a - 1)]
    a, b = rng.randint(2, 50), rng.randint(2, 40)
    return [a, b] if operators == "+" else [a, b, rng.randint(2, a + b - 1)]


_OPERATORS = {"difference2": ("-",), "product1": ("*",), "word1": ("+", "-", "*"), "word2": ("+-", "*+")}
_TABLES = ("sum1", "product1")  # all of their instances are in training: see `split_of`


def _draw(rng: random.Random, kind: str, split: str) -> tuple[list[int], str]:
    """Numbers and operators of an instance of `split`, by rejection."""
    wanted = "train" if kind in _TABLES else split
    while True:
        operators = rng.choice(_OPERATORS.get(kind, ("+",)))
        numbers = _draw_numbers(rng, kind, operators, split)
        if split_of_chain(numbers, operators) == wanted:
            return numbers, operators


def _expression(rng: random.Random, numbers: list[int], operator: str, language: str, split: str) -> str:
    a, b = numbers
    if split == "train" and rng.random() < 0.15:
        operator = OPERATOR_WORDS[language][operator]
    return f"{a} {operator} {b}"


def _story(rng: random.Random, numbers: list[int], operators: str, language: str, split: str) -> str:
    item, counter = rng.choice(ITEMS[language])
    name, other = rng.sample(NAMES[language], 2)
    counted = {letter: f"{number}{counter}" for letter, number in zip("abc", numbers, strict=False)}
    template = rng.choice(STORIES[operators][language][split])
    return template.format(name=name, other=other, item=item, counter=counter, a_count=numbers[0], **counted)


def solve(numbers: list[int], operators: str, way: str, language: str, is_story: bool = False) -> tuple[str, str]:
    """The reply, and the answer alone.

    The steps begin with the expression, copied once: its digits then stand at fixed distances from the columns,
    however the question was put. A direct answer is the equation; to a story only the number, since finding the
    expression is the first step of working it out.
    """
    value, parts = numbers[0], []
    for operator, number in zip(operators, numbers[1:], strict=True):
        steps = _STEPS[operator](value, number)
        parts.append((f"{value} {operator} {number}", steps))
        value = compute(value, operator, number)
    if way == "direct":
        return str(value) if is_story else f"{parts[0][0]} = {value}", str(value)
    if len(parts) == 2:
        middle = compute(numbers[0], operators[0], numbers[1])
        first = _FIRST[language].format(problem=parts[0][0], steps=parts[0][1], answer=middle)
        steps = f"{first} {_THEN[language].format(problem=parts[1][0], steps=parts[1][1])}"
    else:
        steps = f"{parts[0][0]}: {parts[0][1]}"
    return conclude(steps, value, language), str(value)


@dataclass(frozen=True)
class Problem:
    """A question as the user asks it, the reply, the bare answer, and the numbers and operators behind them."""

    task: str
    language: str
    question: str
    solution: str
    answer: str
    numbers: tuple[int, ...]
    operators: str

    def row(self) -> dict:
        """The canonical columns `prompt` (messages), `answer`, `task`, `language`, and the reply as `solution`."""
        prompt = [{"role": "user", "content": self.question}]
        return {
            "prompt": prompt,
            "answer": self.answer,
            "task": self.task,
            "language": self.language,
            "solution": self.solution,
        }


def draw_problem(rng: random.Random, task: str, language: str, split: str) -> Problem:
    """A random problem of the task ("sum2_steps", "word1_direct", ...) and split."""
    kind, way = task.rsplit("_", 1)
    numbers, operators = _draw(rng, kind, split)
    is_story = kind.startswith("word")
    if is_story:
        story = _story(rng, numbers, operators, language, split)
        question = rng.choice(STORY_REQUESTS[way][language][split]).format(story=story)
    else:
        problem = _expression(rng, numbers, operators, language, split)
        question = rng.choice(EXPRESSIONS[way][language][split]).format(problem=problem)
    question = josa(question) if language == "ko" else question
    solution, answer = solve(numbers, operators, way, language, is_story)
    return Problem(task, language, question, solution, answer, tuple(numbers), operators)


def draw_problems(rng: random.Random, task: str, language: str, split: str, count: int) -> list[Problem]:
    """`count` problems with different questions, or what 20 draws for each give: tables of one digit are small."""
    found = {}
    for _ in range(20 * count):
        if len(found) == count:
            break
        problem = draw_problem(rng, task, language, split)
        found.setdefault(problem.question, problem)
    return list(found.values())


def build_problems(rng: random.Random, args) -> tuple[list[dict], list[dict], list[dict]]:
    """Training, validation and test problems, equally many of every task and language as far as the sizes allow."""
    cells = [(task, language) for task in tasks(args.sum_digits) for language in ("en", "ko")]
    sizes = {"train": args.problems, "validation": args.problems_validation, "test": args.problems_test}
    splits = []
    for split, size in sizes.items():
        rows = []
        for index, (task, language) in enumerate(cells):
            share = size // len(cells) + (index < size % len(cells))
            rows += [problem.row() for problem in draw_problems(rng, task, language, split, share)]
        rng.shuffle(rows)
        splits.append(rows)
    return tuple(splits)
