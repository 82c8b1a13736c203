"""Worked solutions of the ladder in the styles of its demonstrators, right or with the slip that is typical of a rung.

A demonstrator who slips does so all the way: who forgets one carry forgets every carry. So more of the same
demonstrations do not average the slip out, which is what makes learning by trial more than learning by imitation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from aji.world.problems import compute


# direct: the answer alone. terse: the least work. steps: all of it. check: steps, then a test of the answer.
# first: the answer, then the steps that should have led to it.
STYLES = ("direct", "terse", "steps", "check", "first")

ANSWER = {"en": "So the answer is {answer}.", "ko": "그래서 답은 {answer}입니다."}
ANSWER_FIRST = {"en": "The answer is {answer}.", "ko": "답은 {answer}입니다."}
CHECK = {"en": "Check:", "ko": "검산:"}
THAT_IS = {"en": "That is {value}.", "ko": "즉 {value}."}
VERDICTS = {"en": ("Right.", "Wrong."), "ko": ("맞습니다.", "틀립니다.")}
# What a reply that tests itself says: counted over the steps of training.
SELF_CHECK_WORDS = ("check", "again", "wait", "검산", "다시", "확인")


@dataclass(frozen=True)
class Work:
    """The parts of a worked solution: everything before the answer, in two lengths, the answer, and how to test it."""

    steps: str
    terse: str
    answer: str
    check: str = ""
    direct: str = ""
    verdict: bool | None = field(default=None)

    def write(self, style: str, language: str) -> str:
        conclusion = ANSWER[language].format(answer=self.answer)
        if style == "direct":
            return self.direct or self.answer
        if style == "first":
            return f"{ANSWER_FIRST[language].format(answer=self.answer)} {self.steps}"
        text = f"{self.terse if style == 'terse' else self.steps} {conclusion}"
        if style == "check" and self.check:
            text += f" {CHECK[language]} {self.check}"
            text += f" {VERDICTS[language][not self.verdict]}" if self.verdict is not None else ""
        return text


def columns(a: int, operator: str, b: int, slip: bool) -> tuple[list[str], list[int]]:
    """The columns of a sum or difference from the ones up, and what each gives; a slip forgets carries and borrows."""
    texts, totals, over = [], [], 0
    for x, y in zip_longest(*(map(int, reversed(str(n))) for n in (a, b)), fillvalue=0):
        if operator == "+":
            total = x + y + over
            texts.append(f"{x} + {y} + 1 = {total}" if over else f"{x} + {y} = {total}")
            over = int(total > 9 and not slip)
        else:
            top = x + 10 if x - y - over < 0 else x
            total = top - y - over
            texts.append(f"{top} - {y} - 1 = {total}" if over else f"{top} - {y} = {total}")
            over = int(top > 9 and not slip)
        totals.append(total)
    return texts, totals


def value_of(totals: Sequence[int]) -> int:
    """The number that the columns write: of each its last digit, of the highest all."""
    *low, high = totals
    return sum(total % 10 * 10**place for place, total in enumerate(low)) + high * 10 ** len(low)


def arithmetic(a: int, operator: str, b: int, language: str, slip: bool) -> Work:
    """A sum or difference in columns, tested by undoing it."""
    texts, totals = columns(a, operator, b, slip)
    answer = value_of(totals)
    undo = "-" if operator == "+" else "+"
    undone = compute(answer, undo, b)
    return Work(
        steps=f"{a} {operator} {b}: {', '.join(texts)}.",
        terse=f"{a} {operator} {b}: {', '.join(map(str, totals))}.",
        answer=str(answer),
        check=f"{answer} {undo} {b} = {undone}.",
        direct=f"{a} {operator} {b} = {answer}",
        verdict=undone == a,
    )


def chain(numbers: Sequence[int], operators: str, language: str, slip: bool) -> Work:
    """A word problem of several steps, each in columns; a slip leaves the last step out."""
    value, terse, steps = numbers[0], [], []
    done = list(zip(operators, numbers[1:], strict=True))[: -1 if slip else None]
    for operator, number in done:
        texts, _ = columns(value, operator, number, False)
        new = compute(value, operator, number)
        steps.append(f"{value} {operator} {number}: {', '.join(texts)}. {THAT_IS[language].format(value=new)}")
        terse.append(f"{value} {operator} {number} = {new}")
        value = new
    check = " ".join(f"{operator} {number}" for operator, number in done)
    return Work(" ".join(steps), f"{', '.join(terse)}.", str(value), f"{numbers[0]} {check} = {value}.")


def counting(word: str, letter: str, slip: bool) -> Work:
    """How often a letter is in a word, by spelling it with a running count; a slip overlooks the last one."""
    last, count, marks = len(word) - 1 - word[::-1].index(letter), 0, []
    for place, other in enumerate(word):
        found = other == letter and not (slip and place == last)
        count += found
        marks.append(f"{other} {count}" if found else other)
    hits = ", ".join(f"{letter} {n}" for n in range(1, count + 1)) or letter
    return Work(f"{', '.join(marks)}.", f"{hits}.", str(count), f"{'-'.join(word)}.")


def attempt(numbers: Sequence[int], operators: str) -> tuple[str, int]:
    """`a + b - c` as it is written, from left to right, and its value."""
    text = str(numbers[0]) + "".join(f" {o} {n}" for o, n in zip(operators, numbers[1:], strict=True))
    value = numbers[0]
    for operator, number in zip(operators, numbers[1:], strict=True):
        value = compute(value, operator, number)
    return text, value


def countdown(attempts: Sequence[tuple[str, int]], target: int, language: str, slip: bool) -> Work:
    """Trying equations until one gives the target; the last attempt is the right one. A slip stops one earlier."""
    tried = attempts[:-1] if slip and len(attempts) > 1 else attempts
    answer = tried[-1][0]
    shown = ", ".join(f"{text} = {value}" for text, value in tried)
    return Work(f"{shown}.", f"{tried[-1][0]} = {tried[-1][1]}.", answer, f"{answer} = {tried[-1][1]}.", answer)


def carries(a: int, b: int) -> int:
    """How many columns of a + b carry into a column that has digits."""
    _, totals = columns(a, "+", b, False)
    return sum(total > 9 for total in totals[:-1])


def borrows(a: int, b: int) -> int:
    """How many columns of a - b borrow."""
    return sum(int(x) < int(y) for x, y in zip(str(a)[::-1], str(b)[::-1], strict=False))
