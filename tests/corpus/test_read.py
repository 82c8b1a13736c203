import gzip
import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from crawls import REAL_DATA, page, record, write_warc

from aji.corpus.http import TooLarge, unpack
from aji.corpus.read import ReadPages, find_pages
from aji.errors import UserError


REAL = REAL_DATA / "crawl_warc"


def read(*paths: Path, **options) -> tuple[dict[str, str], Counter, list[str]]:
    """Kept text by url, reasons, and what was said about files."""
    block = ReadPages([str(path) for path in paths], **options)
    block.notes, block.seconds = Counter(), 0.0
    kept, reasons = {}, Counter()
    for doc, reason in block.judged(None, 0, 1):
        reasons[reason or "kept"] += 1
        if reason is None:
            kept[doc.metadata["url"]] = doc.text
    return kept, reasons, list(block.notes)


def test_each_kind_of_record_has_its_reason(tmp_path):
    good = page("hello")
    records = [
        record("http://a.example/", good),
        record("http://b.example/", good, status="301 Moved"),
        record("http://c.example/", good, status="404 Not Found"),
        record("http://d.example/", b"%PDF-1.4 ...", mime="application/pdf"),
        record("http://e.example/", b"%PDF-1.4 lies", mime="text/html"),
        record("http://f.example/", good, WARC_Truncated="length"),
        record("http://g.example/", good, headers=(("Content-Length", "99999"),)),
        record("http://h.example/", b""),
        record("http://i.example/", b"x" * 2000),
        record(
            "http://j.example/", good.replace("<!doctype html>", "<?xml version='1.0'?>"), mime="application/xhtml+xml"
        ),
        record("http://k.example/", bytes(range(128, 256)) * 8),
    ]
    path = write_warc(tmp_path / "a.warc.gz", records)
    kept, reasons, notes = read(path, max_page_bytes=1500)
    assert kept.keys() == {"http://a.example/", "http://j.example/"}
    expected = {"kept": 2, "redirect": 1, "error_page": 1, "not_html": 2, "truncated": 2, "empty": 1, "too_large": 1}
    assert reasons == expected | {"charset": 1} and notes == []


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("damage", ["flipped", "garbage", "cut"])
def test_good_records_before_and_after_a_bad_one_are_kept(tmp_path, packed, damage):
    one, bad, other = (record(f"http://{name}.example/", page(f"page {name}")) for name in "abc")
    parts = [gzip.compress(part, mtime=0) if packed else part for part in (one, bad, other)]
    middle = parts[1]
    parts[1] = {
        "flipped": middle[:20] + bytes(60) + middle[80:] if packed else b"\0" * 40 + middle[40:],
        "garbage": b"neither gzip nor WARC\n" * 3,
        "cut": middle[: len(middle) // 2] if packed else middle[:50],
    }[damage]
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(parts))
    kept, reasons, notes = read(path)
    assert kept.keys() >= {"http://a.example/", "http://c.example/"}
    assert len(notes) == 1 and "found damage" in notes[0]


@pytest.mark.parametrize("seed", (8, 10, 12, 19))
def test_a_cut_member_that_unpacks_on_into_the_next_by_chance(tmp_path, seed):
    # Of random members cut in the half, one in twenty does; these are some. Without a look at the rest c is lost.
    random = Random(seed)
    words = "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789 ", k=60))
    parts = [
        gzip.compress(record(f"http://{n}.example/", page(f"page {n} {words}")), mtime=seed * 7919) for n in "abc"
    ]
    parts[1] = parts[1][: len(parts[1]) // 2]
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(parts))
    kept, _, notes = read(path)
    assert kept.keys() >= {"http://a.example/", "http://c.example/"}
    assert len(notes) == 1 and "found damage" in notes[0]


def test_the_end_of_a_file_that_is_still_being_copied(tmp_path):
    whole = write_warc(tmp_path / "a.warc.gz", [record(f"http://{n}.example/", page("x" * n)) for n in range(5)])
    whole.write_bytes(whole.read_bytes()[:-40])
    kept, reasons, _ = read(whole)
    assert len(kept) == 4 and reasons["kept"] == 4


def test_a_decompression_bomb_is_bounded(tmp_path):
    bomb = gzip.compress(bytes(60_000_000))
    records = [
        record("http://bomb.example/", bomb, headers=(("Content-Encoding", "gzip"),)),
        record("http://big.example/", b"<html>" + b"a" * 20_000_000),
        record("http://good.example/", page("good")),
    ]
    kept, reasons, _ = read(write_warc(tmp_path / "a.warc.gz", records))
    assert reasons == {"too_large": 2, "kept": 1} and list(kept) == ["http://good.example/"]


def test_transfer_and_content_encodings():
    body = b"<html>hello</html>"
    chunked = b"6\r\n<html>\r\nc;x=1\r\nhello</html>\r\n0\r\n\r\n"
    assert unpack(chunked, {"transfer-encoding": "chunked"}, 1000) == body
    assert unpack(body, {"transfer-encoding": "chunked"}, 1000) == body  # the crawler joined them, the header stayed
    assert unpack(gzip.compress(body), {"content-encoding": "gzip"}, 1000) == body
    assert unpack(body, {"content-encoding": "gzip"}, 1000) == body
    assert unpack(body, {"content-encoding": "br"}, 1000) == body
    with pytest.raises(TooLarge):
        unpack(gzip.compress(bytes(2000)), {"content-encoding": "gzip"}, 1000)


def test_rows_and_html_files(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"text": "a row", "url": "u"}) + "\n" + json.dumps({"text": " "}) + "\n"
    )
    (tmp_path / "b.html").write_text(page("a file"))
    files = find_pages([str(tmp_path)])
    assert [Path(file).name for file in files] == ["a.jsonl", "b.html"]
    kept, reasons, _ = read(*map(Path, files))
    assert kept["u"] == "a row" and reasons == {"kept": 2, "empty": 1}


def test_tasks_share_the_files_and_every_page_knows_its_place(tmp_path):
    files = [
        write_warc(tmp_path / f"{n}.warc", [record(f"http://{n}.example/", page("x"))], packed=False) for n in range(3)
    ]
    block = ReadPages([str(file) for file in files])
    block.notes, block.seconds = Counter(), 0.0
    shares = [[doc.metadata["order"] for doc, _ in block.judged(None, rank, 2)] for rank in range(2)]
    assert shares == [[0, 2 << 32], [1 << 32]]


def test_no_files_and_unknown_files(tmp_path):
    with pytest.raises(UserError, match="found no file to read"):
        find_pages([str(tmp_path / "*.warc.gz")])
    (tmp_path / "a.docx").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match="unknown kind"):
        find_pages([str(tmp_path / "a.docx")])
    (tmp_path / "b.warc").write_bytes(b"no archive at all")
    kept, _, notes = read(tmp_path / "b.warc")
    assert not kept and any("found no page in it" in note for note in notes)


@pytest.mark.skipif(not REAL.is_dir(), reason="the real archives are not here")
def test_every_real_archive_is_read_or_refused_with_one_line():
    total: Counter = Counter()
    paths = [path for path in sorted(REAL.glob("*/*")) if path.suffix not in (".md", ".cdxj")]
    assert len(paths) > 40
    for path in paths:
        _, reasons, notes = read(path)
        total += reasons
        assert reasons or notes, path
        assert all("\n" not in note for note in notes)
    assert total["kept"] >= 79 and total["redirect"] == 24
