"""Small crawls for the tests of the corpus stage."""

import gzip
import io
import os
import uuid
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter


# Real files, which are not part of the repository: the tests that want them are skipped without the folder.
REAL_DATA = Path(os.environ.get("AJI_REAL_DATA", "no-such-folder"))


ENGLISH = """The river {n} rises in the hills behind the old town and runs past the mill to the sea. In spring
the people of the valley walk along its banks and look for herons. A narrow bridge of grey stone was built there in
{n}, and it has stood ever since. Nobody knows who paid for it, but the children say that it was the baker. Every
summer they swim below it and have a feast with bread and cherries at lesson {n}.""".replace("\n", " ")
KOREAN = """강 {n}은 오래된 마을 뒤의 언덕에서 시작하여 물레방아를 지나 바다로 흐른다. 봄이 되면 골짜기 사람들은
강가를 걸으며 왜가리를 찾는다. 회색 돌로 만든 좁은 다리는 {n}년에 놓였고 그 뒤로 늘 그 자리에 있다.
누가 돈을 냈는지 아무도 모르지만 아이들은 빵집 주인이 냈다고 말한다. 여름마다 아이들은 다리 아래에서
헤엄치고 빵과 버찌로 잔치를 연다. 이야기 {n}은 그렇게 끝난다.""".replace("\n", " ")
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "islet", "jetty", "knoll", "larch")
SYLLABLES = "가나다라마바사아자차카타파하"


def page(text: str, head: str = '<meta charset="utf-8">') -> str:
    """A page with a menu, comments and a footer around the text."""
    menu = "<nav><ul><li><a href='/'>Home</a></li><li><a href='/shop'>Shop</a></li></ul></nav>"
    comments = "<div class='comments'><h3>Comments</h3><p>First!</p></div>"
    body = f"{menu}<main><h1>Story</h1><p>{text}</p></main>{comments}<footer>All rights reserved</footer>"
    return f"<!doctype html><html><head>{head}<title>t</title></head><body>{body}</body></html>"


def record(
    url: str, body: bytes | str, status: str = "200 OK", mime: str = "text/html", headers: tuple = (), **named
) -> bytes:
    """A response record, plain. `named` are WARC headers, with _ for -."""
    body = body.encode() if isinstance(body, str) else body
    http = StatusAndHeaders(status, [("Content-Type", mime), *headers], protocol="HTTP/1.1")
    extra = {name.replace("_", "-"): value for name, value in named.items()}
    buffer = io.BytesIO()
    writer = WARCWriter(buffer, gzip=False)
    made = writer.create_warc_record(
        url, "response", payload=io.BytesIO(body), http_headers=http, warc_headers_dict=extra
    )
    # The same bytes each time: how much a damaged archive yields depends on them.
    made.rec_headers.replace_header("WARC-Record-ID", f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, url)}>")
    made.rec_headers.replace_header("WARC-Date", "2026-01-01T00:00:00Z")
    writer.write_record(made)
    return buffer.getvalue()


def write_warc(path: Path, records: list[bytes], packed: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(gzip.compress(one, mtime=0) if packed else one for one in records))
    return path


def stories(count: int) -> list[tuple[str, str]]:
    """(url, text), by turns in English and Korean, all of them distinct."""
    rows = []
    for n in range(count):
        names = [f"{WORDS[n * k % 12]}{(n * 7919 + k * 104729) % 9973}" for k in range(1, 60)]
        if n % 2 == 0:
            text = f"{ENGLISH.format(n=n)} The list of {n} is {' '.join(names)}."
        else:
            names = [f"{SYLLABLES[n * k % 14]}{name}" for k, name in enumerate(names)]
            text = f"{KOREAN.format(n=n)} 목록 {n}: {' '.join(names)} 입니다."
        rows.append((f"https://site{n % 5}.example/{n}", text))
    return rows
