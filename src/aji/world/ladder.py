"""The ladder: rungs of checkable tasks from copying to countdown, and demonstrators who climb it with slips.

Its questions never say how to answer. Demonstrators answer in whatever style they like, and a set share of them slip;
so imitation teaches every style, and slips, and only trial can tell which of them pay. A demonstration that is asked
for in a certain style (`request`) is always right: it teaches the styles themselves.
"""

import itertools
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from aji.errors import UserError
from aji.world import solutions
from aji.world.facts import LANGUAGES
from aji.world.korean import josa
from aji.world.problem_texts import ITEMS, NAMES, wordings
from aji.world.problems import split_of, split_of_chain
from aji.world.solutions import STYLES, Work


QUESTIONS = wordings("question", "ladder_wordings")
REQUESTS = wordings("request", "ladder_wordings")
STORIES = wordings("story", "ladder_wordings")

# Easiest first; how many demonstrations each gets, in parts.
RUNGS = {
    "copy": 4,
    "sum1": 2,
    "sum2": 4,
    "spell": 3,
    "letters": 5,
    "carry2": 6,
    "carry3": 6,
    "borrow2": 5,
    "word3": 4,
    "countdown": 3,
}
PLAIN = ("copy", "spell")  # rungs that leave no room for a style or a slip
# Demonstrations that nobody asked for in a style come in these, in parts.
STYLE_WEIGHTS = {"direct": 3, "terse": 2, "steps": 3, "check": 2}
REQUESTED_SHARE = 0.25

_LETTERS = {"en": ("bdklmnprst", "aeiou"), "ko": ("가나다라마바사자차카타파하", "고노도로모보소조코토포호")}


@dataclass(frozen=True)
class Exercise:
    """A question of a rung, and its worked solutions: right, and with the slip of the rung."""

    rung: str
    language: str
    question: str
    work: Work
    slipped: Work
    numbers: tuple[int, ...] = ()

    def row(self) -> dict:
        """Canonical columns `prompt` (messages), `answer`, `task`, `language`, `solution`; `numbers` of countdown."""
        return {
            "prompt": [{"role": "user", "content": self.question}],
            "answer": self.work.answer,
            "task": self.rung,
            "language": self.language,
            "solution": self.work.write("steps", self.language),
            "numbers": list(self.numbers),
        }


def split_of_text(text: str) -> str:
    """Which of train (85 %), validation (5 %), test (10 %) a word or a set of numbers belongs to."""
    bucket = zlib.crc32(text.encode()) % 20
    return "test" if bucket < 2 else "validation" if bucket == 2 else "train"


def draw_exercise(rng: random.Random, rung: str, language: str, split: str, style: str | None = None) -> Exercise:
    """A random exercise; `style` asks for one of `STYLES` in the question, None leaves it open."""
    make = _MAKERS.get(rung, _arithmetic)
    wording, values, work, slipped, *numbers = make(rng, rung, language, split)
    question = rng.choice(wording).format(**values)
    if style:
        question = rng.choice(REQUESTS[style][language][split]).format(question=question)
    question = josa(question) if language == "ko" else question
    return Exercise(rung, language, question, work, slipped, *numbers)


def _word(rng: random.Random, language: str, split: str) -> str:
    """An invented word with letters that recur: consonant and vowel in turn, in Korean four to six syllables."""
    first, second = _LETTERS[language]
    while True:
        if language == "en":
            some, vowels = rng.sample(first, 2), rng.sample(second, 2)
            word = "".join(rng.choice(some) + rng.choice(vowels) for _ in range(rng.randint(3, 4)))
        else:
            some = [rng.choice(first), rng.choice(first), rng.choice(second)]
            word = "".join(rng.choice(some) for _ in range(rng.randint(4, 6)))
        if len(set(word)) > 1 and split_of_text(word) == split:
            return word


def _copy(rng, rung, language, split):
    while True:
        a, b = rng.randint(10, 999), rng.randint(10, 999)
        if split_of(a, b) == split:
            text = f"{a} {rng.choice('+-')} {b}"
            work = Work(text, text, text, direct=text)
            return QUESTIONS[rung][language][split], {"text": text}, work, work


def _spelled(rng, rung, language, split):
    word = _word(rng, language, split)
    work = Work(word, word, "-".join(word), direct="-".join(word))
    return QUESTIONS[rung][language][split], {"word": word}, work, work


def _counted(rng, rung, language, split):
    word = _word(rng, language, split)
    letter = rng.choice(word)
    wording = QUESTIONS[rung][language][split]
    right, slipped = (solutions.counting(word, letter, slip) for slip in (False, True))
    return wording, {"word": word, "letter": letter}, right, slipped


def _arithmetic(rng, rung, language, split):
    """Sums of one and two digits, sums of which all columns but the highest carry, differences that borrow."""
    digits = int(rung[-1])
    low, high = 10 ** (digits - 1), 10**digits - 1
    while True:
        a, b = rng.randint(low, high), rng.randint(low, high)
        if not rung.startswith("borrow"):
            # Everybody knows the table of one digit (`split_of`), so here some of it is kept apart by its text.
            own = split_of(a, b) if digits > 1 else split_of_text(f"{a} + {b}")
            least = digits - 1 if rung.startswith("carry") else 0
            operator, fits = "+", solutions.carries(a, b) >= least and own == split
        else:
            operator, fits = "-", a > b and solutions.borrows(a, b) >= digits - 1 and split_of(b, a - b) == split
        if fits:
            right, slipped = (solutions.arithmetic(a, operator, b, language, slip) for slip in (False, True))
            return QUESTIONS["expression"][language][split], {"problem": f"{a} {operator} {b}"}, right, slipped


