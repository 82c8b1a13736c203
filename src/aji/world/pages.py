"""Documents as web pages: each line of a text becomes a block of HTML, in the forms that its genre takes on the web.

What a perfect extractor gives back is the text itself: its blocks as lines, in the same order.
"""

import html
import random
import re

from aji.world.genres import QUESTIONS_TITLE
from aji.world.sites import Site, render, say


TITLED = ("encyclopedia", "news", "forum", "lesson", "arithmetic", "diary")
MARK_SHARE = 0.3  # of the blocks have a word in bold, in italics or as a link
INSERT_SHARE = 0.25  # of the long pages have an advertisement or a link to elsewhere between two blocks
HEADINGS = {title for titles in QUESTIONS_TITLE.values() for title in titles}
MARKS = ("<b>{}</b>", "<em>{}</em>", "<strong>{}</strong>", '<a href="/search?q={}">{}</a>', "<span>{}</span>")
QUOTE = {"tables": True, "plain": True, "xhtml": True}

_TURN = re.compile(r"(?:Q|A|질문|답|user|assistant): ")
_POST = re.compile(r"\w+: ")


def page_of(site: Site, text: str, genre: str, url: str, rng: random.Random) -> bytes:
    """The page of a document on a site, in the site's charset."""
    lines = text.split("\n")
    title = lines[0] if is_title(lines[0], genre) else f"{site.name} - {lines[0][:30].strip()}..."
    return site.encode(render(site, main_html(lines, genre, site, rng), title, url, rng))


def is_title(line: str, genre: str) -> bool:
    """Whether the first line of a text is its heading and not a sentence."""
    return genre in TITLED and len(line) < 80 and not line.endswith((".", "!", ")")) and ". " not in line


def main_html(lines: list[str], genre: str, site: Site, rng: random.Random) -> str:
    """The blocks of a document: heading, then runs of lines of the same sort, each run in one form."""
    blocks = []
    if is_title(lines[0], genre):
        blocks.append(_heading(lines[0], site, rng))
        lines = lines[1:]
    for sort, run in _runs(lines, genre):
        if sort == "heading":
            blocks += [f"<h3>{_escape(line, site)}</h3>" for line in run]
        elif sort == "post" and site.layout in POSTS:
            blocks += [POSTS[site.layout](line, site, rng) for line in run]
        elif site.layout == "plain":
            blocks.append("<font size=3>" + "<br>\n".join(_escape(line, site) for line in run) + "</font><br>")
        else:
            form = rng.choice(RUN_FORMS) if sort in ("turn", "post") and len(run) > 1 else _paragraphs
            blocks += form([_marked(_escape(line, site), rng) for line in run])
    if len(blocks) > 2 and site.layout not in ("plain", "xhtml") and rng.random() < INSERT_SHARE:
        blocks.insert(rng.randint(1, len(blocks) - 1), _insert(site, rng))
    return "\n".join(blocks)


def _runs(lines: list[str], genre: str) -> list[tuple[str, list[str]]]:
    """Neighbouring lines of the same sort: heading, turn of questions and answers, post, or paragraph."""
    runs: list[tuple[str, list[str]]] = []
    for line in lines:
        if line in HEADINGS:
            sort = "heading"
        elif _TURN.match(line):
            sort = "turn"
        else:
            sort = "post" if genre == "forum" and _POST.match(line) else "paragraph"
        if runs and runs[-1][0] == sort:
            runs[-1][1].append(line)
        else:
            runs.append((sort, [line]))
    return runs


def _escape(text: str, site: Site) -> str:
    """Old pages write quotation marks as entities."""
    return html.escape(text, quote=site.layout in QUOTE)


def _heading(line: str, site: Site, rng: random.Random) -> str:
    text = _escape(line, site)
    if site.layout == "wiki":
        return f'<h1 id="firstHeading" class="firstHeading">{text}</h1>'
    if site.layout in ("tables", "plain"):
        return rng.choice(("<P><B><FONT SIZE=4>{}</FONT></B></P>", "<H2>{}</H2>", "<H3 ALIGN=center>{}</H3>")).format(
            text
        )
    return rng.choice(('<h1 class="title">{}</h1>', "<h1>{}</h1>", '<h2 class="entry-title">{}</h2>')).format(text)


