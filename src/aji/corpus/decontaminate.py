"""Pages that hold questions of an evaluation: a model that has read them has seen the exam."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from datatrove.data import Document

from aji.corpus.block import Block
from aji.data.files import find_files, read_rows
from aji.errors import UserError


WORD = re.compile(r"\w+")
QUESTION_COLUMNS = ("question", "prompt", "problem", "text", "input", "messages")
# A shorter question is no evidence: "What is the capital of Korea?" is on many honest pages.
SHORTEST = 8
PRIME = np.uint64(0x9E3779B97F4A7C15)


class DropContaminated(Block):
    """Drops pages that share `words` words in a row with a question (GPT-3's rule, Brown et al. 2020, appendix C).

    Questions of 8 to `words` words count as a whole; shorter ones cannot be told from ordinary text and are left.
    """

    name = "contamination"

    def __init__(self, sources: list[str], words: int = 13):
        super().__init__()
        self.words = words
        self.known: dict[int, np.ndarray] = {}
        found: dict[int, set[int]] = {}
        for question in questions(sources):
            hashes = word_hashes(question)
            if len(hashes) >= min(SHORTEST, words):
                size = min(words, len(hashes))
                found.setdefault(size, set()).update(runs(hashes, size).tolist())
        self.known = {size: np.array(sorted(values), np.uint64) for size, values in found.items()}

    def judge(self, doc: Document) -> str | None:
        hashes = word_hashes(doc.text)
        for size, known in self.known.items():
            found = runs(hashes, size)
            places = np.minimum(np.searchsorted(known, found), len(known) - 1)
            if (known[places] == found).any():
                return "contaminated"
        return None


def questions(sources: list[str]) -> Iterator[str]:
    """What is asked in each row of the files: the last message of the user, or a column that holds the question.

    Raises:
        UserError: for a missing file, or one whose rows hold no question.
    """
    for source in sources:
        files = find_files(source)
        if not files:
            raise UserError(f"decontaminate: {source} is not there. Check the path")
        empty = True
        for path in map(Path, files):
            for _, row in read_rows(path):
                question = next(filter(None, (_question(row.get(column)) for column in QUESTION_COLUMNS)), None)
                if question:
                    empty = False
                    yield question
        if empty:
            raise UserError(f"decontaminate: {source} holds no question, expected {', '.join(QUESTION_COLUMNS)}")


def _question(value: Any) -> str | None:
    if isinstance(value, list):
        said = [
            message.get("content") for message in value if isinstance(message, dict) and message.get("role") == "user"
        ]
        return said[-1] if said else None
    return value if isinstance(value, str) else None


def word_hashes(text: str) -> np.ndarray:
    words = WORD.findall(text.lower())
    return np.fromiter(
        (xxhash.xxh64_intdigest(word.encode("utf-8", "replace")) for word in words), np.uint64, len(words)
    )


def runs(hashes: np.ndarray, size: int) -> np.ndarray:
    """One hash for each `size` words in a row."""
    count = len(hashes) - size + 1
    total = np.zeros(max(0, count), np.uint64)
    for place in range(size if count > 0 else 0):
        total = total * PRIME + hashes[place : place + count]
    return total
