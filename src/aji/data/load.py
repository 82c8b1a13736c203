"""Files, folders and data sets of the Hub as `datasets.Dataset` in canonical columns, and their held-out part."""

import itertools
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import datasets
import pyarrow.compute
from datasets import Dataset, Features, Value
from datasets.exceptions import DatasetGenerationError

from aji.data import formats
from aji.data.files import Row, find_files, kind_of, read_rows
from aji.data.weights import check_weights, draw_places
from aji.errors import UserError


logger = logging.getLogger(__name__)

# Columns that are kept beside `text` or `messages`, for figures by language, genre or kind.
KEPT = ("url", "language", "genre", "kind")
# Above this many bytes of files the rows go through the disk cache of `datasets` instead of memory.
IN_MEMORY = 256 * 2**20
HUB_ID = re.compile(r"\w[\w.-]*(/[\w.-]+)?")

TEXT = Value("string")
MESSAGE = {
    "role": TEXT,
    "content": TEXT,
    "reasoning_content": TEXT,
    "tool_calls": [{"type": TEXT, "function": {"name": TEXT, "arguments": TEXT}}],
}
DOCUMENT = Features(dict.fromkeys(("text", *KEPT), TEXT))
CONVERSATION = Features({"messages": [MESSAGE], "tools": TEXT} | dict.fromkeys(KEPT, TEXT))


@dataclass
class DataArguments:
    """What to train on and what to hold out."""

    train_file: str | None = field(
        default=None,
        metadata={
            "help": "Training data: a file (.txt .jsonl .json .csv .tsv .parquet, also .gz), a folder of them, a "
            "quoted pattern, or the id of a data set on the Hub."
        },
    )
    mixture: dict[str, float] | None = field(
        default=None,
        metadata={
            "help": "Several training sets in place of train_file, each with its weight: how many times its rows are "
            "used. '{a.jsonl: 1, b.jsonl: 0.25, c.jsonl: 2}': all of a, a quarter of b's rows, c twice."
        },
    )
    eval_file: str | None = field(default=None, metadata={"help": "Held-out data, in the same forms."})
    eval_tail: float = field(
        default=0.0,
        metadata={"help": "Without eval_file: share of the end of train_file to hold out. 0.1 is the last tenth."},
    )
    text_column: str = field(default="text", metadata={"help": "Column with the text of a document."})
    columns: dict[str, str] | None = field(
        default=None,
        metadata={
            "help": "Columns of conversations in an unknown form: '{user: Q, assistant: A}' or '{messages: M}'."
        },
    )
    roles: dict[str, str] | None = field(
        default=None, metadata={"help": "Speakers of conversations that are no roles: '{bot: assistant}'."}
    )
    max_rows: int | None = field(default=None, metadata={"help": "Use only this many rows, the first of each set."})
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a data set on the Hub."})
    train_split: str = field(default="train", metadata={"help": "Split of a data set on the Hub to train on."})
    eval_split: str | None = field(
        default=None,
        metadata={"help": "Split of a data set on the Hub to hold out (of train_file without eval_file)."},
    )

    def __post_init__(self):
        if bool(self.train_file) == bool(self.mixture):
            found = "both train_file and mixture" if self.train_file else "neither train_file nor mixture"
            raise UserError(f"found {found}, expected one of them. Set it in the YAML file or by a flag")
        check_weights("mixture", self.mixture or {})
        if not 0 <= self.eval_tail < 1:
            raise UserError(f"eval_tail is {self.eval_tail}, expected a share from 0 up to 1: 0.1 is the last tenth")
        if self.eval_tail and (self.eval_file or self.eval_split):
            raise UserError("found eval_tail and a held-out set, expected one of them. Remove eval_tail")
        if self.max_rows is not None and self.max_rows < 1:
            raise UserError(f"max_rows is {self.max_rows}, expected at least 1")
        if self.columns:
            formats.check_columns(self.columns)
        wrong = [role for role in (self.roles or {}).values() if role not in formats.ROLES]
        if wrong:
            raise UserError(f"roles: found {wrong[0]!r}, expected one of {', '.join(formats.ROLES)}")

    @property
    def sources(self) -> list[str]:
        """What the training set is read from."""
        return [self.train_file] if self.train_file else list(self.mixture)


