"""Verifiable rewards: programs that check an answer, for reinforcement learning and for evaluations alike.

A reward takes the columns of a batch, as trl hands them over, and returns a number per completion, or None where it
cannot judge: a countdown checker says nothing about a sum, and must not call it wrong.
"""

import ast
import difflib
import operator
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from importlib.util import find_spec

from aji.errors import UserError


Reward = Callable[..., list[float | None]]

_NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?"
_FRACTION = re.compile(r"([-+]?)\\[dt]?frac\s*\{?\s*(\d+)\s*\}?\s*\{?\s*(\d+)\s*\}?")
# Where an answer is expected, the surest place first. The last one of a kind counts.
_PLACES = (
    ("####", re.compile(r"####\s*(.+)")),
    ("answer tag", re.compile(r"<answer>\s*(.+?)\s*</answer>", re.DOTALL)),
    (
        "conclusion",
        re.compile(r"\banswer is:?\s*(.+?)(?:\.(?=\s|$)|\n|$)|답은\s*(.+?)(?:입니다|이에요|예요|\.|\n|$)"),
    ),
)
_THINKING = re.compile(r"^\s*<think>(?P<thought>.*?)</think>(?P<answer>.*)$", re.DOTALL)
_OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
# No honest equation of a countdown is longer; a longer one would only cost time.
_LONGEST_EQUATION = 200


def plain(text: str) -> str:
    """The text in composed characters, with one kind of minus, without dollar signs and thin spaces."""
    text = unicodedata.normalize("NFKC", text).replace("\u2212", "-").replace("\u2009", " ")
    return text.replace("\\$", "").replace("$", "").replace("\\!", "").replace("\\,", "").strip()


def parse_number(text: str) -> Fraction | None:
    """The number that a text is, exactly: "1,234", "1234.0", "7/2", "\\frac{7}{2}", "12 apples", "50%"; else None.

    What stands after the number must be a unit, no further number.
    """
    text = _FRACTION.sub(r"\1\2/\3", plain(text)).rstrip(". ")
    found = re.match(rf"({_NUMBER})\s*(%?)", text)
    if found is None or re.search(r"[\d=^*\\]", text[found.end() :]):
        return None
    number = re.sub(r"[,\s]", "", found[1])
    if number.endswith("/0") or re.search(r"/0+$", number):
        return None
    numerator, _, denominator = number.partition("/")
    return Fraction(numerator) / Fraction(denominator or 1)


