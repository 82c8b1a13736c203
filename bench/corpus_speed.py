"""Documents per second of the corpus stage against datatrove's own FineWeb example, on the same pages in the same run.

    pip install -e '.[bench]'
    python bench/corpus_speed.py --crawl runs/laptop/world/crawl --truth runs/laptop/world/crawl_truth.jsonl
    python bench/corpus_speed.py --crawl docs/ --pages 500

Both run the page by page part, from HTML to filtered text, as one task. FineWeb's is the list of blocks of
`examples/fineweb.py` of datatrove 0.10.1 with its settings (trafilatura, spaCy's words); what it would download is
replaced: lid.176.ftz for lid.176.bin. Loading of models and lists is outside of the times of both.
`--crawl` may hold archives or HTML files (documentation packages, say).
"""

import argparse
import json
import random
import time
from collections import Counter

from datatrove.data import Document
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LambdaFilter,
    URLFilter,
)

from aji.corpus.extract import ExtractText
from aji.corpus.language import LanguageFilter
from aji.corpus.read import ReadPages, find_pages
from aji.corpus.rules import Rules
from aji.corpus.urls import UrlFilter
from aji.evals.corpus import read_truth, token_f1


def fineweb(language: LanguageFilter) -> list:
    """The blocks of FineWeb's example after its reader. Its URL filter keeps the lists as sets."""
    import tldextract

    urls = URLFilter()
    urls.tldextractor = tldextract.TLDExtract(suffix_list_urls=())
    urls.download_data()
    return [
        urls,
        Trafilatura(favour_precision=True, timeout=5),
        LambdaFilter(lambda doc: language.judge(doc) is None and doc.metadata["language"] == "en"),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ]


def ours(language: LanguageFilter) -> list:
    names = ("gopher_repetition", "gopher_quality", "c4", "fineweb")
    return [UrlFilter(), ExtractText(), language, *(Rules(name, ["en"]) for name in names)]


def pages(crawl: str, count: int) -> list[Document]:
    """A sample of the pages, read once, so that the reader's time is the same for both."""
    reader = ReadPages(find_pages([crawl]))
    reader.notes, reader.seconds = Counter(), 0.0
    found = [
        doc
        for doc, reason in reader.judged(None, 0, 1)
        if reason is None and doc.metadata["html"] and doc.metadata["url"]
    ]
    random.Random(0).shuffle(found)
    return found[:count]


def run(blocks: list, documents: list[Document]) -> tuple[float, list[Document]]:
    """Seconds, and the documents that are left."""
    stream = iter([Document(doc.text, doc.id, metadata=dict(doc.metadata)) for doc in documents])
    started = time.perf_counter()
    for block in blocks:
        stream = block.run(stream)
    left = list(stream)
    return time.perf_counter() - started, left


def extracted(block, documents: list[Document]) -> dict[str, str]:
    _, left = run([block], documents)
    return {doc.metadata["url"]: doc.text for doc in left}


def agreement(one: dict[str, str], other: dict[str, str]) -> float:
    """Mean F1 of the words of two extractions, over the pages that both found text on."""
    both = one.keys() & other.keys()
    return sum(token_f1(one[url], other[url]) for url in both) / max(1, len(both))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crawl", required=True, help="archives or HTML files")
    parser.add_argument("--truth", help="crawl_truth.jsonl, for the F1 of both extractors against it")
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    documents = pages(args.crawl, args.pages)
    size = sum(len(doc.text) for doc in documents) / max(1, len(documents))
    print(f"{len(documents)} pages, {size:,.0f} characters each")
    builders = {"FineWeb example": fineweb, "aji": ours}
    seconds: dict[str, list[float]] = {name: [] for name in builders}
    for _ in range(args.rounds):
        for name, build in builders.items():
            blocks = build(LanguageFilter({"en": 0.65}))
            run(blocks, documents[:20])  # models, tokenizers and lists are loaded on first use
            taken, left = run(blocks, documents)
            seconds[name].append(taken)
            print(f"{name:16} {len(documents) / taken:8.1f} pages/s  kept {len(left)}", flush=True)
    best = {name: min(taken) for name, taken in seconds.items()}
    print(f"ratio of the best rounds: {best['FineWeb example'] / best['aji']:.1f}")
    texts = {"trafilatura": extracted(Trafilatura(favour_precision=True, timeout=5), documents)}
    texts["aji"] = extracted(ExtractText(), documents)
    print(f"words in common with trafilatura's text (F1): {agreement(texts['aji'], texts['trafilatura']):.4f}")
    if args.truth:
        truth = {
            url: row["text"] for url, row in read_truth(args.truth).items() if row["kind"] == "good" and row["text"]
        }
        for name, found in texts.items():
            urls = [doc.metadata["url"] for doc in documents if doc.metadata["url"] in truth]
            scores = [token_f1(found.get(url, ""), truth[url]) for url in urls]
            print(
                f"main text against the truth (F1), {name}: {sum(scores) / max(1, len(scores)):.4f} of {len(scores)}"
            )
    print(json.dumps({name: [round(value, 2) for value in taken] for name, taken in seconds.items()}))


if __name__ == "__main__":
    main()
