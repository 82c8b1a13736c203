"""The corpus against the truth about every page of the crawl: what should be dropped, kept, joined and masked."""

import re
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet

from aji.corpus.personal import STAND_INS
from aji.data.files import find_files, read_rows
from aji.errors import UserError
from aji.evals.intervals import mean, share
from aji.report.tables import markdown


COPIES = ("exact_copy", "near_copy", "mirror")
TOKEN = re.compile(r"\w+")


def score_corpus(truth: str, folder: Path, seen: set[str] = frozenset()) -> dict[str, float]:
    """Measure a corpus by the truth.

    A page and its planted copies are one cluster. Which of them stays is chance, so one that is the only one left of
    its cluster counts as the original.

    Args:
        truth: rows `url`, `kind`, `language`, `text`, `duplicate_of`, `personal`.
        folder: with `*.parquet`, and `drops.jsonl` when drops were logged.
        seen: urls whose labels were learnt from; they are left out.

    Returns:
        Flat metrics in percent with `_low`, `_high`, `_n`: `kept_good`; `removed_KIND` of each kind of junk;
        `removed_copies` and `distinct_lost` of deduplication; `precision_BLOCK`, the junk among what a block dropped;
        `found_PERSONAL`, the planted personal data that was masked, and `false_masks`; and `extraction_f1`, mean over
        the good pages that were kept.
    """
    everything = read_truth(truth)
    kept = read_corpus(folder)
    if not everything.keys() & kept.keys():
        raise UserError(f"{truth}: found none of the urls of the corpus in it, expected the truth about this crawl")
    survivors = _survivors(everything, kept)
    pages = {url: row for url, row in everything.items() if url not in seen}
    metrics = _removed(pages, kept, survivors) | _copies(everything, survivors)
    if (folder / "drops.jsonl").is_file():
        metrics |= _precision(pages, survivors, folder / "drops.jsonl")
    return metrics | _masked(pages, kept) | _extraction(pages, kept)


def read_truth(source: str) -> dict[str, dict]:
    files = find_files(source)
    if not files:
        raise UserError(f"truth: {source} is not there. Check the path, or leave it out")
    rows = {}
    for path in files:
        for place, row in read_rows(path):
            if not row.get("url") or not row.get("kind"):
                raise UserError(f"{place}: found no url or kind, expected both in every row of the truth")
            rows[row["url"]] = row
    return rows


def read_corpus(folder: Path) -> dict[str, str]:
    """Text by url."""
    texts = {}
    for path in sorted(folder.glob("*.parquet")):
        table = pyarrow.parquet.read_table(path, columns=["url", "text"])
        texts.update(zip(table["url"].to_pylist(), table["text"].to_pylist(), strict=True))
    return texts


def cluster_of(row: dict) -> str:
    return row.get("duplicate_of") or row["url"]


def _survivors(pages: dict[str, dict], kept: dict[str, str]) -> dict[str, list[str]]:
    """The pages of each cluster that were kept, the original first."""
    survivors = defaultdict(list)
    for url, row in pages.items():
        if url in kept:
            survivors[cluster_of(row)].append(url)
    for cluster, urls in survivors.items():
        urls.sort(key=lambda url: url != cluster)
    return survivors


def _removed(pages: dict, kept: dict[str, str], survivors: dict[str, list[str]]) -> dict[str, float]:
    good = [url for url, row in pages.items() if row["kind"] == "good"]
    metrics = share("kept_good", sum(url in survivors for url in good), len(good))
    for language in sorted({pages[url]["language"] for url in good}):
        of_language = [url for url in good if pages[url]["language"] == language]
        metrics |= share(f"kept_good_{language}", sum(url in survivors for url in of_language), len(of_language))
    for kind in sorted({row["kind"] for row in pages.values()} - {"good"}):
        urls = [url for url, row in pages.items() if row["kind"] == kind]
        alone = (
            sum(url in kept and survivors[cluster_of(pages[url])][0] == url for url in urls) if kind in COPIES else 0
        )
        metrics |= share(f"removed_{kind}", sum(url not in kept for url in urls) + alone, len(urls))
    junk = [url for url, row in pages.items() if row["kind"] not in ("good", *COPIES)]
    return metrics | share("removed_junk", sum(url not in kept for url in junk), len(junk))


