"""The blocks that judge a page by its address, language and text."""

import gzip
import json
from collections import Counter
from random import Random

import pytest
from crawls import ENGLISH, KOREAN, REAL_DATA, stories
from datatrove.data import Document
from datatrove.pipeline.filters import GopherRepetitionFilter

from aji.corpus import urls
from aji.corpus.arguments import CorpusArguments
from aji.corpus.block import Block, keep_example
from aji.corpus.decontaminate import DropContaminated
from aji.corpus.language import LanguageFilter
from aji.corpus.quality import Quality, read_labels, train_quality
from aji.corpus.repetition import QuickGopherRepetition
from aji.corpus.rules import Rules
from aji.corpus.urls import UrlFilter, parents
from aji.corpus.words import RegexWords
from aji.errors import UserError


UDHR = REAL_DATA / "crawl_langid_udhr/udhr.jsonl.gz"
LABELS = REAL_DATA / "crawl_quality_labels"


def doc(text: str = "", url: str = "https://a.example/", **metadata) -> Document:
    return Document(text, url, metadata={"url": url, **metadata})


def test_a_block_counts_documents_bytes_and_reasons(tmp_path):
    class Short(Block):
        name = "short"

        def judge(self, doc):
            return "long" if len(doc.text) > 2 else None

    block = Short()
    block.trace, block.index, block.log_drops = tmp_path, 3, True
    docs = [doc("가", "u1"), doc("abc", "u2"), doc("ab", "u3")]
    assert [kept.text for kept in block.run(iter(docs))] == ["가", "ab"]
    counts = json.loads((tmp_path / "00000-03.json").read_text())
    assert counts["documents"] == {"kept": 2, "long": 1} and counts["bytes"] == {"kept": 5, "long": 3}
    assert counts["examples"]["long"] == [{"url": "u2", "text": "abc"}]
    assert json.loads((tmp_path / "00000-03.drops.jsonl").read_text()) == {
        "url": "u2",
        "block": "short",
        "reason": "long",
    }


def test_examples_do_not_depend_on_the_order():
    pages = [doc(str(n), f"https://a.example/{n}") for n in range(50)]
    one, other = [], []
    for page in pages:
        keep_example(one, page)
    for page in reversed(pages):
        keep_example(other, page)
    assert sorted(one, key=str) == sorted(other, key=str) and len(one) == 3


@pytest.fixture
def lists(tmp_path, monkeypatch):
    """A published list of two hosts, made in a moment."""
    monkeypatch.setattr(urls, "_published", lambda: iter([b"bad.com", b"http://c.com/page"]))
    monkeypatch.setattr(urls, "cached_assets_path", lambda *names: tmp_path)


def test_addresses(lists, tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("# mine\nevil.example  # yes\nhttp://half.example/only-this\n")
    block = UrlFilter(True, str(own))
    reasons = {
        "https://www.bad.com/x": "host",
        "http://notbad.com/": None,
        "http://c.com/page": "host",
        "http://c.com/other": None,
        "http://shop.evil.example/": "own_list",
        "http://half.example/only-this": "own_list",
        "http://half.example/else": None,
        "http://a.example/hardcore-porn": "hard_word",
        "file.jsonl row 3": None,
        "http://[broken/": None,
        "": None,
    }
    assert {url: block.judge(doc(url=url)) for url in reasons} == reasons
    assert list(parents("https://a.b.co.uk:8080/x")) == ["a.b.co.uk", "b.co.uk", "co.uk"]
    with pytest.raises(UserError, match="cannot read"):
        UrlFilter(False, str(tmp_path / "none.txt"))


def test_languages():
    block = LanguageFilter({"en": 0.5, "ko": 0.5})
    german = doc("Alle Menschen sind frei und gleich an Würde und Rechten geboren und sollen einander begegnen.")
    sums = doc("Arithmetic, lesson five: please add the numbers. 12 + 34 = 46, 7 + 8 = 15")
    assert block.judge(doc(ENGLISH)) is None and block.judge(doc(KOREAN)) is None and block.judge(sums) is None
    assert block.judge(german) == "language_de" and block.judge(doc("1 2 3 ???")) == "no_words"
    assert LanguageFilter({"en": 1.0}).judge(doc(ENGLISH)) == "language_unsure"
    with pytest.raises(UserError, match="which is not there"):
        LanguageFilter({"en": 0.5}, "no/such.bin")


@pytest.mark.skipif(not UDHR.is_file(), reason="the real texts are not here")
@pytest.mark.parametrize("letters", [None, 400, 150])
def test_real_languages(letters):
    block = LanguageFilter({"en": 0.65, "ko": 0.65})
    right = Counter()
    with gzip.open(UDHR, "rt") as file:
        for line in file:
            row = json.loads(line)
            text = row["text"][1000 : 1000 + letters] if letters and len(row["text"]) > 2000 else row["text"]
            page = doc(text)
            kept = block.judge(page) is None and page.metadata["language"]
            right[kept == ({"eng": "en", "kor": "ko"}.get(row["iso6393"], False))] += 1
    assert right[True] / right.total() >= 0.985


@pytest.mark.parametrize("language", ["en", "ko"])
def test_published_rules_keep_prose_and_drop_junk(language):
    prose = stories(2)[language == "ko"][1]
    junk = {
        "gopher_repetition": "buy now\n" * 60,
        "gopher_quality": "# " * 80,
        "c4": prose + "\nlorem ipsum dolor sit amet is not a text at all.",
        "fineweb": "one\ntwo\n" * 40,
    }
    for name, text in junk.items():
        block = Rules(name, ["en", "ko"])
        assert block.judge(doc(prose, language=language)) is None, name
        assert isinstance(block.judge(doc(text, language=language)), str), name


def test_rules_are_settings():
    short = doc("This is too short to keep, but it is fine.", language="en")
    assert Rules("gopher_quality", ["en"]).judge(short) == "gopher_short_doc"
    changes = {"en": {"gopher_quality": {"min_doc_words": 2, "min_stop_words": None}}}
    assert Rules("gopher_quality", ["en"], changes).judge(short) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rules": {"de": {}}}, "found 'de', expected a kept language: en, ko"),
        ({"rules": {"en": {"gofer": {}}}}, "found 'gofer', expected a filter"),
        ({"rules": {"en": {"c4": {"min_word": 3}}}}, "found 'min_word', expected a setting"),
        ({"minhash": {"n_gram": 3}}, "minhash: found n_gram"),
        ({"languages": {"en": 2}}, "expected a probability"),
        ({"quality_threshold": 0.5}, "without quality_labels"),
        ({"executor": "slurm"}, "expected partition and time"),
        ({"tasks": 0}, "tasks is 0"),
    ],
)
def test_wrong_settings_are_told(settings, message):
    with pytest.raises(UserError, match=message):
        CorpusArguments(input=["x"], **settings)


