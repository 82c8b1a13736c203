import time

import pytest
from crawls import REAL_DATA, page
from datatrove.data import Document

from aji.corpus import extract
from aji.corpus.charset import decode
from aji.corpus.extract import ExtractText, tidy, with_resiliparse
from aji.errors import UserError


REAL = REAL_DATA / "crawl_html_ko"


def run(block: ExtractText, *pages: str) -> list[tuple[str, str | None]]:
    docs = (Document(text, str(n), metadata={"url": str(n), "html": True}) for n, text in enumerate(pages))
    block.seconds = 0.0
    return [(doc.text, reason) for doc, reason in block.judged(docs, 0, 1)]


def test_the_main_text_and_nothing_else():
    assert run(ExtractText(), page("One line.<br>Another.")) == [("Story\nOne line.\nAnother.", None)]


def test_a_page_of_sums_is_not_empty():
    sums = "".join(f"<p>{n} + {n} = {2 * n}</p>" for n in range(9))
    html = f"<body><div class='entry'>{sums}</div><div id='comments'><p>What a nice page, thank you for it!</p></div>"
    text = with_resiliparse(html)
    assert "8 + 8 = 16" in text and "thank you" not in text


def test_what_a_page_marks_as_its_main_part_is_better_than_nothing():
    # A menu that was never closed holds the whole page: the heuristics take all of it for navigation.
    html = """<body><ul id="menu"><article id="view"><p>What pet does she have?<br>She has a pet koala.</p>
        <ul><li><a href="/1">Other threads</a></ul></article>"""
    assert with_resiliparse(html) == "What pet does she have?\nShe has a pet koala."


def test_names_of_a_whole_page_do_not_take_it_away():
    html = (
        "<html><body class='author'><article class='comment'><p>A long sentence that one wants to keep.</p></article>"
    )
    assert "one wants to keep" in with_resiliparse(html)


def test_nesting_of_100_000_runs_into_the_time_limit_and_the_next_page_is_read():
    deep = "<div>" * 100_000 + "text" + "</div>" * 100_000
    started = time.time()
    outcome = run(ExtractText(page_seconds=1), page("Before."), deep, page("After."))
    assert [reason for _, reason in outcome] == [None, "timeout", None]
    assert time.time() - started < 8


def test_a_parser_that_crashes_costs_one_page(monkeypatch):
    def crash(html: str) -> str:
        if "crash" in html:
            import os

            os.kill(os.getpid(), 9)
        return html

    monkeypatch.setattr(extract, "with_resiliparse", crash)
    assert [reason for _, reason in run(ExtractText(), "a", "crash", "b")] == [None, "crashed", None]


def test_tidy():
    assert tidy("a \t b\r\n\r\n\x00 c\u200b \n\n") == "a b\nc"


def test_text_is_not_parsed():
    doc = Document("1 < 2 <b>", "x", metadata={"url": "x", "html": False})
    block = ExtractText()
    block.seconds = 0.0
    assert [(doc.text, reason) for doc, reason in block.judged([doc], 0, 1)] == [("1 < 2 <b>", None)]


def test_extractors_that_are_not_there(monkeypatch):
    with pytest.raises(UserError, match="expected one of resiliparse, trafilatura"):
        ExtractText("lynx")
    monkeypatch.setitem(__import__("sys").modules, "trafilatura", None)
    with pytest.raises(UserError, match="pip install trafilatura"):
        ExtractText("trafilatura")


@pytest.mark.skipif(not REAL.is_dir(), reason="the real pages are not here")
def test_real_korean_pages():
    texts = {path.name: with_resiliparse(decode(path.read_bytes())) for path in REAL.glob("*.html")}
    assert len(texts) == 7
    assert "모든 인간은 태어날 때부터 자유로우며" in texts["udhr_kor.html"]
    korean = [text for name, text in texts.items() if name != "klreq_index.html"]
    assert all(sum("가" <= letter <= "힣" for letter in text) > 0.2 * len(text) > 200 for text in korean)
