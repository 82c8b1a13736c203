"""The invented web sites of the crawl: who they are, how their pages look, and in which charset they are served.

A layout is a file in `templates/`: what the software behind a site puts around the text. What is the same on all pages
of a site (name, menu, footer) is filled in once; what varies from page to page is drawn anew.
"""

import html
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template

from aji.world.facts import read_table
from aji.world.grammar import Grammar, write
from aji.world.korean import josa


@cache
def wording(name: str, language: str) -> Grammar:
    """The rules of `tables/<name>_<language>.csv`."""
    return Grammar(read_table(f"{name}_{language}"))


def say(rule: str, language: str, rng: random.Random, table: str = "chrome", **bound: str) -> str:
    """One random wording of a rule, in Korean with its particles resolved."""
    return josa(wording(table, language).expand(rule, rng, bound))


@dataclass(frozen=True)
class Charset:
    """How a site encodes its pages, and what it says about that in the HTTP header and in the page: "" for nothing."""

    codec: str
    http: str = ""
    meta: str = ""


UTF8 = (Charset("utf-8", "UTF-8", "UTF-8"), Charset("utf-8", "", "utf-8"), Charset("utf-8", "utf-8", ""))
# Sites as they were made around 2000. The last one is what a server with a default charset of its own does to pages
# in another one: the header lies, the page tells the truth.
OLD = {
    "en": (
        Charset("latin-1", "ISO-8859-1", ""),
        Charset("cp1252", "", "windows-1252"),
        UTF8[0],
        Charset("latin-1", "", ""),
        UTF8[1],
        Charset("latin-1", "iso-8859-1", "iso-8859-1"),
        UTF8[2],
        Charset("utf-8", "ISO-8859-1", "utf-8"),
    ),
    "ko": (
        Charset("euc-kr", "EUC-KR", "euc-kr"),
        Charset("euc-kr", "", "euc-kr"),
        UTF8[1],
        Charset("euc-kr", "", ""),
        UTF8[0],
        Charset("euc-kr", "euc-kr", ""),
        UTF8[2],
        Charset("euc-kr", "ISO-8859-1", "euc-kr"),
    ),
}

# Which layouts a genre is found in; a layout named twice is twice as frequent.
GENRE_LAYOUTS = {
    "encyclopedia": ("wiki", "wiki", "xhtml", "soup", "tables"),
    "news": ("news", "news", "soup", "tables", "gnu"),
    "forum": ("board", "board", "qa", "gnu"),
    "story": ("blog", "plain", "soup", "gnu"),
    "lesson": ("tables", "xhtml", "blog", "wiki"),
    "arithmetic": ("tables", "xhtml", "plain", "blog"),
    "diary": ("blog", "plain", "soup"),
    "letter": ("blog", "plain", "xhtml"),
    "repeated": ("news", "blog"),
}
OLD_LAYOUTS = ("tables", "plain", "board", "gnu")
LAYOUTS = ("news", "wiki", "blog", "board", "qa", "soup", "xhtml", "tables", "plain", "gnu")
SITES_PER_LAYOUT = len(OLD["en"])
SITE_NAMES = {
    "news": "site_news",
    "wiki": "site_wiki",
    "xhtml": "site_wiki",
    "board": "site_board",
    "qa": "site_board",
}
SITE_NAMES |= {"gnu": "site_board", "tables": "site_school"}
PATHS = {
    "news": "{section}/{year}/{month:02}/{day:02}/{number}.html",
    "wiki": "wiki/{slug}_{number}",
    "blog": "{year}/{month:02}/{slug}-{number}/",
    "board": "viewtopic.php?f=2&t={number}",
    "qa": "questions/{number}/{slug}",
    "soup": "articles/{number}",
    "xhtml": "{section}/{slug}{number}.xhtml",
    "tables": "{section}/view.asp?no={number}",
    "plain": "~{slug}/{number}.html",
    "gnu": "bbs/board.php?bo_table=free&wr_id={number}",
    "landing": "{slug}-{number}.html",
}
# Rules of `chrome_<language>.csv` that are drawn anew on each page, and those that are drawn once for a site.
PAGE_RULES = ("today", "ad", "ad2", "author", "posted", "reading", "views", "tag", "related_title", "related_title2")
PAGE_RULES += ("notice", "notice2", "comment_title", "comment_form", "newsletter", "action")
SITE_RULES = ("tagline", "login", "search", "skip", "crumb", "cookie", "noscript", "toc", "ad_label", "year")
RULE_OF = {"today": "posted", "ad2": "ad", "related_title": "related", "related_title2": "related"}
RULE_OF |= {"notice": "wiki_notice", "notice2": "wiki_notice", "action": "board_action"}


@dataclass(frozen=True)
class Site:
    """One web site; `template` is its layout with everything filled in that is the same on all its pages."""

    host: str
    language: str
    layout: str
    name: str
    charset: Charset
    template: Template

    @property
    def content_type(self) -> str:
        return "application/xhtml+xml" if self.layout == "xhtml" else "text/html"

    def encode(self, page: str) -> bytes:
        """The page in the site's charset; a character that it lacks becomes a numeric reference, as authors do it."""
        return page.encode(self.charset.codec, "xmlcharrefreplace")


