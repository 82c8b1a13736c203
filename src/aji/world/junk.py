"""Every kind of page that a cleaning pipeline has to refuse, in many wordings and forms.

A kind is a function from (site, url, random numbers) to a response. What stands on the pages is in
`tables/junk_<language>.csv`.
"""

import gzip
import html
import random
from collections.abc import Callable
from dataclasses import dataclass

from aji.world.facts import LANGUAGES, read_table
from aji.world.genres import tale
from aji.world.grammar import write_several
from aji.world.pages import page_of
from aji.world.responses import Response, html_response
from aji.world.sites import OLD, UTF8, Charset, Site, build_site, render, say, wording


Compose = Callable[[Site, str, random.Random], Response]


@dataclass(frozen=True)
class Junk:
    """A kind of junk: its share among all junk by weight, the layouts it comes in, and how a page is made.

    Without `hosts` it is found on ordinary sites; else on its own, which are in `tables/junk_hosts.csv` or, for the
    block list, in `tables/blocked_hosts.csv`.
    """

    weight: int
    compose: Compose
    layouts: tuple[str, ...]
    hosts: bool = False


def _words(site: Site) -> str:
    return site.language if site.language in OLD else "en"


def _say(rule: str, site: Site, rng: random.Random) -> str:
    return say(rule, _words(site), rng, "junk")


def _page(site: Site, url: str, title: str, main: str, rng: random.Random, **more) -> Response:
    comments = 0 if site.layout == "landing" else None
    return html_response(site, site.encode(render(site, main, title, url, rng, comments)), **more)


def _shout(lines: list[str], rng: random.Random) -> str:
    """Lines as sellers set them: headings, lists, buttons, coloured and centred text."""
    forms = (
        "<p>{}</p>", "<p>{}</p>", "<h2>{}</h2>", "<center><b>{}</b></center>", '<a class="btn" href="/go">{}</a>',
        '<font color="red" size="5">{}</font><br>', "<ul><li>{}</li></ul>", '<div class="offer">{}</div>',
        '<table><tr><td><img src="/p.jpg" alt=""></td><td>{}</td></tr></table>', "<marquee>{}</marquee>",
    )  # fmt: skip
    few = rng.sample(forms, 3)
    return "\n".join(rng.choice(few).format(html.escape(line)) for line in lines)


def spam(site: Site, url: str, rng: random.Random) -> Response:
    lines = [_say("spam_sentence", site, rng) for _ in range(rng.randint(4, 12))]
    return _page(site, url, _say("spam_title", site, rng), _shout(lines, rng), rng)


def adult(site: Site, url: str, rng: random.Random) -> Response:
    """No word here is worse than what the common block lists look for."""
    title = _say("adult_title", site, rng)
    lines = [_say("adult_sentence", site, rng) for _ in range(rng.randint(4, 9))]
    thumbs = [_say("adult_mild", site, rng) for _ in range(rng.randint(4, 12))]
    items = "".join(
        f'<li class="thumb"><a href="/v/{rng.randint(1, 9999)}"><img src="/t.jpg" alt="">{text}</a></li>'
        for text in thumbs
    )
    return _page(site, url, title, f"<h1>{html.escape(title)}</h1>\n{_shout(lines, rng)}\n<ul>{items}</ul>", rng)


def blocked_host(site: Site, url: str, rng: random.Random) -> Response:
    """An innocent text: only the list tells that its host is not wanted."""
    return html_response(site, page_of(site, _fresh(site, rng), "story", url, rng))


def _fresh(site: Site, rng: random.Random) -> str:
    """A text that is in no document of the world."""
    language = _words(site)
    return "\n".join((tale(language, rng), " ".join(write_several("filler", 3, language, rng))))


MENUS = (
    ('<ul class="menu"><li>{}</li></ul>', "</li><li>"),
    ("<p>{}</p>", " | "),
    ('<div class="box"><a href="#">{}</a></div>', '</a> <a href="#">'),
    ("<table><tr><td>{}</td></tr></table>", "</td><td>"),
    ("<select><option>{}</option></select>", "</option><option>"),
    ("<div>{}</div>", "<br>"),
    ("<h4>{}</h4>", "</h4><h4>"),
)


