"""Exact and near duplicates by MinHash (Broder 1997) in three steps on disk, within and across languages.

1. `Signatures` notes for every document a hash of its words and a MinHash signature, beside the documents.
2. `FindPairs`, a task a band, sorts one band of all signatures and notes documents that share it.
3. `FindCopies` joins pairs to clusters and keeps of each the page that comes first in the crawl.

datatrove's MinHash blocks do the same. These differ where short pages need it: a candidate must also be similar by its
whole signature, numbers count as words (lessons with other sums are no copies), which page stays does not depend on
how the work is shared out, and a band is sorted by numpy in passes of bounded memory, not in a heap of Python objects.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from aji.corpus.block import Block


WORD = re.compile(r"\w+")
EXACT, NEAR = 1, 2
REASONS = {EXACT: "exact_copy", NEAR: "near_copy"}
ROWS_AT_ONCE = 4096  # shingles hashed, or pairs compared, in one go
WORDS_REMEMBERED = 200_000


@dataclass(frozen=True)
class MinHash:
    """FineWeb's numbers: 14 bands of 8 hashes of 5 words find 56 % of pairs with a similarity of 0.7, 92 % with 0.8.

    Attributes:
        ngram: words in a shingle.
        similarity: least share of equal hashes (it estimates the Jaccard similarity) of two documents that are copies.
    """

    ngram: int = 5
    bands: int = 14
    band_hashes: int = 8
    similarity: float = 0.7
    seed: int = 1

    @property
    def hashes(self) -> int:
        return self.bands * self.band_hashes

    @property
    def record(self) -> np.dtype:
        """One document: its place in the crawl, hash of its words, and signature."""
        return np.dtype([("order", "<u8"), ("exact", "<u8"), ("signature", "<u4", self.hashes)])


class Signer:
    """Signatures of texts: for each of the hash functions the least value over all shingles."""

    def __init__(self, settings: MinHash):
        random = np.random.Generator(np.random.PCG64(settings.seed))
        self.settings = settings
        self.factors = random.integers(1, 2**64, settings.hashes, dtype=np.uint64) | np.uint64(1)
        self.offsets = random.integers(0, 2**64, settings.hashes, dtype=np.uint64)
        self.places = random.integers(1, 2**64, settings.ngram, dtype=np.uint64) | np.uint64(1)
        self.known: dict[str, int] = {}

    def words(self, text: str) -> np.ndarray:
        known = self.known
        if len(known) > WORDS_REMEMBERED:
            known.clear()
        words = WORD.findall(text.lower())
        for word in words:
            if word not in known:
                known[word] = xxhash.xxh64_intdigest(word.encode("utf-8", "replace"))
        return np.array([known[word] for word in words], dtype=np.uint64)

    def sign(self, text: str) -> tuple[int, np.ndarray]:
        """Hash of all words, and the signature."""
        words = self.words(text)
        exact = xxhash.xxh64_intdigest(words.tobytes() or text.encode("utf-8", "replace"))
        size = self.settings.ngram
        if len(words) < size:  # a text shorter than a shingle is one shingle
            words = np.pad(words, (0, size - len(words)))
        count = len(words) - size + 1
        shingles = sum((words[place : place + count] * self.places[place] for place in range(size)), np.uint64(0))
        shingles ^= shingles >> np.uint64(29)
        least = np.full(self.settings.hashes, 2**32 - 1, dtype=np.uint32)
        for first in range(0, count, ROWS_AT_ONCE):
            part = shingles[first : first + ROWS_AT_ONCE, None]
            # Multiply-shift (Dietzfelbinger et al. 1997): the high half of a product is a universal hash.
            np.minimum(
                least, ((part * self.factors + self.offsets) >> np.uint64(32)).min(0).astype(np.uint32), out=least
            )
        return exact, least


class Signatures(PipelineStep):
    """Passes documents on and writes a record for each, in their order, to `folder/RANK.bin`."""

    type, name = "corpus", "signatures"

    def __init__(self, folder: Path, settings: MinHash):
        super().__init__()
        self.folder, self.settings = Path(folder), settings

    def run(self, data: Iterator[Document] = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        signer = Signer(self.settings)
        record = np.zeros(1, self.settings.record)
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / f"{rank:05d}.bin", "wb") as file:
            for doc in data:
                exact, signature = signer.sign(doc.text)
                record[0] = (doc.metadata["order"], exact, signature)
                file.write(record.tobytes())
                yield doc


@dataclass(frozen=True)
class SignatureFile:
    """The records of a task. Read and not mapped: mapped pages would count as memory of the process."""

    path: Path
    record: np.dtype

    def __len__(self) -> int:
        return self.path.stat().st_size // self.record.itemsize

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """The place of its first record and a block of records."""
        for first in range(0, len(self), ROWS_AT_ONCE):
            yield first, np.fromfile(self.path, self.record, ROWS_AT_ONCE, offset=first * self.record.itemsize)

    def take(self, places: np.ndarray) -> np.ndarray:
        records = np.empty(len(places), self.record)
        with open(self.path, "rb") as file:
            for record, place in zip(records.view(np.uint8).reshape(len(places), -1), places.tolist(), strict=True):
                file.seek(place * self.record.itemsize)
                file.readinto(record)
        return records


def open_signatures(folder: Path, settings: MinHash) -> dict[int, SignatureFile]:
    """By task, without those that kept no document."""
    files = {int(path.stem): SignatureFile(path, settings.record) for path in sorted(Path(folder).glob("*.bin"))}
    return {rank: file for rank, file in files.items() if len(file)}


class FindPairs(PipelineStep):
    """Task `rank` notes the pairs of documents that share band `rank`; the last task those with equal words.

    Args:
        memory: bytes for one pass over the signatures; a band that needs more is sorted in several.
    """

    type, name = "corpus", "pairs"

    def __init__(self, signatures: Path, folder: Path, settings: MinHash, memory: int = 400_000_000):
        super().__init__()
        self.signatures, self.folder = Path(signatures), Path(folder)
        self.settings, self.memory = settings, memory

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        files = open_signatures(self.signatures, self.settings)
        total = sum(len(rows) for rows in files.values())
        passes = max(1, -(-total * 48 // self.memory))
        self.folder.mkdir(parents=True, exist_ok=True)
        pairs = [self._pairs(files, rank, part, passes) for part in range(passes)]
        np.save(self.folder / f"{rank:05d}.npy", np.concatenate(pairs))
        yield from ()

    def _pairs(self, files: dict[int, SignatureFile], band: int, part: int, passes: int) -> np.ndarray:
        """Rows (rank, index, rank, index) of documents that share the band and are similar."""
        keys, ranks, indices = [], [], []
        for rank, rows in files.items():
            for first, block in rows.blocks():
                key = self._keys(block, band)
                chosen = np.flatnonzero(key % np.uint64(passes) == np.uint64(part))
                keys.append(key[chosen])
                ranks.append(np.full(len(chosen), rank, np.uint32))
                indices.append((chosen + first).astype(np.uint32))
        if not keys:
            return np.empty((0, 4), np.uint32)
        keys, ranks, indices = np.concatenate(keys), np.concatenate(ranks), np.concatenate(indices)
        order = np.argsort(keys, kind="stable")
        keys, ranks, indices = keys[order], ranks[order], indices[order]
        first_of_group = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, int)
        group = np.repeat(first_of_group, np.diff(np.r_[first_of_group, len(keys)]))
        others = np.flatnonzero(group != np.arange(len(keys)))
        found = np.stack([ranks[group[others]], indices[group[others]], ranks[others], indices[others]], axis=1)
        return found if band == self.settings.bands else found[similar(files, found, self.settings)]

    def _keys(self, rows: np.ndarray, band: int) -> np.ndarray:
        if band == self.settings.bands:
            return rows["exact"]
        size = self.settings.band_hashes
        signature = rows["signature"][:, band * size : (band + 1) * size].astype(np.uint64)
        keys = np.zeros(len(rows), np.uint64)
        for column in range(size):
            keys = (keys ^ signature[:, column]) * np.uint64(0x9E3779B97F4A7C15)
            keys ^= keys >> np.uint64(32)
        return keys


def similar(files: dict[int, SignatureFile], pairs: np.ndarray, settings: MinHash) -> np.ndarray:
    """Which of the pairs have enough equal hashes."""
    result = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), ROWS_AT_ONCE):
        part = pairs[start : start + ROWS_AT_ONCE]
        one, other = (_gather(files, part[:, columns], settings) for columns in ((0, 1), (2, 3)))
        result[start : start + len(part)] = (one == other).mean(1) >= settings.similarity
    return result


def _gather(files: dict[int, SignatureFile], places: np.ndarray, settings: MinHash) -> np.ndarray:
    signatures = np.empty((len(places), settings.hashes), np.uint32)
    for rank in np.unique(places[:, 0]):
        here = places[:, 0] == rank
        signatures[here] = files[int(rank)].take(places[here, 1])["signature"]
    return signatures


class FindCopies(PipelineStep):
    """One task: joins pairs to clusters, and writes to `folder/RANK.npy` which documents go, why, and what stays.

    Takes about 100 bytes for each pair.
    """

    type, name = "corpus", "copies"

    def __init__(self, signatures: Path, pairs: Path, folder: Path, settings: MinHash):
        super().__init__()
        self.signatures, self.pairs, self.folder = Path(signatures), Path(pairs), Path(folder)
        self.settings = settings

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        files = open_signatures(self.signatures, self.settings)
        paths = sorted(self.pairs.glob("*.npy"))
        near = np.concatenate([np.load(path) for path in paths[:-1]])
        exact = np.load(paths[-1])
        self.folder.mkdir(parents=True, exist_ok=True)
        for rank, rows in copies(files, near, exact).items():
            np.save(self.folder / f"{rank:05d}.npy", rows)
        yield from ()


def copies(files: dict[int, SignatureFile], near: np.ndarray, exact: np.ndarray) -> dict[int, np.ndarray]:
    """Rank -> rows (index, reason, order of the page that stays), sorted by index."""
    pairs = np.concatenate([near, exact])
    if not len(pairs):
        return {}
    nodes, numbers = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
    orders = np.empty(len(nodes), np.uint64)
    for rank in np.unique(nodes[:, 0]):
        here = nodes[:, 0] == rank
        orders[here] = files[int(rank)].take(nodes[here, 1])["order"]
    numbers = numbers.reshape(-1, 2)
    first = clusters(numbers, orders)
    first_exact = clusters(numbers[len(near) :], orders)
    gone = np.flatnonzero(first != orders)
    found = np.zeros(len(gone), [("index", "<u4"), ("reason", "u1"), ("order", "<u8")])
    found["index"], found["order"] = nodes[gone, 1], first[gone]
    found["reason"] = np.where(first_exact[gone] != orders[gone], EXACT, NEAR)
    return {int(rank): np.sort(found[nodes[gone, 0] == rank], order="index") for rank in np.unique(nodes[gone, 0])}


def clusters(pairs: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """For every node the least order in its cluster: labels spread along the pairs until none changes."""
    labels = orders.copy()
    while True:
        least = np.minimum(labels[pairs[:, 0]], labels[pairs[:, 1]])
        before = labels.copy()
        np.minimum.at(labels, pairs[:, 0], least)
        np.minimum.at(labels, pairs[:, 1], least)
        if (before == labels).all():
            return labels


class DropCopies(Block):
    """Drops what `FindCopies` found, of the same documents in the same order."""

    name = "duplicates"

    def __init__(self, folder: Path, files: list[str]):
        super().__init__()
        self.folder, self.files = Path(folder), files

    def judged(self, data, rank, world_size):
        path = self.folder / f"{rank:05d}.npy"
        gone = {int(row["index"]): row for row in np.load(path)} if path.is_file() else {}
        for number, doc in enumerate(data):
            row = gone.get(number)
            if row is not None:
                doc.metadata["copy_of"] = place(int(row["order"]), self.files)
            yield doc, None if row is None else REASONS[int(row["reason"])]


def order(file: int, record: int) -> int:
    """The place of a document in the crawl as one number."""
    return file << 32 | record


def place(number: int, files: list[str]) -> str:
    """The same in words: file and number of the page in it."""
    return f"{Path(files[number >> 32]).name}/{number & 0xFFFFFFFF}"
