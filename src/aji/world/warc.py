"""WARC files as crawlers leave them: one gzip member a record, the payload's type identified; and damaged ones.

Written by hand, because half of it has to be wrong in a given way: ISO 28500:2017, and Common Crawl's use of it.
"""

import base64
import gzip
import hashlib
import random
import uuid
from collections.abc import Callable

from aji.world.responses import Response


LEVEL = 6  # of compression: 9 takes twice the time for one percent
SOFTWARE = "software: aji world\r\nformat: WARC File Format 1.1\r\n"


def record(sort: str, block: bytes, headers: dict[str, str], rng: random.Random, version: str = "1.1") -> bytes:
    """A WARC record: version, named fields, block. `headers` go between the obligatory ones and the length."""
    digest = base64.b32encode(hashlib.sha1(block).digest()).decode()
    fields = {
        "WARC-Type": sort,
        "WARC-Date": f"2026-03-14T{rng.randint(10, 23)}:{rng.randint(10, 59)}:{rng.randint(10, 59)}Z",
        "WARC-Record-ID": f"<urn:uuid:{uuid.UUID(int=rng.getrandbits(128), version=4)}>",
        **headers,
        "WARC-Block-Digest": f"sha1:{digest}",
        "Content-Length": str(len(block)),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"WARC/{version}\r\n{head}\r\n".encode() + block + b"\r\n\r\n"


def warcinfo(rng: random.Random, name: str) -> bytes:
    headers = {"WARC-Filename": name, "Content-Type": "application/warc-fields"}
    return record("warcinfo", SOFTWARE.encode(), headers, rng)


def request(url: str, rng: random.Random) -> bytes:
    """What the crawler asked for; a reader of pages has to step over it."""
    host, _, path = url.partition("://")[2].partition("/")
    block = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: aji-crawler\r\nAccept: text/html\r\n\r\n".encode()
    headers = {"WARC-Target-URI": url, "Content-Type": "application/http; msgtype=request"}
    return record("request", block, headers, rng)


def response(url: str, answer: Response, rng: random.Random, identified: bool = True) -> bytes:
    """A page. Without `identified` as older crawlers write it: WARC 1.0, and nothing said about the payload's type."""
    headers = {
        "WARC-Target-URI": url,
        "WARC-IP-Address": f"192.0.2.{rng.randint(1, 254)}",
        "Content-Type": "application/http; msgtype=response",
        "WARC-Truncated": answer.truncated,
        "WARC-Identified-Payload-Type": answer.identified if identified else "",
    }
    return record("response", answer.http(rng), headers, rng, "1.1" if identified else "1.0")


def member(data: bytes) -> bytes:
    """A gzip member of its own, without the time of writing."""
    return gzip.compress(data, LEVEL, mtime=0)


def _with_length(data: bytes, change: Callable[[int], int]) -> bytes:
    head, separator, rest = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    length = int(lines[-1].split(b": ")[1])
    lines[-1] = b"Content-Length: %d" % change(length)
    return b"\r\n".join(lines) + separator + rest


def length_too_long(data: bytes) -> bytes:
    """The record claims more bytes than there are up to the next one."""
    return member(_with_length(data, lambda length: length + 4096))


def length_too_short(data: bytes) -> bytes:
    """The record ends by its own account in the middle of the page."""
    return member(_with_length(data, lambda length: length // 2))


def no_http(data: bytes) -> bytes:
    """Zeros where the HTTP status line and headers should be."""
    head, separator, block = data.partition(b"\r\n\r\n")
    return member(head + separator + bytes(200) + block[200:])


def flipped_bytes(data: bytes) -> bytes:
    """A gzip member that was damaged on the disk, some way behind its header."""
    packed = bytearray(member(data))
    middle = len(packed) // 2
    packed[middle : middle + 16] = bytes(value ^ 0xA5 for value in packed[middle : middle + 16])
    return bytes(packed)


def cut_member(data: bytes) -> bytes:
    """A gzip member without its second half; whatever follows begins there."""
    packed = member(data)
    return packed[: len(packed) // 2]


# The damages of the last two files, by file, in their order. The last one is where the copying of the file stopped.
DAMAGES: tuple[tuple[Callable[[bytes], bytes], ...], ...] = (
    (length_too_long, length_too_short, no_http),
    (flipped_bytes, cut_member, flipped_bytes, cut_member),
)
