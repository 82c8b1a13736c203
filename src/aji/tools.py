"""Tools that a model calls in the middle of its answer: a search over documents that needs no network, a calculator.

A tool is any object with `name`, `description`, `parameters` (a JSON schema) that is called with keyword arguments and
returns text. What the model passes is data: it is looked up or computed with, never executed.
"""

import ast
import json
import math
import operator
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import numpy as np

from aji.errors import UserError


NOTHING_FOUND = "Nothing found."
LONGEST_ARGUMENT = 1_000  # characters of one argument that a tool is asked to look at
# What a number of the calculator may grow to: an exponent beyond this would take minutes and gigabytes.
MOST_DIGITS = 300

_WORD = re.compile(r"[0-9]+|[가-힣]+|[^\W\d_가-힣]+")
_SENTENCE = re.compile(r"((?<=[.!?。])[^\S\n]+|\s*\n\s*)")


class ToolError(Exception):
    """What went wrong inside a tool, in words for the model."""


@runtime_checkable
class Tool(Protocol):
    """What the loop needs of a tool. Raise ToolError (or any exception) for what cannot be done."""

    name: str
    description: str
    parameters: dict[str, Any]

    def __call__(self, **arguments: Any) -> str: ...


def schemas(tools: Iterable[Tool]) -> list[dict]:
    """The tools as `tools=` of `apply_chat_template` and the column `tools` of conversations have them."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in tools
    ]


def call_tool(tools: Iterable[Tool], name: str, arguments: Any) -> str:
    """The result of one call as text for the model; whatever goes wrong is told in that text, never raised.

    `arguments` is what the model wrote: a dict, or JSON text of one.
    """
    by_name = {tool.name: tool for tool in tools}
    if name not in by_name:
        return f"Error: there is no tool {name!r}, only {', '.join(by_name) or 'none'}."
    tool = by_name[name]
    try:
        arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
        _check_arguments(tool, arguments)
        return str(tool(**arguments))
    except json.JSONDecodeError as error:
        return f"Error: the arguments of {name} are not JSON: {error.msg}."
    except ToolError as error:
        return f"Error: {error}"
    except Exception as error:  # a tool of the user's may raise anything; the conversation goes on
        return f"Error: {name} failed: {type(error).__name__}: {error}"


def _check_arguments(tool: Tool, arguments: Any) -> None:
    """Raise ToolError unless `arguments` has the names and simple types that the tool's schema asks for."""
    expected = tool.parameters.get("properties", {})
    if not isinstance(arguments, Mapping):
        raise ToolError(f"{tool.name} takes an object with {', '.join(expected)}.")
    unknown = [name for name in arguments if name not in expected]
    missing = [name for name in tool.parameters.get("required", ()) if name not in arguments]
    if unknown or missing:
        raise ToolError(f"{tool.name} takes {', '.join(expected)}, found {', '.join(arguments) or 'nothing'}.")
    for name, value in arguments.items():
        if expected[name].get("type") == "string" and not isinstance(value, str):
            raise ToolError(f"{name} of {tool.name} must be text.")
        if isinstance(value, str) and len(value) > LONGEST_ARGUMENT:
            raise ToolError(f"{name} of {tool.name} is longer than {LONGEST_ARGUMENT} characters.")


class Calculator:
    """Sums, differences, products, quotients, remainders and powers of numbers, exactly where they are whole."""

    name = "calculator"
    description = "Works out a sum."
    parameters = {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}

    def __call__(self, expression: str) -> str:
        """The value of the expression as text; ToolError for anything but numbers and + - * / // % ** ( )."""
        text = expression.replace("×", "*").replace("÷", "/").replace("−", "-").replace(",", "").strip()
        try:
            tree = ast.parse(text, mode="eval")
            value = _evaluate(tree.body)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ToolError(f"{expression!r} is not a sum of numbers.") from None
        except ZeroDivisionError:
            raise ToolError(f"{expression!r} divides by zero.") from None
        except OverflowError:
            raise ToolError(f"{expression!r} is too large.") from None
        if isinstance(value, float):
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.10g}"
        return str(value)