def boilerplate(site: Site, url: str, rng: random.Random) -> Response:
    """Menus, forms, calendars, lists of tags: everything of a page but its text."""
    language = _words(site)
    menu = [parts[0] for parts in wording("junk", language).rules["menu"]]
    blocks = []
    for _ in range(rng.randint(2, 5)):
        items = [html.escape(item) for item in rng.sample(menu, rng.randint(6, 24))]
        outside, between = rng.choice(MENUS)
        blocks.append(outside.format(between.join(items)))
    if rng.random() < 0.3:
        days = "".join(f"<td>{day}</td>" + "</tr><tr>" * (day % 7 == 0) for day in range(1, 32))
        blocks.append(f'<table class="calendar"><tr>{days}</tr></table>')
    for _ in range(rng.randint(1, 3)):
        blocks.insert(rng.randint(0, len(blocks)), f"<p>{html.escape(_say('boiler_line', site, rng))}</p>")
    return _page(site, url, rng.choice(menu), "\n".join(blocks), rng)


def other_language(site: Site, url: str, rng: random.Random) -> Response:
    rows = read_table("other_languages")
    known = [row["text"] for row in rows if row["language"] == site.language and row["kind"] == "sentence"]
    lines = [text.replace("{n}", str(rng.randint(3, 19))) for text in rng.sample(known, rng.randint(7, 12))]
    cut = rng.randint(2, len(lines) - 2)
    joint = "" if site.language in ("ja", "zh") else " "
    main = "\n".join(f"<p>{joint.join(part)}</p>" for part in (lines[:cut], lines[cut:]))
    return _page(site, url, lines[0], main, rng)