def _marked(text: str, rng: random.Random) -> str:
    """The block with at times a word marked; entities stay whole because words are split at blanks only."""
    words = text.split(" ")
    if rng.random() < MARK_SHARE and len(words) > 3:
        index = rng.randrange(1, len(words))
        if words[index].isalpha():
            words[index] = rng.choice(MARKS).replace("{}", words[index])
    return " ".join(words)


def _paragraphs(lines: list[str]) -> list[str]:
    return [f"<p>{line}</p>" for line in lines]


def _breaks(lines: list[str]) -> list[str]:
    return ["<p>" + "<br>\n".join(lines) + "</p>"]


def _list(lines: list[str]) -> list[str]:
    return ["<ul>", *(f"<li>{line}</li>" for line in lines), "</ul>"]


def _rows(lines: list[str]) -> list[str]:
    rows = (f"<tr><td>{line}</td></tr>" for line in lines)
    return ['<table class="data" border="1"><tbody>', *rows, "</tbody></table>"]


def _definitions(lines: list[str]) -> list[str]:
    terms = (f"<{tag}>{line}</{tag}>" for line, tag in zip(lines, ("dt", "dd") * len(lines), strict=False))
    return ["<dl>", *terms, "</dl>"]


def _divisions(lines: list[str]) -> list[str]:
    return [f'<div class="line">{line}</div>' for line in lines]


RUN_FORMS = (_paragraphs, _paragraphs, _breaks, _list, _rows, _definitions, _divisions)


def _board_post(line: str, site: Site, rng: random.Random) -> str:
    """A post as bulletin boards show it, beside the profile of who wrote it."""
    language = site.language
    profile = f"<dd>{html.escape(say('poster', language, rng))}</dd>" if rng.random() < 0.2 else ""
    signature = f'<div class="signature">{say("signature", language, rng)}</div>' if rng.random() < 0.1 else ""
    return (
        f'<div id="p{rng.randint(100, 99999)}" class="post has-profile bg{rng.randint(1, 2)}"><div class="inner">\n'
        f'<dl class="postprofile"><dt><img src="./avatar/{rng.randint(1, 999)}.png" alt=""></dt>{profile}</dl>\n'
        f'<div class="postbody"><div class="content">{_author(line, site)}</div>{signature}\n'
        f'<ul class="post-buttons"><li><a href="#" class="icon" title="{say("board_action", language, rng)}"></a></li>'
        f"</ul></div></div></div>"
    )


def _qa_post(line: str, site: Site, rng: random.Random) -> str:
    """A question or an answer as on sites where readers vote."""
    return (
        f'<div class="answer js-answer" data-score="{rng.randint(0, 40)}"><div class="votecell">'
        f'<button class="js-vote-up-btn"></button><div class="js-vote-count" title="{rng.randint(0, 40)}"></div>'
        f'</div>\n<div class="answercell post-layout--right">'
        f'<div class="s-prose js-post-body"><p>{_author(line, site)}</p></div>'
        f'<div class="js-post-menu"><a href="#">{say("board_action", site.language, rng)}</a></div></div></div>'
    )


def _author(line: str, site: Site) -> str:
    name, _, text = line.partition(": ")
    return f'<strong class="username">{name}:</strong> {_escape(text, site)}'


POSTS = {"board": _board_post, "qa": _qa_post}


def _insert(site: Site, rng: random.Random) -> str:
    """What publishers put between the paragraphs of a text."""
    if rng.random() < 0.5:
        label, text = say("ad_label", site.language, rng), say("ad", site.language, rng)
        return f'<div class="ad advertisement"><small>{label}</small> <a href="/click">{html.escape(text)}</a></div>'
    label = say("related", site.language, rng)
    return (
        f'<aside class="related-inline"><b>{label}:</b> <a href="/more">{say("tag", site.language, rng)}</a></aside>'
    )
