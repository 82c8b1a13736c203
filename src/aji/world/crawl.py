"""The world's crawl: its documents as pages of many sites, among copies and junk, and the truth about every page."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

from aji.errors import UserError
from aji.world import warc
from aji.world.arguments import WorldArguments
from aji.world.copies import near_copy
from aji.world.facts import LANGUAGES, read_table
from aji.world.junk import JUNK, blocked_host, junk_sites, other_languages
from aji.world.pages import page_of
from aji.world.personal import plant, plant_lookalike
from aji.world.responses import Response, html_response
from aji.world.sites import GENRE_LAYOUTS, Site, build_sites, new_url


WHOLE_FILES = 4
OLD_FILE = 3  # the one that an older crawler wrote
REQUEST_SHARE = 0.1  # of the responses have the request recorded before them
COPY_SHARES = {"exact_copy": 0.4, "near_copy": 0.45, "mirror": 0.15}
SAME_BYTES_SHARE = (
    0.5  # of the exact copies are equal to the byte; on the others the site has drawn new advertisements
)
GOOD_AROUND = 4  # good pages before and after each damaged record
QUERIES = ("utm_source=feed", "print=1", "from=rss", "ref=top", "sort=new", "m=1")


@dataclass(frozen=True)
class Entry:
    """A page before it is rendered. `look` is the URL that its looks are drawn for: "" for its own, unless copied.

    `damage` is what is done to its record on the way to the file.
    """

    url: str
    kind: str
    language: str
    site: Site
    genre: str = ""
    text: str = ""
    duplicate_of: str | None = None
    personal: tuple[dict, ...] = ()
    lookalikes: tuple[str, ...] = ()
    look: str = ""
    damage: Callable[[bytes], bytes] | None = None

    def truth(self) -> dict:
        """The row of crawl_truth.jsonl."""
        return {
            "url": self.url,
            "kind": self.kind,
            "language": self.language,
            "genre": self.genre,
            "text": self.text,
            "duplicate_of": self.duplicate_of,
            "personal": list(self.personal),
            "lookalikes": list(self.lookalikes),
        }


def plan_crawl(documents: list[dict], args: WorldArguments) -> list[list[Entry]]:
    """Every page of the crawl by file, in order; the last files are those with damaged records.

    Each text of the documents is on exactly one good page. That holds for the repeated pages too: deduplication would
    take their repetitions out of any corpus, so they are not in the crawl.
    """
    rng = random.Random(f"{args.seed} crawl")
    sites = build_sites(rng)
    # Numbers of pages, none twice, and with gaps as the web has them.
    numbers = iter(rng.sample(range(10_000, 100_000 + 8 * len(documents)), 2 * len(documents) + 1000))
    texts = {row["text"]: row for row in documents}
    good = [_good(row, sites, next(numbers), args, rng) for row in texts.values()]
    copies = _copies(good, sites, numbers, args, rng)
    rng.shuffle(good)
    damaged = _damaged(good, sites["en", "blog"][0], numbers, rng) if args.junk_percent else []
    pages = good + copies + _junk(round(len(texts) * args.junk_percent / 100), sites, numbers, rng)
    rng.shuffle(pages)
    ends = [number * len(pages) // WHOLE_FILES for number in range(WHOLE_FILES + 1)]
    return [pages[start:end] for start, end in zip(ends, ends[1:], strict=False)] + damaged


def _damaged(good: list[Entry], site: Site, numbers: Iterator[int], rng: random.Random) -> list[list[Entry]]:
    """The files with damaged records; takes the good pages before and after them from the end of `good`."""
    files = []
    for damages in warc.DAMAGES:
        files.append([])
        for damage in damages:
            files[-1] += _taken(good) + [_entry("broken", site, next(numbers), rng, damage=damage)]
    files[0] += _taken(good)
    return files


def _taken(good: list[Entry]) -> list[Entry]:
    return [good.pop() for _ in range(min(GOOD_AROUND, len(good)))]


def _entry(kind: str, site: Site, number: int, rng: random.Random, **more) -> Entry:
    return Entry(new_url(site, number, rng), kind, site.language, site, **more)


def _pick(sites: dict, language: str, genre: str, rng: random.Random) -> Site:
    return rng.choice(sites[language, rng.choice(GENRE_LAYOUTS[genre])])


def _good(row: dict, sites: dict, number: int, args: WorldArguments, rng: random.Random) -> Entry:
    """A document as a page, with at times a line of personal data at its end, or one that only looks like that."""
    language, lines, personal, lookalikes = row["language"], [row["text"]], [], []
    if rng.random() < args.personal_percent / 100:
        sentences, personal = plant(language, rng)
        lines += sentences
    if rng.random() < args.personal_percent / 100:
        sentence, lookalike = plant_lookalike(language, rng)
        lines.append(sentence)
        lookalikes.append(lookalike)
    more = {"text": "\n".join(lines), "personal": tuple(personal), "lookalikes": tuple(lookalikes)}
    return _entry("good", _pick(sites, language, row["genre"], rng), number, rng, genre=row["genre"], **more)


def _copies(
    good: list[Entry], sites: dict, numbers: Iterator[int], args: WorldArguments, rng: random.Random
) -> list[Entry]:
    if args.copies_percent > 100:
        raise UserError(
            f"copies_percent is {args.copies_percent}, expected at most 100: a page is copied at most once."
        )
    originals = rng.sample(good, round(len(good) * args.copies_percent / 100))
    kinds = [kind for kind, share in COPY_SHARES.items() for _ in range(max(1, round(share * len(originals))))]
    return [_copy(original, kind, sites, next(numbers), rng) for original, kind in zip(originals, kinds, strict=False)]


def _copy(original: Entry, kind: str, sites: dict, number: int, rng: random.Random) -> Entry:
    url, site, text, look = original.url, original.site, original.text, ""
    if kind == "exact_copy":
        url += ("&" if "?" in url else "?") + rng.choice(QUERIES)
        look = original.url if rng.random() < SAME_BYTES_SHARE else ""
    elif kind == "mirror":
        site = replace(site, host=f"mirror{rng.randint(1, 3)}.{site.host}")
        url = url.replace(original.site.host, site.host)
    else:
        text = near_copy(text, original.language, rng)
        site = _pick(sites, original.language, original.genre, rng)
        url = new_url(site, number, rng)
    personal = tuple(item for item in original.personal if item["value"] in text)
    lookalikes = tuple(value for value in original.lookalikes if value in text)
    return Entry(url, kind, original.language, site, original.genre, text, original.url, personal, lookalikes, look)


def _junk(count: int, sites: dict, numbers: Iterator[int], rng: random.Random) -> list[Entry]:
    """Junk of every kind by its weight, at least one of each; the languages by turns."""
    own, total = junk_sites(rng), sum(junk.weight for junk in JUNK.values())
    entries = []
    for kind, junk in JUNK.items():
        languages = cycle(other_languages() if kind == "other_language" else LANGUAGES)
        for _ in range(max(1, round(count * junk.weight / total)) if count else 0):
            language = next(languages)
            site = rng.choice(own[kind, language] if junk.hosts else sites[language, rng.choice(junk.layouts)])
            entries.append(_entry(kind, site, next(numbers), rng))
    return entries


def answer(entry: Entry, seed: int) -> Response:
    """What the server sent for a page. It depends on the entry and the seed only, not on the pages before it."""
    look = entry.look or entry.url
    rng = random.Random(f"{seed} {look}")
    if entry.damage is not None:
        return blocked_host(entry.site, look, rng)
    if entry.kind in JUNK:
        return JUNK[entry.kind].compose(entry.site, look, rng)
    return html_response(entry.site, page_of(entry.site, entry.text, entry.genre, look, rng))


def records(entries: list[Entry], name: str, identified: bool, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """The records of a file, each as it should be and as it is in the file."""
    rng = random.Random(f"{seed} {name}")
    info = warc.warcinfo(rng, name)
    yield info, warc.member(info)
    for entry in entries:
        if rng.random() < REQUEST_SHARE:
            asked = warc.request(entry.url, rng)
            yield asked, warc.member(asked)
        data = warc.response(entry.url, answer(entry, seed), rng, identified)
        yield data, (entry.damage or warc.member)(data)


def write_crawl(documents: list[dict], args: WorldArguments, folder: Path) -> dict:
    """Writes `crawl/*.warc.gz`, `crawl_truth.jsonl` and `blocked_hosts.txt` into `folder`, which exists.

    Returns the metrics: pages by kind, bytes, and a hash of the truth and of the records before compression, which may
    differ from one version of zlib to the next.
    """
    files = plan_crawl(documents, args)
    (folder / "crawl").mkdir()
    digest, size = hashlib.sha256(), 0
    for number, entries in enumerate(files):
        name = f"crawl-{number:05}.warc.gz"
        with open(folder / "crawl" / name, "wb") as file:
            for data, stored in records(entries, name, number != OLD_FILE, args.seed):
                digest.update(data)
                size += file.write(stored)
    pages = [entry for entries in files for entry in entries]
    truth = "".join(json.dumps(entry.truth(), ensure_ascii=False) + "\n" for entry in pages).encode()
    digest.update(truth)
    (folder / "crawl_truth.jsonl").write_bytes(truth)
    blocked = "".join(row["host"] + "\n" for row in read_table("blocked_hosts"))
    (folder / "blocked_hosts.txt").write_text(blocked, encoding="utf-8")
    kinds = Counter(entry.kind for entry in pages)
    return {
        "crawl_pages": len(pages),
        **{f"crawl_pages_{kind}": count for kind, count in sorted(kinds.items())},
        "crawl_personal": sum(len(entry.personal) for entry in pages),
        "crawl_lookalikes": sum(len(entry.lookalikes) for entry in pages),
        "crawl_bytes": size,
        "crawl_sha256": digest.hexdigest(),
    }
