"""The main text of a page, without menus, advertising and comments, each page within a time limit."""

import re
import time
from collections.abc import Iterator

from datatrove.data import Document
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import DOMNode, HTMLTree

from aji.corpus.block import Block
from aji.corpus.sandbox import Sandbox, batches
from aji.errors import UserError


EXTRACTORS = ("resiliparse", "trafilatura")
# What is no main text by its own account: HTML5's elements, and the names that WordPress, phpBB, Discourse and their
# like give to comments, buttons, dates and authors. Never a page as a whole, whatever its body is called.
BESIDE = ("nav", "aside", "footer", "button", "select", "menu", "dialog", "template")
_NAMES = """
    comments comment comments-area comment-list comment-respond respond disqus_thread sharedaddy share social
    social-share share-buttons byline author vcard posted-on published entry-meta post-meta entry-footer
    tags tags-links post-buttons postprofile signature related related-posts related-inline breadcrumb breadcrumbs
    pagination advertisement advert ad ads cookie cookie-banner newsletter sidebar widget
"""
NAMES = _NAMES.split()
SKIPPED = [*BESIDE, *(f"{sign}{name}" for name in NAMES for sign in ".#")]
WHOLE = ":not(html):not(body):not(main):not(article)"
PRUNED = ", ".join((*BESIDE, *(f"{sign}{name}{WHOLE}" for name in NAMES for sign in ".#")))
MARKED = "article, main, [role=main]"
OPTIONS = {"preserve_formatting": True, "alt_texts": False, "list_bullets": False}
SPACES = re.compile(r"[^\S\n]+")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ufffe\uffff\ud800-\udfff\u200b]")
LINE_ENDS = re.compile(r"\s*\n\s*")


class ExtractText(Block):
    """HTML to text. Documents that are text already only get their white space in order.

    A page is parsed in a process beside this one, since a parser in C that hangs (20,000 nested elements take
    resiliparse 10 s, 100,000 minutes) or crashes can be ended in no other way.

    Args:
        extractor: resiliparse (fast) or trafilatura (slower, a little cleaner on some real pages).
        page_seconds: limit for one page; beyond it the page is dropped as a timeout.
    """

    name = "extract"

    def __init__(self, extractor: str = "resiliparse", page_seconds: float = 5.0):
        super().__init__()
        if extractor not in EXTRACTORS:
            raise UserError(f"extractor is {extractor!r}, expected one of {', '.join(EXTRACTORS)}")
        if extractor == "trafilatura":
            try:
                import trafilatura  # noqa: F401
            except ImportError:
                raise UserError(
                    "extractor is trafilatura, which is not installed: pip install trafilatura, or take resiliparse"
                ) from None
        self.extractor = extractor
        self.page_seconds = page_seconds

    def judged(self, data, rank, world_size) -> Iterator[tuple[Document, str | None]]:
        extract = {"resiliparse": with_resiliparse, "trafilatura": with_trafilatura}[self.extractor]
        with Sandbox(extract, self.page_seconds) as sandbox:
            for batch in batches(data, lambda doc: len(doc.text)):
                started = time.perf_counter()
                texts = sandbox.map([doc.text for doc in batch if doc.metadata["html"]])
                for doc in batch:
                    text, reason = next(texts) if doc.metadata.pop("html") else (doc.text, None)
                    if text is None and reason is None:
                        reason = "unparsable"
                    doc.text = tidy(text or "")
                    self.seconds += time.perf_counter() - started
                    yield doc, reason or (None if doc.text else "empty")
                    started = time.perf_counter()


def tidy(text: str) -> str:
    """One line break between lines, one space between words, no control characters."""
    text = CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return LINE_ENDS.sub("\n", SPACES.sub(" ", text)).strip()


def with_resiliparse(html: str) -> str | None:
    """The main content without menus, comments and the like. None when it cannot be parsed.

    Skipping is quick, but resiliparse then takes a page of sums for empty; for those the elements are cut out first.
    If that leaves nothing either, all of what the page marks as its main part is taken.
    """
    try:
        tree = HTMLTree.parse(html)
        text = extract_plain_text(tree, main_content=True, skip_elements=SKIPPED, **OPTIONS)
        if not text and tree.body is not None:
            for element in tree.body.query_selector_all(PRUNED):
                element.decompose()
            text = extract_plain_text(tree, main_content=True, **OPTIONS)
            marked = tree.body.query_selector(MARKED)
            if not text and marked is not None:
                text = _marked_text(marked)
        return text
    except Exception:
        return None


def _marked_text(element: DOMNode) -> str:
    """All text but lists of links: a reader gets those to go elsewhere."""
    for links in element.query_selector_all("ul, ol"):
        if sum(len(link.text) for link in links.query_selector_all("a")) > 0.8 * len(links.text.strip()):
            links.decompose()
    return extract_plain_text(HTMLTree.parse(element.html), main_content=False, **OPTIONS)


def with_trafilatura(html: str) -> str | None:
    """FineWeb's settings of trafilatura. None when it cannot be parsed."""
    from trafilatura import extract

    try:
        return extract(html, favor_precision=True, include_comments=False, deduplicate=True) or ""
    except Exception:
        return None