def boxed(text: str) -> str | None:
    """What the last `\\boxed{...}` holds, braces within it balanced."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed{")
    for place in range(begin - 1, len(text)):
        depth += (text[place] == "{") - (text[place] == "}")
        if depth == 0:
            return text[begin:place]
    return None


def final_answer(reply: str) -> tuple[str, str] | None:
    """The answer that a reply gives and the place it stands in; None when there is none.

    Places, the surest first: `\\boxed{}`, `#### `, `<answer>`, a conclusion ("the answer is", "답은"), else the last
    number. Thoughts in `<think>` do not count as long as something follows them.
    """
    thinking = _THINKING.match(reply)
    if thinking:
        reply = thinking["answer"] if thinking["answer"].strip() else thinking["thought"]
    if (found := boxed(reply)) is not None:
        return found.strip(), "boxed"
    for place, pattern in _PLACES:
        if groups := [next(filter(None, match.groups()), "") for match in pattern.finditer(reply)]:
            return groups[-1].strip().strip("*").strip(), place
    numbers = re.findall(_NUMBER, plain(reply))
    return (numbers[-1], "last number") if numbers else None


@cache
def _squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", text).casefold()).strip(" .\"'")


def same_answer(found: str, expected: str) -> bool | None:
    """Whether two answers are equal: as numbers, as texts, or as LaTeX; None where that cannot be judged."""
    number = parse_number(expected)
    if number is not None:
        return parse_number(found) == number
    if _squeezed(found) == _squeezed(expected):
        return True
    if "\\" in expected or "^" in expected:
        return _same_latex(found, expected)
    return False


def _same_latex(found: str, expected: str) -> bool | None:
    if find_spec("math_verify") is None:
        return None
    from math_verify import parse, verify  # brings sympy, which takes a second

    # Without time limits: they rest on signals, which only the main thread has.
    gold, reply = (parse(f"${text}$", parsing_timeout=None) for text in (expected, found))
    return bool(verify(gold, reply, timeout_seconds=None)) if gold else None


def is_correct(reply: str, answer: str) -> bool | None:
    """Whether a reply ends in the answer; None when the answer is none that can be compared."""
    found = final_answer(reply)
    if parse_number(answer) is None and "\\" not in answer:
        # A word may be the whole reply: nothing but it, or at the end of a conclusion.
        return _squeezed(reply) == _squeezed(answer) or (found is not None and same_answer(found[0], answer) is True)
    return False if found is None else same_answer(found[0], answer)


def check_answer(answer: str) -> str | None:
    """Why an answer cannot be compared, None when it can."""
    if not str(answer).strip():
        return "it is empty"
    if parse_number(answer) is None and ("\\" in answer or "^" in answer) and _same_latex(answer, answer) is None:
        return "it is LaTeX, and math-verify is not installed (pip install math-verify)"
    return None


# The rewards. `text` of a completion is what `build_rewards` decodes: with thought marks, without the stop token.


def accuracy_reward(text: Sequence[str], answer: Sequence[str], numbers: Sequence | None = None, **_) -> list:
    """1 for the right final answer, 0 for another or none. Silent on countdown and on what cannot be compared."""
    games = numbers or [None] * len(text)
    verdicts = [None if game else is_correct(*pair) for game, *pair in zip(games, text, answer, strict=True)]
    return [None if verdict is None else float(verdict) for verdict in verdicts]


def format_reward(text: Sequence[str], **_) -> list:
    """1 for `<think>...</think>` once, at the beginning, and an answer after it."""
    found = (_THINKING.match(reply) for reply in text)
    return [
        float(bool(m) and "<think>" not in m["thought"] + m["answer"] and bool(m["answer"].strip())) for m in found
    ]


def countdown_reward(text: Sequence[str], numbers: Sequence | None = None, **_) -> list:
    """1 for an equation that uses each number once and gives the target, the last of `numbers`. Silent elsewhere."""
    games = numbers or [None] * len(text)
    return [None if not game else float(is_countdown(reply, game)) for reply, game in zip(text, games, strict=True)]


def spelling_reward(text: Sequence[str], answer: Sequence[str], **_) -> list:
    """1 for the letters of an answer like "a-p-p-l-e" in their order, however they are parted. Silent elsewhere."""
    return [
        float(word.casefold().split("-") in (_letters((final_answer(reply) or ("", ""))[0]), _letters(reply)))
        if is_spelled(word)
        else None
        for reply, word in zip(text, answer, strict=True)
    ]


def letter_count_reward(text: Sequence[str], answer: Sequence[str], task: Sequence[str] | None = None, **_) -> list:
    """1 for the right count where the task is to count letters. Silent elsewhere."""
    tasks = task or [""] * len(text)
    return [
        float(bool(is_correct(reply, count))) if name == "letters" else None
        for reply, count, name in zip(text, answer, tasks, strict=True)
    ]


def is_spelled(answer: str) -> bool:
    return re.fullmatch(r"\w(-\w)+", answer) is not None


def _letters(text: str) -> list[str]:
    return [letter for letter in re.split(r"[\s,.\-\"']+", text.casefold()) if letter]


def is_countdown(reply: str, game: Sequence[int]) -> bool:
    """Whether the last equation of a reply uses each number of the game once and gives the target, its last."""
    *numbers, target = game
    found = final_answer(reply)
    signs = plain(reply).replace("\u00d7", "*").replace("\u00f7", "/")
    texts = [found[0]] if found and found[1] != "last number" else re.findall(r"[-+*/() \d]+", signs.split("=")[0])
    equation = next((text for text in reversed(texts) if re.search(r"\d", text)), "").split("=")[0]
    value = calculate(equation)
    return value == target and Counter(map(int, re.findall(r"\d+", equation))) == Counter(numbers)


def calculate(equation: str) -> Fraction | None:
    """The exact value of whole numbers under + - * / and brackets; None for anything else. Nothing is ever run."""
    equation = plain(equation).replace("\u00d7", "*").replace("\u00f7", "/").strip(" .")
    if not equation or len(equation) > _LONGEST_EQUATION or not re.fullmatch(r"[-+*/() \d]+", equation):
        return None
    try:
        return _value(ast.parse(equation, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _value(node: ast.AST) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return Fraction(node.value)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    raise ValueError("no arithmetic")


class LengthReward:
    """0 up to a quarter below the longest completion, then falling to -1 there (DAPO, Yu et al. 2025, equation 13)."""

    __name__ = "length"

    def __init__(self, longest: int):
        from trl.rewards import get_soft_overlong_punishment  # imported late: the checkers need no trl

        self.punish = get_soft_overlong_punishment(longest, max(1, longest // 4))

    def __call__(self, completion_ids: Sequence[list[int]], **_) -> list:
        return self.punish(completion_ids=completion_ids)


REWARDS: dict[str, Reward] = {
    "accuracy": accuracy_reward,
    "format": format_reward,
    "countdown": countdown_reward,
    "spelling": spelling_reward,
    "letter_count": letter_count_reward,
}
NAMES = (*REWARDS, "length")
# Those that say whether a reply is right, as against how it looks.
CHECKERS = ("accuracy", "countdown", "spelling", "letter_count")


def check_names(names: Sequence[str]) -> None:
    """Raise UserError for a reward that does not exist."""
    for name in names:
        if name not in NAMES:
            close = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.4)
            hint = f"did you mean {close[0]}?" if close else f"expected some of {', '.join(NAMES)}."
            raise UserError(f"rewards: found {name!r}, {hint}")
    if not names or all(name not in CHECKERS for name in names):
        raise UserError(
            f"rewards: found {', '.join(names) or 'none'}, which never look at the answer. "
            f"Add one of {', '.join(CHECKERS)}."
        )


def is_right(reply: str, row: dict) -> bool:
    """Whether a reply solves a problem (`answer`, and `numbers` of countdown), by the checker that fits it."""
    if row.get("numbers"):
        return is_countdown(reply, row["numbers"])
    answer = row["answer"]
    return bool((spelling_reward([reply], [answer]) if is_spelled(answer) else accuracy_reward([reply], [answer]))[0])


def readable(tokenizer, ids: Sequence[list[int]]) -> list[str]:
    """Completions as text with `<think>` marks, whatever the tokenizer's are, and without stop and padding tokens.

    trl decodes without special tokens, so a thought that is marked by them would run into the answer.
    """
    hidden = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    texts = tokenizer.batch_decode([[t for t in row if t not in hidden] for row in ids], skip_special_tokens=False)
    return [text.replace("<|think|>", "<think>").replace("<|/think|>", "</think>") for text in texts]


def build_rewards(names: Sequence[str], tokenizer, max_completion_length: int) -> list[Reward]:
    """The rewards of these names as functions for trl. Raises UserError for a name that does not exist."""
    check_names(names)
    return [
        LengthReward(max_completion_length) if name == "length" else _Bound(name, REWARDS[name], tokenizer)
        for name in names
    ]


class _Bound:
    """A reward that reads what the model wrote rather than what trl decodes of it."""

    def __init__(self, name: str, reward: Reward, tokenizer):
        self.__name__, self.reward, self.tokenizer = name, reward, tokenizer

    def __call__(self, completion_ids: Sequence[list[int]], **columns) -> list[float | None]:
        columns.pop("text", None)
        return self.reward(text=readable(self.tokenizer, completion_ids), **columns)
