"""Corpus: a crawl becomes clean text, with a reason for every page that does not.

    accelerate launch recipes/corpus.py --config configs/laptop/corpus.yaml
    accelerate launch recipes/corpus.py --input crawl/ more/pages.jsonl --output_dir runs/mine/corpus
    accelerate launch recipes/corpus.py --input 'crawl/*.warc.gz' --extractor trafilatura --output_dir runs/mine/corpus

Reads   crawls: WARC, WET or ARC archives, HTML files, or rows with a `text`.
Writes  train-*.parquet and validation-*.parquet (text, url, language, and a score where labels are given) to
        `output_dir`, corpus.json with all counts, funnel.md and funnel.png, examples.md with pages of each reason.
Next    `recipes/tokenizer.py` and `recipes/pretrain.py` read the parquet files.
"""

from pathlib import Path

from aji.corpus.arguments import CorpusArguments
from aji.corpus.decontaminate import DropContaminated
from aji.corpus.dedup import DropCopies, FindCopies, FindPairs, Signatures
from aji.corpus.extract import ExtractText
from aji.corpus.finish import finish, measure
from aji.corpus.language import LanguageFilter
from aji.corpus.personal import MaskPersonalData
from aji.corpus.quality import QualityFilter, TrainQuality
from aji.corpus.read import ReadPages, find_pages
from aji.corpus.rules import Rules
from aji.corpus.run import Step, run_steps
from aji.corpus.store import Keep, Load, WriteSplits, kept_bytes
from aji.corpus.urls import UrlFilter
from aji.stage import FolderArguments, Stage, run


def clean(args: CorpusArguments, files: list[str], work: Path) -> Step:
    """Page by page: what can be said of a page by itself."""
    languages = list(args.languages)
    blocks = [
        ReadPages(files, args.max_page_bytes, args.text_column),
        UrlFilter(args.block_lists, args.blocked_hosts),
        ExtractText(args.extractor, args.page_seconds),
        LanguageFilter(args.languages, args.language_model),
        Rules("gopher_repetition", languages, args.rules),
        Rules("gopher_quality", languages, args.rules),
        Rules("c4", languages, args.rules),
        Rules("fineweb", languages, args.rules),
        Signatures(work / "signatures", args.near_copies()),
        Keep(work / "clean"),
    ]
    return Step("clean", args.tasks, blocks, total=lambda: sum(Path(file).stat().st_size for file in files))


def compare(args: CorpusArguments, seed: int, work: Path) -> list[Step]:
    """All pages with each other: which are copies; and what good ones look like, where some are labelled."""
    settings = args.near_copies()
    pairs = [FindPairs(work / "signatures", work / "pairs", settings)]
    whole = [FindCopies(work / "signatures", work / "pairs", work / "copies", settings)]
    if args.quality_labels:
        labels = (args.quality_labels, args.quality_share)
        whole += [TrainQuality(*labels, work / "clean", work / "quality.npz", seed)]
    return [Step("pairs", settings.bands + 1, pairs), Step("copies", 1, whole)]


def write(args: CorpusArguments, seed: int, files: list[str], work: Path) -> Step:
    """Page by page again, with what is known of all."""
    blocks = [Load(work / "clean"), DropCopies(work / "copies", files)]
    if args.quality_labels:
        blocks += [QualityFilter(work / "quality.npz", args.quality_threshold)]
    if args.decontaminate:
        blocks += [DropContaminated(args.decontaminate, args.contamination_words)]
    if args.mask_personal:
        blocks += [MaskPersonalData()]
    blocks += [WriteSplits(work / "corpus", args.validation_percent, seed, scored=bool(args.quality_labels))]
    return Step("write", args.tasks, blocks, total=lambda: kept_bytes(work / "clean"))


def main(args: CorpusArguments, folder_args: FolderArguments) -> None:
    files = find_pages(args.input)
    inputs = (*args.input, args.blocked_hosts, args.quality_labels, args.truth, *args.decontaminate)
    stage = Stage.start("corpus", args, folder_args, inputs=inputs)
    work = stage.output_dir / "work"
    seed = folder_args.seed
    steps = [clean(args, files, work), *compare(args, seed, work), write(args, seed, files, work)]
    if not run_steps(steps, args, work):
        print("The jobs are submitted. When they are done, give the same command again with --if_exists rebuild.")
        return
    with stage.writing() as folder:
        stage.metrics |= finish(work, folder, stage.settings)
        if args.truth:
            stage.metrics |= measure(args.truth, args.quality_labels, args.quality_share, folder)
        print((folder / "funnel.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    run(main, CorpusArguments, FolderArguments)