def links(texts: list[str], rng: random.Random) -> str:
    """List items that link to other pages of the site."""
    return "\n".join(f'<li><a href="/{rng.randint(100, 99999)}">{html.escape(text)}</a></li>' for text in texts)


@cache
def _template(layout: str) -> str:
    return resources.files("aji.world").joinpath("templates", f"{layout}.html").read_text(encoding="utf-8")


def build_site(
    host: str,
    language: str,
    layout: str,
    name: str,
    charset: Charset,
    rng: random.Random,
    nav: list[str] | None = None,
) -> Site:
    """A site with a menu and a footer of its own, in the language or, where that is neither of ours, in English."""
    words = language if language in OLD else "en"
    menu = wording("chrome", words).rules["nav"]
    names = nav or [parts[0] for parts in rng.sample(menu, rng.randint(7, 13))]
    footer = [parts[0] for parts in rng.sample(wording("chrome", words).rules["footer"], 5)]
    declared = charset.meta or ("UTF-8" if charset.codec == "utf-8" else charset.codec)
    html5 = f'<meta charset="{charset.meta}">'
    html4 = f'<meta http-equiv="Content-Type" content="text/html; charset={charset.meta}"' + (
        " />" if layout in ("xhtml", "board") else ">"
    )
    meta = (html4 if layout in (*OLD_LAYOUTS, "xhtml") else html5) if charset.meta else "<!-- head -->"
    values = {rule: html.escape(say(RULE_OF.get(rule, rule), words, rng)) for rule in SITE_RULES}
    values |= {"lang": language, "charset": declared, "meta": meta, "site": html.escape(name)}
    values |= {"nav": links(names, rng), "footer": links(footer, rng), "build": f"{rng.getrandbits(32):08x}"}
    template = Template(Template(_template(layout)).safe_substitute(values))
    return Site(host, language, layout, name, charset, template)


def build_sites(rng: random.Random) -> dict[tuple[str, str], list[Site]]:
    """Ordinary sites by (language, layout), on hosts under .example, which belongs to nobody (RFC 2606)."""
    sites: dict[tuple[str, str], list[Site]] = {}
    for language in OLD:
        for layout in LAYOUTS:
            for index in range(SITES_PER_LAYOUT):
                charsets = OLD[language] if layout in OLD_LAYOUTS else UTF8
                first = say("site_a", language, rng)
                name = f"{first} {say(SITE_NAMES.get(layout, 'site_blog'), language, rng)}"
                host = f"{'www.' * (index % 2)}{layout}{index}-{language}-{rng.randint(100, 999)}.example"
                site = build_site(host, language, layout, name, charsets[index % len(charsets)], rng)
                sites.setdefault((language, layout), []).append(site)
    return sites


def new_url(site: Site, number: int, rng: random.Random) -> str:
    """The address of a page; `number` makes it the only one of its kind."""
    words = site.language if site.language in OLD else "en"
    path = PATHS[site.layout].format(
        number=number,
        section=say("section", words, rng),
        slug=say("slug", words, rng),
        year=rng.randint(2008, 2024),
        month=rng.randint(1, 12),
        day=rng.randint(1, 28),
    )
    return f"{rng.choice(('http', 'https', 'https'))}://{site.host}/{path}"


def render(site: Site, main: str, title: str, url: str, rng: random.Random, comments: int | None = None) -> str:
    """The whole page around the HTML of its main part. `comments` is how many readers' comments stand below it."""
    words = site.language if site.language in OLD else "en"
    drawn: Callable[[str], str] = lambda rule: html.escape(say(RULE_OF.get(rule, rule), words, rng))  # noqa: E731
    values = {rule: drawn(rule) for rule in PAGE_RULES}
    count = rng.choice((0, 0, 0, 1, 2, 4)) if comments is None else comments
    values |= {
        "title": html.escape(title),
        "url": html.escape(url),
        "number": str(rng.randint(1000, 999999)),
        "section": drawn("section"),
        "keywords": html.escape(title.replace(" ", ", ")),
        "share": "\n".join(
            f'<li class="share"><a href="#">{html.escape(parts[0])}</a></li>'
            for parts in rng.sample(wording("chrome", words).rules["share"], 2)
        ),
        "tags": " ".join(f'<a href="/tag/{rng.randint(1, 40)}" rel="tag">{drawn("tag")}</a>' for _ in range(2)),
        "related": links([write("headline", words, rng) for _ in range(rng.randint(3, 6))], rng),
        "related2": links([write("thread", words, rng) for _ in range(rng.randint(3, 5))], rng),
        "comments": "\n".join(_comment(drawn) for _ in range(count)),
        "wiki_box": f'<table class="box-notice metadata"><tr><td>{values["notice"]}</td></tr></table>\n'
        * (rng.random() < 0.2),
        "main": main,
    }
    return site.template.substitute(values)


def _comment(drawn: Callable[[str], str]) -> str:
    return (
        f'<div class="comment"><span class="comment-author">{drawn("nick")}</span> '
        f'<span class="comment-date">{drawn("posted")}</span><p>{drawn("comment")}</p>'
        f'<a class="comment-reply" href="#">{drawn("board_action")}</a></div>'
    )
