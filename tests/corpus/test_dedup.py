from pathlib import Path

import numpy as np
import pytest
from crawls import stories
from datatrove.data import Document

from aji.corpus.dedup import (
    DropCopies,
    FindCopies,
    FindPairs,
    MinHash,
    Signatures,
    Signer,
    clusters,
    order,
    place,
)


def remaining(
    folder: Path, parts: list[list[tuple[int, str]]], settings: MinHash, memory: int = 10**8
) -> dict[int, str]:
    """Place -> reason (None: stays) of documents in tasks `parts`."""
    docs = [[Document(text, str(number), metadata={"order": number}) for number, text in part] for part in parts]
    for rank, part in enumerate(docs):
        assert list(Signatures(folder / "s", settings).run(iter(part), rank)) == part
    for band in range(settings.bands + 1):
        list(FindPairs(folder / "s", folder / "p", settings, memory).run(rank=band))
    list(FindCopies(folder / "s", folder / "p", folder / "c", settings).run())
    result = {}
    for rank, part in enumerate(docs):
        block = DropCopies(folder / "c", ["a.warc"])
        result |= {doc.metadata["order"]: reason for doc, reason in block.judged(iter(part), rank, len(parts))}
    return result


TEXTS = [text for _, text in stories(40)]
CHANGED = TEXTS[6].replace("herons", "storks")
CROWD = [*enumerate(TEXTS), (40, TEXTS[3].upper()), (41, CHANGED), (42, TEXTS[3] + "!"), (43, "short"), (44, "short")]


@pytest.mark.parametrize("memory", [10**8, 100])
@pytest.mark.parametrize("tasks", [1, 3])
def test_the_first_of_each_kind_stays_however_the_work_is_shared(tmp_path, tasks, memory):
    parts = [CROWD[rank::tasks][::-1] for rank in range(tasks)]
    result = remaining(tmp_path, parts, MinHash(), memory)
    gone = {number: reason for number, reason in result.items() if reason}
    assert gone == {40: "exact_copy", 41: "near_copy", 42: "exact_copy", 44: "exact_copy"}


def test_a_copy_of_a_copy_joins_the_cluster(tmp_path):
    twice = CHANGED.replace("cherries", "apples")
    result = remaining(tmp_path, [[(0, TEXTS[6]), (1, twice), (2, CHANGED)]], MinHash())
    assert result == {0: None, 1: "near_copy", 2: "near_copy"}


def test_other_numbers_are_another_text(tmp_path):
    sums = [" ".join(f"{n * k % 97} + {n + k} = {n * k % 97 + n + k}." for k in range(40)) for n in (3, 5)]
    assert set(remaining(tmp_path, [list(enumerate(sums))], MinHash(ngram=3)).values()) == {None}


def test_signatures_estimate_the_jaccard_similarity():
    words = [f"w{n}" for n in range(3000)]
    one, other = Signer(MinHash(ngram=1)), " ".join(words[500:])
    a, b = one.sign(" ".join(words[:2500]))[1], one.sign(other)[1]
    assert (a == b).mean() == pytest.approx(2000 / 3000, abs=0.12)
    assert (one.sign("x y")[1] == Signer(MinHash(ngram=1)).sign("x y")[1]).all()


def test_clusters_of_a_long_chain():
    pairs = np.array([(n, n + 1) for n in range(99)])
    labels = clusters(pairs, np.arange(100, dtype=np.uint64)[::-1].copy())
    assert set(labels) == {0}


def test_no_documents_at_all(tmp_path):
    assert remaining(tmp_path, [[], []], MinHash()) == {}


def test_places():
    assert place(order(1, 7), ["x/a.warc", "x/b.warc"]) == "b.warc/7"