def load_splits(args: DataArguments, kind: Literal["documents", "conversations"]) -> tuple[Dataset, Dataset | None]:
    """The training set and the held-out set, None when nothing asks for one. The same rows every time."""

    def load(source: str, split: str) -> Dataset:
        options = {"name": args.dataset_config, "split": split, "max_rows": args.max_rows}
        if kind == "documents":
            return load_documents(source, args.text_column, **options)
        return load_conversations(source, args.columns, args.roles, **options)

    def load_train() -> Dataset:
        if args.train_file:
            return load(args.train_file, args.train_split)
        return mix([(load(source, args.train_split), weight) for source, weight in args.mixture.items()])

    if not args.eval_file and not args.eval_split:
        train_set = load_train()
        return split_tail(train_set, args.eval_tail) if args.eval_tail else (train_set, None)
    eval_file, eval_split = args.eval_file or args.sources[0], args.eval_split or args.train_split
    for source in args.sources:
        same_file = Path(eval_file).is_file() and Path(source).resolve() == Path(eval_file).resolve()
        if same_file or (eval_file, eval_split) == (source, args.train_split):
            raise UserError(
                f"the held-out set is the training set ({eval_file}), so its loss would say nothing. Give another "
                "eval_file, or hold out the end of train_file with --eval_tail 0.1"
            )
    return load_train(), load(eval_file, eval_split)


def mix(parts: Sequence[tuple[Dataset, float]]) -> Dataset:
    """All parts in one, each with its weight as in `draw_places`.

    What one part has as a column, or in its messages, and another has not, is None in the rows of the other.
    """
    chosen = []
    for part, weight in parts:
        places = draw_places(len(part), weight)
        if not places:
            raise UserError(f"mixture: weight {weight} of {len(part)} rows leaves none. Give a larger weight")
        chosen.append(part if len(places) == len(part) else part.select(places))
    if "messages" in chosen[0].column_names:
        keys = {key for part in chosen for key in part.features["messages"].feature}
        chosen = [_with_messages(part, {key: MESSAGE[key] for key in MESSAGE if key in keys}) for part in chosen]
    return datasets.concatenate_datasets(chosen)


def _with_messages(part: Dataset, message: dict) -> Dataset:
    """The same rows with exactly the keys of `message` in every message."""
    if list(part.features["messages"].feature) == list(message):
        return part
    features = Features(part.features | {"messages": [message]})

    def widen(batch: dict) -> dict:
        return {"messages": [[{key: one.get(key) for key in message} for one in row] for row in batch["messages"]]}

    return part.map(widen, batched=True, features=features, keep_in_memory=True)


def split_tail(data: Dataset, share: float) -> tuple[Dataset, Dataset]:
    """Everything but the last `share` of the rows, and that.

    A single document is cut within, at byte `int(bytes * (1 - share))` or the next start of a character.
    """
    size = len(data)
    text = data[0]["text"].encode() if size == 1 and "text" in data.column_names else None
    cut = int(round((size if text is None else len(text)) * (1 - share), 6))  # 10 * (1 - 0.9) is 0.99999
    if text is not None:
        while cut < len(text) and text[cut] & 0xC0 == 0x80:  # 10xxxxxx: inside a character
            cut += 1
        size = len(text)
    if not 0 < cut < size:
        what = "rows" if text is None else "bytes"
        raise UserError(
            f"eval_tail {share} of {size} {what} leaves one side empty. Change eval_tail or give an eval_file"
        )
    if text is None:
        return data.select(range(cut)), data.select(range(cut, size))
    parts = text[:cut].decode(), text[cut:].decode()
    return tuple(Dataset.from_list([{**data[0], "text": part}]) for part in parts)