def repetition(site: Site, url: str, rng: random.Random) -> Response:
    """What broken scripts and text spinners write: the same words, lines or paragraphs again and again."""
    language = _words(site)
    sentences = write_several("filler", 3, language, rng)
    times = rng.randint(8, 25)
    word = _say("filler_word", site, rng)
    few = [_say("filler_word", site, rng) for _ in range(4)]
    lines = rng.choice((
        [sentences[0]] * times,
        [" ".join(sentences)] * times,
        [f"{word} {number}: {few[0]} {few[1]} {few[1]} {few[1]}" for number in range(times)],
        [" ".join([word] * times * 4)],
        [" ".join([*few, sentences[1]] * times)],
        [" ".join(rng.choice(few) for _ in range(30)) for _ in range(times // 2)],
        [sentence for _ in range(times) for sentence in sentences[:2]],
    ))  # fmt: skip
    form = rng.choice(("<p>{}</p>", "<li>{}</li>", "{}<br>", "<tr><td>{}</td></tr>", "<div>{}</div>"))
    main = "\n".join(form.format(html.escape(line)) for line in lines)
    main = {"<l": f"<ul>{main}</ul>", "<t": f"<table>{main}</table>"}.get(form[:2], main)
    return _page(site, url, _say("machine_title", site, rng), main, rng)


def lorem_ipsum(site: Site, url: str, rng: random.Random) -> Response:
    """Demo pages of themes that nobody has filled in."""
    known = [parts[0] for parts in wording("junk", _words(site)).rules["lorem"]]
    lines = rng.sample(known, rng.randint(6, 12))
    cut = rng.randint(2, len(lines) - 2)
    heading, second = _say("placeholder", site, rng), _say("placeholder", site, rng)
    first, last = " ".join(lines[:cut]), " ".join(lines[cut:])
    main = f"<h1>{heading}</h1>\n<p>{first}</p>\n<h2>{second}</h2>\n<p>{last}</p>"
    return _page(site, url, heading, main, rng)


def keyword_stuffing(site: Site, url: str, rng: random.Random) -> Response:
    """Search terms in every order, for machines to find."""
    nouns = [_say("stuff_noun", site, rng) for _ in range(rng.randint(2, 4))]
    places = [_say("stuff_place", site, rng) for _ in range(rng.randint(2, 5))]
    terms = []
    for _ in range(rng.randint(40, 110)):
        parts = [_say("stuff_adj", site, rng), rng.choice(nouns), rng.choice(places)]
        rng.shuffle(parts)
        terms.append(" ".join(parts[: rng.choice((2, 3, 3))]))
    between = rng.choice((", ", " | ", " ", " / ", "<br>", "</p><p>", " - ", "</li><li>"))
    main = between.join(terms)
    main = f"<ul><li>{main}</li></ul>" if "<li>" in between else f"<p>{main}</p>"
    return _page(site, url, f"{terms[0]} {terms[1]}", f"<h1>{terms[0]}</h1>\n{main}", rng)


PDF = (
    "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>endobj\n"
    "4 0 obj<</Length {length}>>stream\n{stream}\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
MAGIC = {
    "image/png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01",
    "image/gif": b"GIF89a\x01\x00\x01\x00",
    "application/zip": b"PK\x03\x04\x14\x00\x00\x00",
}


def not_html(site: Site, url: str, rng: random.Random) -> Response:
    """A PDF, an image or another file; one in five servers calls it HTML all the same."""
    kind = rng.choice(("application/pdf", "application/pdf", *MAGIC, "application/json"))
    if kind == "application/pdf":
        text = write_several("filler", 2, "en", rng)
        stream = f"BT /F1 12 Tf 72 720 Td ({' '.join(text)}) Tj ET"
        body = PDF.format(length=len(stream), stream=stream).encode()
    elif kind == "application/json":
        items = ",".join(f'{{"id": {rng.randint(1, 9999)}, "value": "{rng.getrandbits(48):x}"}}' for _ in range(30))
        body = f'{{"status": "ok", "items": [{items}]}}'.encode()
    else:
        body = MAGIC[kind] + rng.randbytes(rng.randint(300, 1500))
    declared = "text/html" if rng.random() < 0.2 else kind
    return Response(body, declared, identified=kind)


def redirect(site: Site, url: str, rng: random.Random) -> Response:
    target = f"https://{site.host}/{rng.randint(1, 99999)}/"
    status = rng.choice(("301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "200 OK"))
    if status != "200 OK":
        head = f"<html><head><title>{status}</title></head><body><h1>{status[4:]}</h1>"
        body = f'{head}<p><a href="{target}">here</a></p></body></html>'.encode() if rng.random() < 0.7 else b""
        return Response(body, "text/html", status, headers=(("Location", target),))
    refresh = f'<meta http-equiv="refresh" content="0; url={target}">'
    script = f'<script>window.location.replace("{target}");</script>'
    head = f"<html><head>{rng.choice((refresh, script))}<title>Redirecting</title></head>"
    return Response(f"{head}<body>Redirecting to {target} ...</body></html>".encode(), "text/html")


FAILURES = ("404 Not Found", "404 Not Found", "403 Forbidden", "500 Internal Server Error", "503 Service Unavailable")


def error_page(site: Site, url: str, rng: random.Random) -> Response:
    """What stands where a page is gone or a server is down; two in five say 200 OK nevertheless."""
    status = "200 OK" if rng.random() < 0.4 else rng.choice(FAILURES)
    title = _say("error_title", site, rng)
    lines = dict.fromkeys(html.escape(_say("error_line", site, rng)) for _ in range(rng.randint(1, 3)))
    main = f"<h1>{title}</h1>\n" + "\n".join(f"<p>{line}</p>" for line in lines)
    if rng.random() < 0.5:
        return _page(site, url, title, main, rng, status=status)
    foot = f"<hr><address>Apache Server at {site.host}</address>"
    bare = f"<html><head><title>{title}</title></head><body>\n{main}\n{foot}</body></html>"
    return html_response(site, site.encode(bare), status=status)


def truncated(site: Site, url: str, rng: random.Random) -> Response:
    """A page that the crawler did not get to the end of: WARC-Truncated says so, or only the Content-Length."""
    whole = page_of(site, _fresh(site, rng), "story", url, rng)
    body = whole[: rng.randint(len(whole) // 5, len(whole) * 7 // 10)]
    reason = rng.choice(("length", "time", "disconnect", ""))
    return html_response(site, body, truncated=reason, length=None if reason == "length" else len(whole))


def broken(site: Site, url: str, rng: random.Random) -> Response:
    """A body that nothing can be read from: empty, noise, cut compression, text that lost its characters."""
    text = _fresh(site, rng)
    page = render(site, f"<p>{text}</p>", site.name, url, rng, 0)
    sort = rng.choice(("empty", "noise", "gzip", "questions", "mojibake", "tags"))
    if sort == "empty":
        return html_response(site, b"")
    if sort == "noise":
        return html_response(site, rng.randbytes(rng.randint(500, 2000)))
    if sort == "gzip":
        packed = gzip.compress(site.encode(page), mtime=0)
        return html_response(site, packed[: len(packed) // 3], headers=(("Content-Encoding", "gzip"),))
    if sort == "questions":
        lost = "".join("?" if character.isalpha() else character for character in text)
        return html_response(site, f"<html><body><p>{lost}</p></body></html>".encode())
    if sort == "mojibake":
        twice = write_several("filler", 5, "ko", rng)
        wrong = " ".join(twice).encode().decode("latin-1")
        return html_response(
            site, f'<html><head><meta charset="utf-8"></head><body><p>{wrong}</p></body></html>'.encode()
        )
    return html_response(site, b"<html><head></head><body>" + b"<div><span></span></div>" * rng.randint(20, 80))


MODERN = ("blog", "soup", "news", "gnu", "tables")
JUNK = {
    "spam": Junk(14, spam, ("landing", "landing", "blog", "gnu"), hosts=True),
    "adult": Junk(8, adult, ("landing", "landing", "blog", "gnu"), hosts=True),
    "blocked_host": Junk(8, blocked_host, ("blog", "news", "plain", "soup"), hosts=True),
    "boilerplate": Junk(12, boilerplate, MODERN),
    "other_language": Junk(14, other_language, ("news", "blog", "soup", "plain"), hosts=True),
    "repetition": Junk(9, repetition, (*MODERN, "plain")),
    "lorem_ipsum": Junk(6, lorem_ipsum, MODERN),
    "keyword_stuffing": Junk(9, keyword_stuffing, ("landing", "blog", "tables"), hosts=True),
    "not_html": Junk(7, not_html, MODERN),
    "redirect": Junk(6, redirect, MODERN),
    "error_page": Junk(7, error_page, MODERN),
    "truncated": Junk(6, truncated, ("blog", "news", "soup", "gnu", "tables")),
    "broken": Junk(4, broken, MODERN),
}


LEGACY = {"ko": OLD["ko"][1], "ru": Charset("cp1251", "windows-1251"), "ja": Charset("shift_jis", "", "shift_jis")}
LEGACY |= {"zh": Charset("gb18030", "gb2312", "gb2312"), "fr": OLD["en"][0], "es": OLD["en"][3]}


def other_languages() -> list[str]:
    """The ISO 639-1 codes of the languages that are neither of ours."""
    return list(dict.fromkeys(row["language"] for row in read_table("other_languages")))


def junk_sites(rng: random.Random) -> dict[tuple[str, str], list[Site]]:
    """Sites of the kinds that have hosts of their own, by (kind, language)."""
    sites: dict[tuple[str, str], list[Site]] = {}
    for kind, junk in JUNK.items():
        if not junk.hosts:
            continue
        table = "blocked_hosts" if kind == "blocked_host" else "junk_hosts"
        hosts = [row["host"] for row in read_table(table) if row.get("kind", kind) == kind]
        # A third of the block list is never met, as it is with the real ones.
        hosts = hosts[: len(hosts) * 2 // 3] if kind == "blocked_host" else hosts
        for language in other_languages() if kind == "other_language" else LANGUAGES:
            for index, layout in enumerate(junk.layouts):
                sites.setdefault((kind, language), []).append(
                    _junk_site(kind, rng.choice(hosts), language, layout, index, rng)
                )
    return sites


def _junk_site(kind: str, stem: str, language: str, layout: str, index: int, rng: random.Random) -> Site:
    blocked = kind == "blocked_host"
    host = f"{rng.choice(('', 'www.', 'm.'))}{stem}" if blocked else f"{stem}{rng.randint(1, 99)}-{language}.example"
    name = stem.partition(".")[0].replace("-", " ").title()
    menu = [
        row["text"] for row in read_table("other_languages") if row["language"] == language and row["kind"] == "nav"
    ]
    charset = LEGACY.get(language, UTF8[0]) if index == 3 else UTF8[index % len(UTF8)]
    return build_site(host, language, layout, name, charset, rng, menu or None)