def _story(rng, rung, language, split):
    operators = "+-+"
    while True:
        numbers = [rng.randint(9, 20), *(rng.randint(2, 9) for _ in range(3))]
        if split_of_chain(numbers, operators) == split:
            break
    item, counter = rng.choice(ITEMS[language])
    name, other = rng.sample(NAMES[language], 2)
    counted = {letter: f"{number}{counter}" for letter, number in zip("abcd", numbers, strict=True)}
    story = rng.choice(STORIES[operators][language][split]).format(
        name=name, other=other, item=item, counter=counter, **counted
    )
    right, slipped = (solutions.chain(numbers, operators, language, slip) for slip in (False, True))
    return QUESTIONS["story"][language][split], {"story": story}, right, slipped


def _countdown(rng, rung, language, split):
    """Three numbers of one digit, and what one of their sums and differences gives; found by trying others first."""
    while True:
        numbers = rng.sample(range(1, 10), 3)
        equations = [
            solutions.attempt(order, operators)
            for order in itertools.permutations(numbers)
            for operators in itertools.product("+-", repeat=2)
        ]
        rng.shuffle(equations)
        text, target = equations[0]
        if 0 < target < 100 and split_of_text(f"{sorted(numbers)} {target}") == split:
            break
    misses = [equation for equation in equations if equation[1] != target][: rng.randint(1, 3)]
    right, slipped = (solutions.countdown([*misses, (text, target)], target, language, slip) for slip in (False, True))
    values = {"numbers": ", ".join(map(str, numbers)), "target": target}
    right = Work(right.steps, right.terse, text, right.check, right.direct)
    return QUESTIONS[rung][language][split], values, right, slipped, (*numbers, target)


_MAKERS: dict[str, Callable] = {
    "copy": _copy,
    "spell": _spelled,
    "letters": _counted,
    "word3": _story,
    "countdown": _countdown,
}


def draw_exercises(rng: random.Random, rung: str, language: str, split: str, count: int, style=None) -> list[Exercise]:
    """`count` exercises with different questions, or what 30 draws for each give."""
    found: dict[str, Exercise] = {}
    for _ in range(30 * count):
        if len(found) == count:
            break
        exercise = draw_exercise(rng, rung, language, split, style)
        found.setdefault(exercise.question, exercise)
    return list(found.values())


def build_ladder(rng: random.Random, args) -> tuple[list[dict], list[dict], list[dict]]:
    """Training, validation and test problems, equally many of every rung and language."""
    cells = list(itertools.product(RUNGS, LANGUAGES))
    sizes = {"train": args.ladder, "validation": args.ladder_validation, "test": args.ladder_test}
    splits = []
    for split, size in sizes.items():
        rows = []
        for index, (rung, language) in enumerate(cells):
            share = size // len(cells) + (index < size % len(cells))
            rows += [exercise.row() for exercise in draw_exercises(rng, rung, language, split, share)]
        rng.shuffle(rows)
        splits.append(rows)
    return tuple(splits)


def demonstrate(rng: random.Random, language: str, split: str, noise: float) -> dict:
    """A conversation in which a demonstrator answers an exercise, with the `task`, `style` and `answer` of it.

    `noise` is the share of demonstrators who slip, where nobody asked for a style.
    """
    rung = rng.choices(list(RUNGS), RUNGS.values())[0]
    requested = rung not in PLAIN and rng.random() < REQUESTED_SHARE
    style = rng.choice(STYLES) if requested else rng.choices(list(STYLE_WEIGHTS), STYLE_WEIGHTS.values())[0]
    style = "direct" if rung in PLAIN else style
    exercise = draw_exercise(rng, rung, language, split, style if requested else None)
    slips = not requested and rung not in PLAIN and rng.random() < noise
    reply = (exercise.slipped if slips else exercise.work).write(style, language)
    messages = [{"role": "user", "content": exercise.question}, {"role": "assistant", "content": reply}]
    return {
        "messages": messages,
        "kind": "ladder",
        "language": language,
        "task": rung,
        "style": style,
        "requested": requested,
        "answer": exercise.work.answer,
        "numbers": list(exercise.numbers),
    }


def build_demonstrations(rng: random.Random, args) -> tuple[list[dict], list[dict]]:
    """Training and validation demonstrations, half in each language. Raises UserError for a noise that is no share."""
    if not 0 <= args.demonstrator_noise < 1:
        raise UserError(
            f"demonstrator_noise is {args.demonstrator_noise}, expected a share from 0 up to 1: with 0.5 half slip."
        )
    sizes = {"train": args.demonstrations, "validation": args.demonstrations // 20}
    return tuple(
        [demonstrate(rng, LANGUAGES[number % 2], split, args.demonstrator_noise) for number in range(size)]
        for split, size in sizes.items()
    )