def load_documents(
    source: str, text_column: str = "text", name: str | None = None, split: str = "train", max_rows: int | None = None
) -> Dataset:
    """Documents with the column `text`, and those of `KEPT` that they have; empty ones are left out and counted.

    `source` is a file, folder, glob or Hub id (`name` and `split` are for the Hub). Raises `UserError`.
    """
    opened = _open(source, name, split, max_rows)
    if opened.table is not None:
        return _text_of_table(opened.table, source, text_column)
    return _collect(_Documents(source, opened, text_column), DOCUMENT)


def load_conversations(
    source: str,
    columns: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
    name: str | None = None,
    split: str = "train",
    max_rows: int | None = None,
) -> Dataset:
    """Conversations with the column `messages`, `tools` (JSON text) where given, and those of `KEPT`.

    Known forms are told in `aji.data.formats`, which also takes `columns` and `roles`. Conversations in which an
    assistant's turn is empty are left out and counted. Raises `UserError`.
    """
    if columns:
        formats.check_columns(columns)
    opened = _open(source, name, split, max_rows)
    texts = [path for path in opened.files if kind_of(path) == ".txt"]
    if texts:
        raise UserError(f"{texts[0]}: found plain text, expected conversations (.jsonl .json .csv .tsv .parquet)")
    return _collect(_Conversations(source, opened, columns, roles), CONVERSATION)


@dataclass
class _Opened:
    """A source that is there: files, or a table of Arrow that need not fit in memory."""

    files: list[Path]
    table: Dataset | None
    max_rows: int | None

    @property
    def stamps(self) -> list[tuple[int, int]]:
        return [(path.stat().st_size, path.stat().st_mtime_ns) for path in self.files]

    def rows(self, source: str, text_column: str) -> Iterator[Row]:
        if self.table is not None:
            return ((f"{source} row {number}", row) for number, row in enumerate(self.table, start=1))
        chained = itertools.chain.from_iterable(read_rows(path, text_column) for path in self.files)
        return itertools.islice(chained, self.max_rows)


def open_rows(
    source: str, name: str | None = None, split: str = "train", max_rows: int | None = None
) -> Iterator[Row]:
    """The rows of a file, folder, glob or data set of the Hub as they are, each with its place. Raises `UserError`."""
    return iter(_open(source, name, split, max_rows).rows(source, "text"))


def _open(source: str, name: str | None, split: str, max_rows: int | None) -> _Opened:
    folder = Path(source).expanduser()
    if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
        table = datasets.load_from_disk(str(folder))
        if isinstance(table, datasets.DatasetDict):
            if split not in table:
                raise UserError(
                    f"{source}: found the splits {', '.join(table)}, expected {split!r}. Name another split"
                )
            table = table[split]
        files = []
    elif files := find_files(source):
        size = sum(path.stat().st_size for path in files)
        if size <= IN_MEMORY or any(kind_of(path) != ".parquet" for path in files):
            return _Opened(files, None, max_rows)
        table = datasets.load_dataset("parquet", data_files=list(map(str, files)), split="train")
    else:
        table = _load_from_hub(source, name, split)
    if max_rows is not None:
        table = table.select(range(min(max_rows, len(table))))
    return _Opened(files, table, max_rows)


def _load_from_hub(source: str, name: str | None, split: str) -> Dataset:
    if not HUB_ID.fullmatch(source) or kind_of(Path(source)):
        raise UserError(f"{source}: found no such file or folder. Correct the path")
    try:
        return datasets.load_dataset(source, name, split=split)
    except (OSError, ValueError, DatasetGenerationError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{source}: found no such file or folder here, and the Hub did not give a data set of that name "
            f"({reason}). Correct train_file or eval_file, dataset_config, or the split"
        ) from error


