"""A quality score from labelled pages, as FineWeb-Edu and DCLM have it (Penedo et al. 2024, Li et al. 2024).

A logistic regression on hashed words and pairs of words, the same thing as DCLM's fastText classifier, in numpy: the
fastText that can train and the package of the language model overwrite each other's files.
"""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xxhash
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from aji.corpus.block import Block
from aji.corpus.store import load
from aji.data.files import find_files, read_rows
from aji.errors import UserError


BUCKETS = 1 << 18
WORDS_READ = 2000
WORD = re.compile(r"\w+|[^\w\s]")
GOOD_KINDS = ("good", "exact_copy", "near_copy", "mirror")
EPOCHS, RATE = 20, 0.2


def features(text: str) -> np.ndarray:
    """Buckets of the words and pairs of words in a text, each once."""
    words = [word.encode("utf-8", "replace") for word in WORD.findall(text[: 20 * WORDS_READ].lower())[:WORDS_READ]]
    pairs = (a + b" " + b for a, b in zip(words, words[1:], strict=False))
    return np.unique(np.fromiter((zlib.crc32(token) % BUCKETS for token in (*words, *pairs)), np.int64))


class Quality:
    """P(label 1 | text)."""

    def __init__(self, weights: np.ndarray, bias: float):
        self.weights, self.bias = weights, bias

    def score(self, text: str) -> float:
        buckets = features(text)
        return float(_sigmoid(self.bias + self.weights[buckets].sum() / max(1.0, np.sqrt(len(buckets)))))

    def save(self, path: Path) -> None:
        np.savez_compressed(path, weights=self.weights, bias=self.bias)

    @classmethod
    def load(cls, path: Path) -> "Quality":
        with np.load(path) as file:
            return cls(file["weights"], float(file["bias"]))


def train_quality(texts: list[str], labels: list[int], seed: int = 0) -> Quality:
    """Adagrad (Duchi et al. 2011) on single texts; both labels weigh the same in sum, however many there are.

    Raises:
        UserError: when one of the labels is missing.
    """
    counts = np.bincount(labels, minlength=2)
    if not counts.all():
        raise UserError(
            f"quality_labels: found {counts[0]} pages of label 0 and {counts[1]} of 1, expected some of both"
        )
    inputs, share = [features(text) for text in texts], len(labels) / (2 * counts)
    weights, squares, bias, bias_square = np.zeros(BUCKETS, np.float32), np.full(BUCKETS, 1e-3, np.float32), 0.0, 1e-3
    random = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        for index in random.permutation(len(inputs)):
            buckets, label = inputs[index], labels[index]
            scale = 1 / max(1.0, np.sqrt(len(buckets)))
            error = (_sigmoid(bias + weights[buckets].sum() * scale) - label) * share[label]
            squares[buckets] += (error * scale) ** 2
            weights[buckets] -= RATE * error * scale / np.sqrt(squares[buckets])
            bias_square += error**2
            bias -= RATE * error / np.sqrt(bias_square)
    return Quality(weights, float(bias))


def _sigmoid(value: float) -> float:
    return 1 / (1 + np.exp(-np.clip(value, -30, 30)))


def read_labels(source: str, share: float = 1.0) -> tuple[dict[str, int], list[tuple[str, int]]]:
    """Labels by url, and texts with their labels.

    Args:
        source: rows with `label` (0 or 1) or, as in the truth about a crawl, `kind`, and with `text` or `url`.
        share: of the rows that are labelled by url, those to take, chosen by a hash of the url.

    Raises:
        UserError: naming the row without a usable label, text or url.
    """
    by_url, texts = {}, []
    files = find_files(source)
    if not files:
        raise UserError(f"quality_labels: {source} is not there. Check the path")
    for path in files:
        for place, row in read_rows(path):
            if "label" not in row and "kind" in row:
                row = {"url": row.get("url"), "label": int(row["kind"] in GOOD_KINDS)}
            if row.get("label") not in (0, 1, "0", "1"):
                raise UserError(f"{place}: found label {row.get('label')!r}, expected 0 (bad) or 1 (good)")
            if row.get("text"):
                texts.append((row["text"], int(row["label"])))
            elif row.get("url"):
                if xxhash.xxh64_intdigest(row["url"].encode("utf-8", "replace")) < share * 2**64:
                    by_url[row["url"]] = int(row["label"])
            else:
                raise UserError(f"{place}: found neither text nor url, expected one of them")
    return by_url, texts


class TrainQuality(PipelineStep):
    """One task: learns from the labelled texts and from the documents of `folder` whose url is labelled."""

    type, name = "corpus", "train quality"

    def __init__(self, labels: str, share: float, folder: Path, model: Path, seed: int):
        super().__init__()
        self.share = share
        self.labels, self.folder, self.model, self.seed = labels, Path(folder), Path(model), seed

    def run(self, data: Iterator[Document] = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from data or ()
        by_url, texts = read_labels(self.labels, self.share)
        for path in sorted(self.folder.glob("*.jsonl")) if by_url else ():
            texts += [(doc.text, by_url[url]) for doc in load(path) if (url := doc.metadata.get("url")) in by_url]
        train_quality([text for text, _ in texts], [label for _, label in texts], self.seed).save(self.model)


class QualityFilter(Block):
    """Notes `score`; drops what is below `threshold`, where there is one."""

    name = "quality"

    def __init__(self, model: Path, threshold: float | None):
        super().__init__()
        self.model, self.threshold, self._quality = Path(model), threshold, None

    def judge(self, doc: Document) -> str | None:
        self._quality = self._quality or Quality.load(self.model)
        doc.metadata["score"] = round(self._quality.score(doc.text), 4)
        return "low_quality" if self.threshold is not None and doc.metadata["score"] < self.threshold else None
