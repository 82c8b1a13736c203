"""The settings of the corpus stage."""

from dataclasses import dataclass, field
from typing import Any, Literal

from aji.corpus.dedup import MinHash
from aji.corpus.extract import EXTRACTORS
from aji.corpus.rules import check_rules
from aji.errors import UserError


def _numbers(**defaults: float):
    return field(default_factory=lambda: dict(defaults))


@dataclass
class CorpusArguments:
    """What is read, which rules it must pass, and what is written."""

    input: list[str] = field(
        metadata={
            "help": "Crawls: WARC, WET or ARC archives, HTML files, or rows with a text (.jsonl, .parquet ...); "
            "files, folders with all below them, or quoted patterns."
        }
    )
    text_column: str = field(default="text", metadata={"help": "Column with the text of rows."})
    max_page_bytes: int = field(default=5_000_000, metadata={"help": "A longer page is dropped unread, in bytes."})

    block_lists: bool = field(default=True, metadata={"help": "Use FineWeb's lists of hosts and words for addresses."})
    blocked_hosts: str | None = field(
        default=None, metadata={"help": "File of further hosts or addresses, one a line."}
    )
    extractor: Literal["resiliparse", "trafilatura"] = field(
        default=EXTRACTORS[0], metadata={"help": "What finds the main text. trafilatura must be installed for itself."}
    )
    page_seconds: float = field(
        default=5.0, metadata={"help": "Time limit for the extraction of one page, in seconds."}
    )
    languages: dict[str, Any] = field(
        default_factory=lambda: {"en": 0.65, "ko": 0.65},
        metadata={"help": "Languages to keep, each with the least probability: '{en: 0.65, ko: 0.65}'."},
    )
    language_model: str | None = field(
        default=None, metadata={"help": "fastText model of languages (lid.176.bin, GlotLID). Default: lid.176.ftz."}
    )
    rules: dict[str, Any] = field(
        default_factory=dict,
        metadata={
            "help": "Changes to the published rules: {language: {filter: {setting: value}}}, see docs/corpus.md."
        },
    )

    minhash: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "Changes to FineWeb's MinHash: ngram 5, bands 14, band_hashes 8, similarity 0.7."},
    )
    mask_personal: bool = field(default=True, metadata={"help": "Replace personal data by stand-ins."})
    quality_labels: str | None = field(
        default=None,
        metadata={
            "help": "Labelled pages to learn quality from: rows `label` (0 or 1) or `kind`, and `text` or `url`."
        },
    )
    quality_share: float = field(
        default=1.0, metadata={"help": "Share of the pages labelled by url to learn from; the rest is for measuring."}
    )
    quality_threshold: float | None = field(
        default=None, metadata={"help": "Least score of a page to keep, 0 to 1. Without it the score is only noted."}
    )
    decontaminate: list[str] = field(
        default_factory=list,
        metadata={"help": "Evaluation files: a page that holds one of their questions is dropped."},
    )
    contamination_words: int = field(default=13, metadata={"help": "Words in a row that make a page contaminated."})
    validation_percent: float = field(
        default=1.0, metadata={"help": "Pages held out, chosen by a hash of their text."}
    )

    truth: str | None = field(
        default=None, metadata={"help": "What each page is (crawl_truth.jsonl of the world), to measure the rules by."}
    )
    log_drops: bool = field(default=False, metadata={"help": "Note url, block and reason of every dropped page."})

    executor: Literal["local", "slurm", "ray"] = field(default="local", metadata={"help": "What runs the tasks."})
    tasks: int = field(default=8, metadata={"help": "Parts the files are shared out to; one that stops is repeated."})
    workers: int = field(default=0, metadata={"help": "Tasks at once. 0: one a core (local), all (slurm, ray)."})
    slurm: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "Keys of datatrove's SlurmPipelineExecutor: {partition: cpu, time: '20:00:00', qos: ...}."},
    )

    def __post_init__(self):
        wrong = [
            item for item in self.languages.items() if not isinstance(item[1], int | float) or not 0 <= item[1] <= 1
        ]
        if wrong or not self.languages:
            raise UserError(
                f"languages: found {wrong or 'none'}, expected a probability for each, such as {{en: 0.65}}"
            )
        check_rules(self.rules, list(self.languages))
        self.near_copies()
        for name, low, high in (("validation_percent", 0, 100), ("quality_threshold", 0, 1)):
            value = getattr(self, name)
            if value is not None and not low <= value < high:
                raise UserError(f"{name} is {value}, expected {low} or more, below {high}")
        for name in ("tasks", "max_page_bytes", "page_seconds", "contamination_words"):
            if getattr(self, name) <= 0:
                raise UserError(f"{name} is {getattr(self, name)}, expected more than 0")
        if not 0 < self.quality_share <= 1:
            raise UserError(f"quality_share is {self.quality_share}, expected more than 0, at most 1")
        if self.quality_threshold is not None and not self.quality_labels:
            raise UserError(
                "found quality_threshold without quality_labels, expected both: there is nothing to score by"
            )
        if self.executor == "slurm" and not {"partition", "time"} <= self.slurm.keys():
            raise UserError(
                "executor is slurm, expected partition and time: slurm: {partition: cpu, time: '20:00:00'}"
            )

    def near_copies(self) -> MinHash:
        """The settings of near-duplicate removal."""
        try:
            return MinHash(**self.minhash)
        except TypeError:
            known = ", ".join(MinHash.__dataclass_fields__)
            raise UserError(f"minhash: found {', '.join(self.minhash)}, expected some of {known}") from None
