import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from aji.corpus.personal import STAND_INS
from aji.errors import UserError
from aji.evals.corpus import score_corpus, token_f1


def row(url: str, kind: str = "good", text: str = "", of: str | None = None, personal: tuple = ()) -> dict:
    items = [{"kind": "phone", "value": value} for value in personal]
    return {"url": url, "kind": kind, "language": "en", "text": text, "duplicate_of": of, "personal": items}


TRUTH = [
    row("a", text="one two three four"),
    row("a2", "mirror", "one two three four", "a"),
    row("b", text="five six"),
    row("b2", "near_copy", "five seven", "b"),
    row("b3", "exact_copy", "five six", "b"),
    row("c", text="call 010-1234-5678 now", personal=("010-1234-5678",)),
    row("d", text="eight nine ten"),
    row("e", text="lost by deduplication"),
    *(row(f"s{n}", "spam") for n in range(4)),
]
KEPT = {
    "a2": "one two three four",  # the copy stayed in place of the original
    "b": "five six",
    "b2": "five seven",  # a copy that was missed
    "c": f"call {STAND_INS['phone']} now",
    "d": f"eight nine ten menu {STAND_INS['ip']}",
    "s0": "buy",
}
DROPS = [("s1", "quality"), ("s2", "quality"), ("a", "duplicates"), ("b3", "duplicates"), ("e", "duplicates")]


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "truth.jsonl").write_text("".join(json.dumps(one) + "\n" for one in TRUTH))
    table = pyarrow.table({"url": list(KEPT), "text": list(KEPT.values())})
    pyarrow.parquet.write_table(table, tmp_path / "train-0.parquet")
    lines = (json.dumps({"url": url, "block": block, "reason": "x"}) + "\n" for url, block in DROPS)
    (tmp_path / "drops.jsonl").write_text("".join(lines))
    return tmp_path


def test_every_figure_by_hand(folder):
    metrics = score_corpus(str(folder / "truth.jsonl"), folder)
    expected = {
        "kept_good": 80.0,  # all but e: a lives on in its mirror
        "removed_spam": 75.0,
        "removed_mirror": 100.0,  # it is the only one of its cluster
        "removed_near_copy": 0.0,
        "removed_exact_copy": 100.0,
        "removed_copies": 66.67,
        "distinct_lost": 20.0,
        "precision_quality": 100.0,
        "precision_duplicates": 66.67,
        "found_phone": 100.0,
        "false_masks": 20.0,  # d, of the five good texts that were kept
    }
    assert {name: metrics[name] for name in expected} == expected
    assert metrics["kept_good_n"] == 5 and metrics["removed_copies_n"] == 3
    assert metrics["extraction_f1"] == pytest.approx((1 + 1 + token_f1(KEPT["d"], "eight nine ten")) / 3, abs=1e-4)


def test_pages_that_were_learnt_from_do_not_count(folder):
    metrics = score_corpus(str(folder / "truth.jsonl"), folder, {"s0", "e"})
    assert metrics["removed_spam"] == 100.0 and metrics["removed_spam_n"] == 3
    assert metrics["kept_good"] == 100.0


def test_the_truth_about_another_crawl_is_refused(folder):
    (folder / "truth.jsonl").write_text(json.dumps(row("elsewhere")) + "\n")
    with pytest.raises(UserError, match="none of the urls"):
        score_corpus(str(folder / "truth.jsonl"), folder)


def test_words_in_common():
    assert token_f1("A b, c", "a b c") == 1.0 == token_f1("", "")
    assert token_f1("a b", "a c") == 0.5 and token_f1("a", "b") == 0.0