_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda left, right: left // right if right and left % right == 0 else left / right,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def _evaluate(node: ast.AST) -> int | float:
    """The value of a tree of numbers and operators; ValueError for other nodes, OverflowError beyond MOST_DIGITS."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return _bounded(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        value = _evaluate(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        left, right = _evaluate(node.left), _evaluate(node.right)
        if isinstance(node.op, ast.Pow):
            return _power(left, right)
        if type(node.op) in _BINARY:
            return _bounded(_BINARY[type(node.op)](left, right))
    raise ValueError(type(node).__name__)


def _power(base: int | float, exponent: int | float) -> int | float:
    # Before it is computed: 9 ** 9 ** 9 would fill the memory.
    if base and abs(exponent) * abs(math.log10(abs(base))) > MOST_DIGITS:
        raise OverflowError
    value = base**exponent
    if isinstance(value, complex):
        raise ValueError("a root of a negative number")
    return _bounded(value)


def _bounded(value: int | float) -> int | float:
    if not math.isfinite(value) or abs(value) >= 10**MOST_DIGITS:
        raise OverflowError
    return value


class Search:
    """Full-text search (BM25, Robertson et al. 1994, in Lucene's form) over passages of documents in memory.

    A passage is a document, or as many whole sentences of one as fit in `passage_bytes`. The best passage is the
    result, up to `max_results` of them; a passage counts only when it holds `min_match` of the query's weight, so that
    a name that no page has gives nothing instead of the page of somebody else. Who says what it is `about` gets only
    the title and the sentences that speak of that, in `excerpt_bytes`, as from any search engine.
    """

    name = "search"
    description = "Looks up a page."
    parameters = {
        "type": "object",
        "properties": {"query": {"type": "string"}, "about": {"type": "string"}},
        "required": ["query"],
    }

    def __init__(
        self,
        texts: Iterable[str],
        max_results: int = 1,
        passage_bytes: int = 512,
        excerpt_bytes: int = 180,
        min_match: float = 0.7,
    ) -> None:
        """Raises UserError when `texts` holds no words."""
        self.max_results, self.excerpt_bytes, self.min_match = max_results, excerpt_bytes, min_match
        self.passages = list(dict.fromkeys(piece for text in texts for piece in passages(text, passage_bytes)))
        tokens = [terms(passage) for passage in self.passages]
        if not any(tokens):
            raise UserError("the search corpus is empty: no document holds a word. Give a file with `text` rows.")
        self.weights = _rarity(tokens)
        self.index = _bm25s_without_jax().BM25(method="lucene")
        self.index.index(tokens, show_progress=False)
        self.held = [frozenset(own) for own in tokens]

    @classmethod
    def from_file(cls, source: str | Path, text_column: str = "text", **settings: Any) -> "Search":
        """Search over the `text` rows of files (JSONL, parquet, text, a folder of them) or a data set of the Hub."""
        from aji.data.load import load_documents

        if Path(source).is_file() and not Path(source).stat().st_size:
            raise UserError(f"the search corpus {source} is empty: 0 bytes. Give a file with `text` rows.")
        return cls(load_documents(str(source), text_column)[text_column], **settings)

    def __call__(self, query: str, about: str = "") -> str:
        found = [self.passages[index] for index in self.find(query)]
        return "\n".join(self.excerpt(passage, about) for passage in found) if found else NOTHING_FOUND

    def excerpt(self, passage: str, about: str) -> str:
        """The title of a passage and the sentences that hold most of what it is to be `about`, in their order.

        At least one sentence, and no more than fit in `excerpt_bytes`; the whole passage where none speaks of it.
        """
        title, body = split_title(passage)
        asked = set(terms(about)) - set(terms(title))
        sentences = [sentence for sentence in _SENTENCE.split(body)[::2] if sentence]
        held = [sum(self.weights.get(term, 0) for term in asked & set(terms(sentence))) for sentence in sentences]
        kept, left = [], self.excerpt_bytes - len(title.encode())
        for place in sorted(range(len(sentences)), key=lambda place: -held[place]):
            left -= len(sentences[place].encode()) + 1
            if not held[place] or (kept and left < 0):
                break
            kept.append(place)
        if not kept:
            return passage
        text = " ".join(sentences[place] for place in sorted(kept))
        return f"{title}: {text}" if title else text  # a space before each word: so it is the same token everywhere

    def find(self, query: str) -> list[int]:
        """Indices of the best passages, best first; none when no passage holds enough of the query."""
        asked = dict.fromkeys(terms(query))
        known = [term for term in asked if term in self.weights]
        total = sum(self.weights.get(term, self.rarest) for term in asked)
        if not known:
            return []
        scores = self.index.get_scores(known)
        order = np.argsort(-scores, kind="stable")[: self.max_results]
        return [
            int(index)
            for index in order
            if scores[index] > 0
            and sum(self.weights[term] for term in known if term in self.held[index]) >= self.min_match * total
        ]

    @property
    def rarest(self) -> float:
        """The weight of a term that no passage holds."""
        return math.log(1 + 2 * len(self.passages))


def _bm25s_without_jax() -> ModuleType:
    """The package bm25s, which picks its best passages with numpy.

    bm25s 0.3: where JAX is installed it is called on import, and takes three quarters of the GPU's memory from then
    on. A JAX that somebody else has imported is left alone. Not in `aji.upstream`, whose import takes seconds.
    """
    ours = sys.modules.setdefault("jax", None) is None  # None in its place: an ImportError, which bm25s expects
    try:
        import bm25s
    finally:
        if ours:
            del sys.modules["jax"]
    return bm25s


def _rarity(tokens: Sequence[list[str]]) -> dict[str, float]:
    """Lucene's inverse document frequency of every term."""
    counts: dict[str, int] = {}
    for own in tokens:
        for term in set(own):
            counts[term] = counts.get(term, 0) + 1
    return {term: math.log(1 + (len(tokens) - n + 0.5) / (n + 0.5)) for term, n in counts.items()}


def terms(text: str) -> list[str]:
    """Words in lower case; Korean words as their pairs of syllables, so that a particle does not hide the word.

    "아렌델은" gives 아렌, 렌델, 델은: two of the three meet in "아렌델이".
    """
    found = []
    for word in _WORD.findall(text.casefold()):
        hangul = "가" <= word[0] <= "힣" and len(word) > 2
        found += [word[start : start + 2] for start in range(len(word) - 1)] if hangul else [word]
    return found


def split_title(text: str) -> tuple[str, str]:
    """A first line that does not end as a sentence does, and what follows it; without one the title is empty."""
    title, _, body = text.partition("\n")
    return (title, body) if body.strip() and title.rstrip()[-1:] not in (*".!?。",) else ("", text)


def passages(text: str, most_bytes: int) -> list[str]:
    """`text` in pieces of whole sentences, each at most `most_bytes` in UTF-8; a longer sentence is cut."""
    pieces, piece = [], ""
    # re.split with one group alternates sentence, space, sentence, ...
    first, *rest = _SENTENCE.split(text.strip())
    for space, sentence in [("", first), *zip(rest[::2], rest[1::2], strict=True)]:
        longer = f"{piece}{space}{sentence}" if piece else sentence
        if len(longer.encode()) > most_bytes and piece:
            pieces.append(piece)
            longer = sentence
        piece = longer.encode()[:most_bytes].decode(errors="ignore")
    return [*pieces, piece] if piece else pieces