def _copies(pages: dict[str, dict], survivors: dict[str, list[str]]) -> dict[str, float]:
    """Of the planted copies whose text was kept in one form or another, those that are gone."""
    planted = Counter(cluster_of(row) for row in pages.values() if row["kind"] in COPIES)
    removed = total = 0
    for cluster, count in planted.items():
        if cluster in pages and survivors.get(cluster):
            total += count
            removed += count - (len(survivors[cluster]) - 1)
    return share("removed_copies", removed, total)


def _precision(pages: dict[str, dict], survivors: dict[str, list[str]], drops: Path) -> dict[str, float]:
    right, total, lost = Counter(), Counter(), 0
    distinct = {cluster_of(row) for row in pages.values() if row["kind"] in ("good", *COPIES)}
    for _, row in read_rows(drops):
        page = pages.get(row["url"])
        if page is None:
            continue
        total[row["block"]] += 1
        if row["block"] == "duplicates":
            is_right = bool(survivors.get(cluster_of(page)))  # another of its cluster is there
            lost += not is_right and page["kind"] in ("good", *COPIES)
        else:
            is_right = page["kind"] not in ("good", *COPIES)
        right[row["block"]] += is_right
    metrics = {}
    for block in total:
        metrics |= share(f"precision_{block}", right[block], total[block])
    return metrics | share("distinct_lost", lost, len(distinct))


def _masked(pages: dict[str, dict], kept: dict[str, str]) -> dict[str, float]:
    masked, planted = Counter(), Counter()
    wrong = numbers = 0
    for url, text in kept.items():
        row = pages.get(url)
        if row is None or row["kind"] not in ("good", *COPIES):
            continue
        expected = Counter(item["kind"] for item in row.get("personal") or ())
        for item in row.get("personal") or ():
            planted[item["kind"]] += 1
            masked[item["kind"]] += item["value"] not in text
        extra = sum(max(0, text.count(stand_in) - expected[kind]) for kind, stand_in in STAND_INS.items())
        wrong += extra > 0
        numbers += 1
    metrics = {}
    for kind in sorted(planted):
        metrics |= share(f"found_{kind}", masked[kind], planted[kind])
    return metrics | share("found_personal", masked.total(), planted.total()) | share("false_masks", wrong, numbers)


def _extraction(pages: dict[str, dict], kept: dict[str, str]) -> dict[str, float]:
    scores = defaultdict(list)
    for url, text in kept.items():
        row = pages.get(url)
        if row is not None and row["kind"] == "good" and row["text"]:
            expected = row["text"]
            for item in row.get("personal") or ():
                expected = expected.replace(item["value"], STAND_INS[item["kind"]])
            scores[row["language"]].append(token_f1(text, expected))
    metrics = mean("extraction_f1", [score for part in scores.values() for score in part], least=0, most=1)
    for language, part in sorted(scores.items()):
        metrics |= mean(f"extraction_f1_{language}", part, least=0, most=1)
    return metrics


def token_f1(found: str, expected: str) -> float:
    """Harmonic mean of precision and recall of the words, each as often as it occurs (SQuAD, Rajpurkar 2016)."""
    one, other = Counter(TOKEN.findall(found.lower())), Counter(TOKEN.findall(expected.lower()))
    common = (one & other).total()
    return 2 * common / (one.total() + other.total()) if one or other else 1.0


def table(metrics: dict[str, float]) -> str:
    return f"# Measured by the truth\n\n{markdown(metrics)}\n"
