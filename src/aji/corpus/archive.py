"""WARC, ARC and WET archives record by record, over damaged places to the next whole record.

fastwarc reads WARC (20 times as fast as warcio), but ends at the first damage; warcio reads ARC.
"""

import gzip
import io
import logging
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType
from warcio.archiveiterator import ARCIterator
from warcio.exceptions import ArchiveLoadFailed


GZIP = b"\x1f\x8b\x08"
PAGE_TYPE = re.compile(rb"^WARC/\d\.\d+\r?\n(?:[^\r\n]+\r?\n)*?WARC-Type: *(?:response|resource|conversion)\b", re.I)
PAGES = WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion
MAX_HEADER = 1 << 20
BLOCK = 1 << 20
SLOPPY = 64  # bytes by which a Content-Length of HTTP may be wrong

logging.getLogger("warcio").setLevel(logging.ERROR)


@dataclass
class Record:
    """One page of an archive as it was stored. `problem` is a reason to drop it that is known before its content."""

    url: str
    body: bytes = b""
    mime: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    charset: str | None = None
    plain: bool = False  # text that was extracted by others (WET)
    problem: str | None = None
    position: int = 0  # in the file, in bytes as they are stored


def is_archive(path: Path) -> bool:
    """Whether the file starts as a WARC or ARC does, packed by gzip or not."""
    return _start(path).startswith((b"WARC/", b"filedesc:"))


def records(path: Path, limit: int, notes: dict[str, int]) -> Iterator[Record]:
    """The pages of an archive: responses, resources, and texts that others extracted.

    Args:
        limit: bytes of a payload to read at most; longer ones have `problem` too_large.
        notes: what was found damaged is counted here.
    """
    if _start(path).startswith(b"filedesc:"):
        yield from _arc(path, limit, notes)
        return
    with open(path, "rb") as file:
        position: int | None = 0
        while position is not None:
            last = position
            options = {
                "record_types": PAGES | WarcRecordType.unknown,
                "parse_http": False,
                "max_header_len": MAX_HEADER,
            }
            try:
                for record in ArchiveIterator(_From(file, position), **options):
                    last = position + record.stream_pos
                    if record.record_type != WarcRecordType.unknown:
                        page = _warc_page(record, limit)
                        page.position = last
                        yield page
                # A member that was cut can unpack on into the next one by chance, and then the reader just ends.
                position = _next_record(file, last + 1, _holds_page)
                if position is None:
                    return
                notes[f"{path}: found damage (a cut record), went on at the next whole record"] += 1
                continue
            except BaseException as error:
                if (
                    not isinstance(error, OSError) and type(error).__name__ != "PanicException"
                ):  # of Rust, no Exception
                    raise
                notes[f"{path}: found damage ({error}), went on at the next whole record"] += 1
            position = _next_record(file, last + 1)


class _From(io.RawIOBase):
    """A file from a position on, so that places inside count from there."""

    def __init__(self, file: BinaryIO, start: int):
        self.file, self.start = file, start
        file.seek(start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.file.seek(offset + self.start * (whence == io.SEEK_SET), whence) - self.start

    def tell(self) -> int:
        return self.file.tell() - self.start

    def read(self, size: int = -1) -> bytes:
        return self.file.read(size)


def _warc_page(record: WarcRecord, limit: int) -> Record:
    page = Record(record.headers.get("WARC-Target-URI", "").strip("<> ") or record.record_id)
    page.plain = record.record_type == WarcRecordType.conversion
    page.mime = record.headers.get("WARC-Identified-Payload-Type", "") or record.headers.get("Content-Type", "")
    try:
        if record.is_http:
            record.parse_http(auto_decode="none")
            headers = record.http_headers
            page.status = headers.status_code or 0
            page.headers = {name.lower(): value for name, value in headers.astuples()}
            page.mime = record.headers.get("WARC-Identified-Payload-Type", "") or record.http_content_type or ""
            page.charset = record.http_charset
    except (OSError, ValueError):
        page.problem = "broken"
        return page
    expected = record.content_length
    if expected > limit and "content-encoding" not in page.headers:
        page.problem = "too_large"
        return page
    page.body = record.reader.read(limit + 1)
    promised = page.headers.get("content-length", "")  # by the server: before the crawler lost the connection
    if promised.isdigit() and page.status == 200:
        expected = max(expected, int(promised) - SLOPPY)
    if record.headers.get("WARC-Truncated") or len(page.body) < min(expected, limit + 1):
        page.problem = "truncated"
    return page


def _arc(path: Path, limit: int, notes: dict[str, int]) -> Iterator[Record]:
    with open(path, "rb") as file:
        try:
            for record in ARCIterator(file, arc2warc=True):
                if record.rec_type != "response":
                    continue
                page = Record(record.rec_headers.get_header("WARC-Target-URI") or "")
                if record.http_headers:
                    code = record.http_headers.get_statuscode()
                    page.status = int(code) if code.isdigit() else 0
                    page.headers = {name.lower(): value for name, value in record.http_headers.headers}
                    page.mime = page.headers.get("content-type", "")
                    charset = re.search(r"charset=[\"']?([\w.:-]+)", page.mime)
                    page.charset = charset and charset[1]
                page.body = record.raw_stream.read(limit + 1)
                if record.raw_stream.limit > 0 and len(page.body) <= limit:
                    page.problem = "truncated"
                page.position = file.tell()
                yield page
        except (ArchiveLoadFailed, EOFError, ValueError, zlib.error) as error:
            notes[f"{path}: found damage ({str(error).split('.')[0].strip()}), the rest is left out"] += 1


def _start(path: Path) -> bytes:
    with open(path, "rb") as file:
        start = file.read(4096)
    if start.startswith(GZIP):
        try:
            return zlib.decompressobj(31).decompress(start, 64)
        except zlib.error:
            return b""
    return start[:64]


def _holds_page(file: BinaryIO, position: int) -> bool:
    return PAGE_TYPE.search(_unpacked(file, position, 1024)) is not None


def _holds_record(file: BinaryIO, position: int) -> bool:
    return _unpacked(file, position, 64).startswith(b"WARC/")


def _unpacked(file: BinaryIO, position: int, size: int) -> bytes:
    """The start of what a gzip member holds; nothing when it is none."""
    file.seek(position)
    try:
        return zlib.decompressobj(31).decompress(file.read(4096), size)
    except (zlib.error, gzip.BadGzipFile):
        return b""


def _next_record(file: BinaryIO, position: int, holds: Callable[[BinaryIO, int], bool] | None = None) -> int | None:
    """The first place from `position` on where a record starts: a gzip member that holds one, or its first line.

    Args:
        holds: looks only for members of which this is true, not for first lines: those also stand in pages about WARC.
    """
    overlap = 16
    file.seek(position)
    rest = b""
    while block := file.read(BLOCK):
        data = rest + block
        offset = position - len(rest)
        for match in re.finditer(rb"\x1f\x8b\x08|WARC/\d\.\d+\r?\n", data):
            found = offset + match.start()
            if (holds or _holds_record)(file, found) if match[0] == GZIP else holds is None:
                return found
        position += len(block)
        file.seek(position)
        rest = data[-overlap:]
    return None
