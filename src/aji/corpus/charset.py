"""Bytes of a page as text, although what it says about its charset may be a lie."""

import codecs
import re

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5


META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{2,40})""", re.I)
BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Python's names of the encodings that a browser means by these labels: supersets of what the labels say.
SUPERSETS = {"euc_kr": "cp949", "shift_jis": "cp932", "gbk": "gb18030", "big5": "big5hkscs", "utf-16": "utf-16-le"}
# A page in UTF-8 that was cut inside a character is still UTF-8.
LONGEST_CHARACTER = 4
REPLACED_SHARE = 0.01
# The 2,350 syllables of KS X 1001, nearly all of written Korean, have both bytes above 0xA0, the first in B0 to C8.
HANGUL_PAIR = re.compile(rb"[\xb0-\xc8][\xa1-\xfe]")
HIGH_BYTE = re.compile(rb"[\x80-\xff]")


def decode(data: bytes, declared: str | None = None) -> str | None:
    """The text of a page, None when no charset makes sense of it.

    What the bytes show goes before what is declared: a byte order mark, then valid UTF-8 (other charsets are valid
    UTF-8 only by a rare chance), then EUC-KR where the high bytes are Hangul, then the HTTP header, the page's own
    `<meta charset>`, and what a detector makes of it. At most 1 % of the characters may be undecodable.

    Args:
        declared: charset from the HTTP header.
    """
    for mark, name in BOMS:
        if data.startswith(mark):
            return _try(data[len(mark) :], name)
    if data.isascii() and b"\x1b$" not in data:  # ESC $ starts ISO-2022, which is ASCII to the eye
        return data.decode("ascii")
    text = _utf8(data)
    if text is not None:
        return text
    meta = META.search(data[:4096])
    names = [declared, meta and meta[1].decode("ascii", "replace")]
    if _is_hangul(data):
        names.insert(0, "euc-kr")
    candidates = [python_name(name) for name in names if name]
    candidates.append(python_name(detect_encoding(data, max_len=65536)))
    for name in dict.fromkeys(name for name in candidates if name):
        text = _try(data, name)
        if text is not None:
            return text
    return None


def python_name(label: str) -> str | None:
    """Python's codec for a charset label of the web, None for one that nobody knows."""
    label = label.strip().lower()
    try:
        codec = codecs.lookup(map_encoding_to_html5(label, fallback_utf8=False) or label)
    except (LookupError, ValueError):
        return None
    return SUPERSETS.get(codec.name, codec.name) if codec._is_text_encoding else None


def _utf8(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(data) - LONGEST_CHARACTER or error.start == 0:
            return None
        return data[: error.start].decode("utf-8")


def _is_hangul(data: bytes) -> bool:
    sample = data[:65536]
    high = len(HIGH_BYTE.findall(sample))
    return high >= 8 and 2 * len(HANGUL_PAIR.findall(sample)) > 0.85 * high


def _try(data: bytes, name: str) -> str | None:
    try:
        text = data.decode(name, "replace")
    except (UnicodeError, LookupError):
        return None
    return text if text.count("\ufffd") <= REPLACED_SHARE * len(text) else None
