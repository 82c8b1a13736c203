"""What a web server sent, undone: chunks, compression, and whether it is a page at all. Bounded in memory."""

import re
import zlib
from collections.abc import Callable

import brotli


PAGE_TYPES = ("text/html", "application/xhtml+xml")
# What some servers say about pages, and some about anything.
VAGUE_TYPES = ("", "text/plain", "text/xml", "application/xml", "application/octet-stream", "unk", "no-type")
BINARY = (b"%PDF", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"RIFF", b"\x00\x00\x01\x00", b"ID3", b"OggS")
HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|meta|div|table|p)[\s>/]", re.I)
CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")


class TooLarge(Exception):
    """The payload unpacks to more than the limit: a very long page or a decompression bomb."""


def unpack(body: bytes, headers: dict[str, str], limit: int) -> bytes:
    """The payload without transfer and content encoding, as far as it has them: crawlers often keep only the header.

    Args:
        headers: of the HTTP response, names in lower case.
        limit: bytes; `TooLarge` is raised beyond.

    Raises:
        ValueError: for a compressed payload that is broken from its start.
    """
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _join_chunks(body)
    for encoding in reversed(headers.get("content-encoding", "").lower().split(",")):
        body = _decompress(body, encoding.strip(), limit)
    if len(body) > limit:
        raise TooLarge
    return body


def is_page(mime: str, body: bytes) -> bool:
    """Whether a payload is HTML, by its media type, and by its start where that says nothing or lies."""
    start = body[:2048].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(BINARY):
        return False
    mime = mime.partition(";")[0].strip().lower()
    return mime in PAGE_TYPES or (mime in VAGUE_TYPES and HTML.search(start) is not None)


def _join_chunks(body: bytes) -> bytes:
    """Chunks joined (RFC 9112, 7.1); the body itself when it is not chunked, what is there of one that was cut."""
    if not CHUNK.match(body):
        return body
    parts, position = [], 0
    while header := CHUNK.match(body, position):
        size = int(header[1], 16)
        parts.append(body[header.end() : header.end() + size])
        position = header.end() + size
        position += 2 if body[position : position + 2] == b"\r\n" else body[position : position + 1] == b"\n"
        if size == 0:
            break
    return b"".join(parts)


def _decompress(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding in ("gzip", "x-gzip") and body[:2] == b"\x1f\x8b":
        return _bounded(body, zlib.decompressobj(31).decompress, limit)
    if encoding == "deflate":
        for window in (15, -15):  # with the header of zlib, as the standard says, or without, as servers do
            try:
                return _bounded(body, zlib.decompressobj(window).decompress, limit)
            except ValueError:
                continue
        return body
    if encoding == "br":
        try:
            return _brotli(body, limit)
        except brotli.error:
            return body  # unpacked by the crawler already
    return body


def _bounded(body: bytes, decompress: Callable, limit: int) -> bytes:
    try:
        unpacked = decompress(body, limit + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(unpacked) > limit:
        raise TooLarge
    return unpacked


def _brotli(body: bytes, limit: int) -> bytes:
    unpacker, parts, size = brotli.Decompressor(), [], 0
    part = unpacker.process(body, output_buffer_limit=1 << 20)
    while part or not (unpacker.is_finished() or unpacker.can_accept_more_data()):
        parts.append(part)
        size += len(part)
        if size > limit:
            raise TooLarge
        part = unpacker.process(b"", output_buffer_limit=1 << 20)
    return b"".join(parts)