def test_words_and_sentences():
    words = RegexWords()
    assert words.word_tokenize("It's 3.5 km, see a@b.c!") == ["It's", "3.5", "km", ",", "see", "a@b.c", "!"]
    assert words.sent_tokenize('He said "no." Then 3.5 came.\n서울이다. 끝.') == [
        'He said "no.', "Then 3.5 came.", "서울이다.", "끝."
    ]  # fmt: skip


def test_contamination(tmp_path):
    exam = tmp_path / "exam.jsonl"
    asked = "What is the name of the river that runs past the old mill to the northern sea?"
    rows = [{"prompt": [{"role": "user", "content": asked}], "answer": "x"}, {"question": "Too short to tell?"}]
    exam.write_text("".join(json.dumps(row) + "\n" for row in rows))
    block = DropContaminated([str(exam)])
    assert block.judge(doc(f"Quiz. {asked.upper()} Nobody knows.")) == "contaminated"
    assert block.judge(doc("Too short to tell? What is the name of the river that runs elsewhere?")) is None
    assert block.judge(doc("")) is None
    with pytest.raises(UserError, match="holds no question"):
        empty = tmp_path / "empty.jsonl"
        empty.write_text('{"answer": 3}\n')
        DropContaminated([str(empty)])


def test_quality_learns_and_comes_back_from_disk(tmp_path):
    good = [text for _, text in stories(40)]
    bad = [f"Buy cheap watches now, order {n} today and save! 지금 구매하세요 할인 {n}" for n in range(40)]
    quality = train_quality(good[:30] + bad[:10], [1] * 30 + [0] * 10)
    quality.save(tmp_path / "quality.npz")
    again = Quality.load(tmp_path / "quality.npz")
    assert min(map(again.score, good[30:])) > 0.5 > max(map(again.score, bad[10:]))
    assert again.score(good[35]) == quality.score(good[35])
    with pytest.raises(UserError, match="of label 0 and 0 of 1"):
        train_quality(["a"], [0])


def test_labels(tmp_path):
    path = tmp_path / "labels.jsonl"
    rows = [{"text": "t", "label": 1}, {"url": "u", "label": "0"}, {"url": "v", "kind": "mirror"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_labels(str(path)) == ({"u": 0, "v": 1}, [("t", 1)])
    path.write_text(json.dumps({"text": "t", "label": 7}))
    with pytest.raises(UserError, match=r"row 1: found label 7, expected 0 \(bad\) or 1"):
        read_labels(str(path))


@pytest.mark.skipif(not LABELS.is_dir(), reason="the real labels are not here")
def test_quality_on_labels_of_people():
    rows = {
        name: [json.loads(line) for line in (LABELS / f"{name}.jsonl").read_text().splitlines()]
        for name in ("majority_data", "agreement_data")
    }
    known = {row["text"] for row in rows["agreement_data"]}
    train = [row for row in rows["majority_data"] if row["text"] not in known]
    quality = train_quality([row["text"] for row in train], [row["label"] for row in train])
    scores = {
        label: [quality.score(row["text"]) for row in rows["agreement_data"] if row["label"] == label]
        for label in (0, 1)
    }
    wins = sum((good > bad) + 0.5 * (good == bad) for good in scores[1] for bad in scores[0])
    assert wins / (len(scores[0]) * len(scores[1])) > 0.6  # the area under the ROC curve; 0.5 is chance


def test_quick_repetition_decides_as_upstream_does():
    """On texts that repeat themselves by all degrees, and with limits that nearly all of them reach."""
    random = Random(0)
    words = [f"{letter}{'x' * random.randint(1, 9)}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    for settings in ({}, {"top_n_grams": ((2, 0.05), (3, 0.05)), "dup_n_grams": ((3, 0.02), (7, 0.01))}):
        quick, slow = (
            QuickGopherRepetition(**settings, language=RegexWords()),
            GopherRepetitionFilter(**settings, language=RegexWords()),
        )
        seen = Counter()
        for count in range(400):
            known = random.sample(words, random.randint(1, 26))
            parts = [random.choice(known) for _ in range(random.randint(0, 150))]
            if count % 2:
                parts += parts[: random.randint(0, 40)] + random.sample(words, random.randint(0, 26))
            text = doc(" ".join(parts))
            assert quick.filter(text) == slow.filter(text)
            seen[slow.filter(text) is True] += 1
        assert min(seen[True], seen[False]) > 10