def _text_of_table(table: Dataset, source: str, text_column: str) -> Dataset:
    """The documents of an Arrow table, without touching its rows in Python."""
    if text_column not in table.column_names:
        raise UserError(_no_column(source, text_column, table.column_names))
    if (kind := getattr(table.features[text_column], "dtype", "")) not in ("string", "large_string"):
        raise UserError(f"{source}: column {text_column!r} holds {kind or 'lists'}, expected text. Name another one")
    if text_column != "text" and "text" in table.column_names:
        table = table.remove_columns("text")
    table = table.rename_column(text_column, "text") if text_column != "text" else table
    table = table.select_columns([column for column in ("text", *KEPT) if column in table.column_names])
    table = table.flatten_indices()  # so that its rows are those of the Arrow data; nothing to do for most
    lengths = pyarrow.compute.binary_length(table.data.column("text"))
    kept = pyarrow.compute.fill_null(pyarrow.compute.greater(lengths, 0), False)
    indices = kept.to_numpy(zero_copy_only=False).nonzero()[0]
    if len(indices) == len(table):
        return table
    logger.warning("%s: left out %d documents without text", source, len(table) - len(indices))
    return table.select(indices)


def _no_column(where: str, column: str, found: Iterable[str]) -> str:
    return (
        f"{where}: found no column {column!r} but {', '.join(found)}. Name the one with the text: --text_column COLUMN"
    )


@dataclass
class _Documents:
    """Rows of files as documents; a class so that `datasets` can hash it when it caches."""

    source: str
    opened: _Opened
    text_column: str

    def __iter__(self) -> Iterator[dict]:
        skipped = 0
        for where, row in self.opened.rows(self.source, self.text_column):
            if self.text_column not in row:
                raise UserError(_no_column(where, self.text_column, row))
            text = row[self.text_column]
            if text is not None and not isinstance(text, str):
                raise UserError(f"{where}: {self.text_column} is of type {type(text).__name__}, expected a string")
            if not text or text.isspace():
                skipped += 1
                continue
            yield {"text": text} | _kept(row)
        if skipped:
            logger.warning("%s: left out %d documents without text", self.source, skipped)


@dataclass
class _Conversations:
    """Rows as conversations; a class so that `datasets` can hash it when it caches."""

    source: str
    opened: _Opened
    columns: Mapping[str, str] | None
    roles: Mapping[str, str] | None

    def __iter__(self) -> Iterator[dict]:
        skipped = []
        for where, row in self.opened.rows(self.source, "text"):
            conversation = formats.to_conversation(row, where, self.columns, self.roles)
            if any(_says_nothing(message) for message in conversation["messages"]):
                skipped.append(where)
            else:
                yield conversation | _kept(row)
        if skipped:
            logger.warning("left out %d conversations with an empty answer, the first at %s", len(skipped), skipped[0])


def _says_nothing(message: Mapping[str, Any]) -> bool:
    return message["role"] == "assistant" and not message["content"].strip() and not message.get("tool_calls")


def _kept(row: Mapping[str, Any]) -> dict[str, str | None]:
    return {column: None if row.get(column) is None else str(row[column]) for column in KEPT}


def _collect(rows: _Documents | _Conversations, features: Features) -> Dataset:
    """The rows as a data set with those columns of `features` that hold anything; on disk when the files are large."""
    opened = rows.opened
    size = opened.table.data.nbytes if opened.table is not None else sum(size for size, _ in opened.stamps)
    if size > IN_MEMORY and opened.max_rows is None:
        try:
            data = Dataset.from_generator(_generate, features, gen_kwargs={"rows": rows, "stamps": opened.stamps})
        except DatasetGenerationError as error:
            if isinstance(error.__cause__, UserError):
                raise error.__cause__ from None
            raise
    else:
        table = list(rows)
        if not table:
            raise UserError(f"{rows.source}: found no row with content, expected at least one")
        if "messages" in features:
            keys = {key for row in table for message in row["messages"] for key in message}
            features = features | {"messages": [{key: kind for key, kind in MESSAGE.items() if key in keys}]}
        data = Dataset.from_dict({column: [row[column] for row in table] for column in features}, Features(features))
    return data.remove_columns([column for column in features if data.data.column(column).null_count == len(data)])


def _generate(rows: Iterable[dict], stamps: list) -> Iterator[dict]:
    """`rows`; `stamps` are there for the cache, which must not outlive a change of the files."""
    yield from rows
