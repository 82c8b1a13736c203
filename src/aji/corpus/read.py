"""Crawls of every usual kind as documents: WARC, ARC and WET archives, HTML files, and rows with a `text`."""

import errno
import glob
import time
from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document

from aji.corpus import progress
from aji.corpus.archive import Record, is_archive, records
from aji.corpus.block import Block
from aji.corpus.charset import decode
from aji.corpus.dedup import order
from aji.corpus.http import TooLarge, is_page, unpack
from aji.data.files import kind_of, read_rows
from aji.errors import UserError


ARCHIVES = (".warc", ".wet", ".arc")
PACKED = (".gz", ".zst", ".lz4", ".bad", ".open")
PAGES = (".html", ".htm", ".xhtml")


def find_pages(sources: list[str]) -> list[str]:
    """The files that `sources` (files, folders with all below them, patterns) name, sorted, each once.

    Raises:
        UserError: for a source that names no file, or a file of no known kind.
    """
    files: set[str] = set()
    for source in sources:
        path = Path(source).expanduser()
        if path.is_file():
            if not _kind(path):
                raise UserError(
                    f"{source}: found a file of unknown kind, expected WARC, ARC or WET (also .gz), HTML, or rows "
                    "with a text (.jsonl, .parquet, ...). Rename it or convert it"
                )
            found = [path]
        elif path.is_dir():
            found = [file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")]
        else:
            found = [Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file()]
        found = [str(file) for file in found if _kind(file)]
        if not found:
            raise UserError(
                f"{source}: found no file to read, expected archives (*.warc.gz ...), *.html, *.jsonl or *.parquet. "
                "Check the path, and quote a pattern"
            )
        files.update(found)
    return sorted(files)


def _kind(path: Path) -> str:
    """archive, page or rows, by the name or else by the first bytes; "" for any other."""
    name = path.name.lower()
    for suffix in PACKED:
        name = name.removesuffix(suffix)
    if name.endswith(ARCHIVES):
        return "archive"
    if name.endswith(PAGES):
        return "page"
    if kind_of(path):
        return "rows"
    return "archive" if is_archive(path) else ""


class ReadPages(Block):
    """Reads this task's share of the files. Drops what is no page before any of it is parsed.

    Args:
        files: of `find_pages`; task `rank` of `world_size` reads every `world_size`-th.
        max_page_bytes: unpacked length beyond which a page is dropped; bounds the memory.
        text_column: column of rows that holds the text.
    """

    name = "read"

    def __init__(self, files: list[str], max_page_bytes: int = 5_000_000, text_column: str = "text"):
        super().__init__()
        self.files = files
        self.max_page_bytes = max_page_bytes
        self.text_column = text_column

    def judged(self, data, rank, world_size) -> Iterator[tuple[Document, str | None]]:
        read, documents = 0, 0
        for index in range(rank, len(self.files), world_size):
            path = Path(self.files[index])
            started = time.perf_counter()
            for number, (doc, reason, position) in enumerate(self._read(path)):
                doc.metadata["order"] = order(index, number)
                documents += 1
                progress.report(rank, read + position, documents)
                self.seconds += time.perf_counter() - started
                yield doc, reason
                started = time.perf_counter()
            self.seconds += time.perf_counter() - started
            read += path.stat().st_size
            progress.report(rank, read, documents)

    def _read(self, path: Path) -> Iterator[tuple[Document, str | None, int]]:
        """The pages of a file with the reason to drop them and the place in the file, in bytes."""
        kind = _kind(path)
        empty = True
        try:
            if kind == "rows":
                for place, row in read_rows(path, self.text_column):
                    empty = False
                    yield *self._row(place, row), 0
            elif kind == "page":
                empty = False
                with open(path, "rb") as file:
                    body = file.read(self.max_page_bytes + 1)
                yield *self._page(Record(path.absolute().as_uri(), body, "text/html"), str(path)), 0
            else:
                for number, record in enumerate(records(path, self.max_page_bytes, self.notes)):
                    empty = False
                    yield *self._page(record, f"{path.name}/{number}"), record.position
        except (OSError, UserError) as error:
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EIO):
                raise
            self.notes[f"{path}: {error}. The rest of it is left out"] += 1
        if empty:
            self.notes[f"{path}: found no page in it, expected a whole WARC, WET or ARC file, or rows"] += 1

    def _row(self, place: str, row: dict) -> tuple[Document, str | None]:
        text = row.get(self.text_column)
        url = row.get("url") if isinstance(row.get("url"), str) else place
        doc = Document(text if isinstance(text, str) else "", place, metadata={"url": url, "html": False})
        return doc, None if doc.text.strip() else "empty"

    def _page(self, record: Record, place: str) -> tuple[Document, str | None]:
        doc = Document("", place, metadata={"url": record.url, "html": not record.plain})
        return doc, record.problem or self._content(record, doc)

    def _content(self, record: Record, doc: Document) -> str | None:
        """Fill `doc` with the text of the page; the reason when it is none."""
        if 300 <= record.status < 400:
            return "redirect"
        if not 200 <= record.status < 300:
            return "error_page"
        try:
            body = unpack(record.body, record.headers, self.max_page_bytes)
        except TooLarge:
            return "too_large"
        except ValueError:
            return "broken"
        if not body.strip():
            return "empty"
        if not record.plain and not is_page(record.mime, body):
            return "not_html"
        text = decode(body, record.charset)
        if text is None:
            return "charset"
        doc.text = text
        return None
