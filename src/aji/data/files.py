"""Files of the usual kinds as rows, with the line or row of whatever is wrong in them.

`datasets` reads the same kinds, but tells a broken line as a parse error of Arrow, without its number.
"""

import csv
import glob
import gzip
import io
import itertools
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from aji.errors import UserError


SUFFIXES = (".txt", ".jsonl", ".json", ".csv", ".tsv", ".parquet")
DOCUMENT_END = "<|endoftext|>"
HELD_OUT = ("test", "valid", "eval", "dev")

csv.field_size_limit(2**31 - 1)

Row = tuple[str, dict[str, Any]]  # ("data/train.jsonl row 17", {"text": ...})


def kind_of(path: Path) -> str:
    """The suffix that says how to read `path`, without a final `.gz`; "" for a file of no known kind."""
    name = path.name.removesuffix(".gz")
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def find_files(source: str) -> list[Path]:
    """The files that `source` (file, folder or glob) names, sorted; [] when there is nothing of that name.

    Raises `UserError` for a folder or glob without readable files, one that mixes splits, and a file of no known kind.
    """
    path = Path(source).expanduser()
    if path.is_file():
        if not kind_of(path):
            raise UserError(
                f"{source}: found a file of unknown kind, expected {', '.join(SUFFIXES)} (or one with .gz)"
            )
        return [path]
    if path.is_dir():
        found = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
    elif glob.has_magic(source):
        found = [Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file()]
    else:
        return []
    files = sorted(file for file in found if kind_of(file))
    if not files:
        hint = " Give one of its sub-folders, or a pattern such as 'folder/**/*.txt'." if path.is_dir() else ""
        raise UserError(f"{source}: found no file to read, expected {', '.join(SUFFIXES)}.{hint}")
    held_out = [file.name for file in files if file.name.lower().startswith(HELD_OUT)]
    if held_out and any(file.name.lower().startswith("train") for file in files):
        raise UserError(
            f"{source}: found training files and held-out ones ({held_out[0]}) in one folder, expected one split. "
            "Name the file or a pattern such as 'folder/train*'"
        )
    return files


def read_rows(path: Path, text_column: str = "text") -> Iterator[Row]:
    """Rows of one file, each with its place. Rows count from 1; in .jsonl they are the lines of the file.

    A .txt file is one row with the column `text_column`, or several where lines `<|endoftext|>` part its documents.
    Raises `UserError` for a file that is empty, broken, or not UTF-8.
    """
    read = {".txt": _text, ".jsonl": _json_lines, ".json": _json, ".parquet": _parquet}.get(kind_of(path), _csv)
    try:
        empty = True
        for number, row in read(path):
            empty = False
            where = f"{path} row {number}"
            if not isinstance(row, dict):
                raise UserError(f'{where}: found {type(row).__name__} {str(row)[:40]!r}, expected {{"column": value}}')
            yield where, {text_column: row["text"]} if read is _text else row
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UserError(f"{path}: found a broken gzip file ({error}), expected a whole one. Copy it again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot read it ({error.strerror or error})") from None
    if empty:
        raise UserError(f"{path}: found an empty file, expected at least one row")


def _bytes(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _decode(data: bytes, path: Path, first_line: int = 1, offset: int = 0) -> str:
    try:
        return data.decode("utf-8-sig" if offset == 0 else "utf-8")
    except UnicodeDecodeError as error:
        line = first_line + data.count(b"\n", 0, error.start)
        raise UserError(
            f"{path} line {line}: found byte 0x{data[error.start]:02x} at offset {offset + error.start}, expected "
            f"UTF-8. Convert it: iconv -f {_guess_encoding(data)} -t UTF-8 {path.name} > utf8-{path.name}"
        ) from None


def _guess_encoding(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    for encoding in ("cp949", "latin-1"):
        try:
            data.decode(encoding)
            return encoding.upper()
        except UnicodeDecodeError:
            continue
    raise AssertionError("latin-1 decodes every byte")


def _text(path: Path) -> Iterator[tuple[int, dict]]:
    text = _decode(_bytes(path), path)
    if DOCUMENT_END not in text:
        documents = [text]
    else:
        documents, lines = [], []
        for line in text.splitlines(keepends=True):
            if line.strip() == DOCUMENT_END:
                documents.append("".join(lines))
                lines = []
            else:
                lines.append(line)
        documents.append("".join(lines))
    for number, document in enumerate(documents, start=1):
        if document.strip():
            yield number, {"text": document}


def _parse_json(text: str, path: Path, first_line: int = 1) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise UserError(f"{path} line {line} column {error.colno}: invalid JSON ({error.msg})") from None
    except RecursionError:
        raise UserError(f"{path} line {first_line}: invalid JSON (nested too deeply)") from None
    if "\\ud" in text or "\\uD" in text:  # half of a pair of \u escapes is a str that no file can hold
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UserError(
                f"{path} line {first_line}: invalid JSON (half of a surrogate pair by a \\u escape). Remove it"
            ) from None
    return value


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    offset = 0
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = _decode(line, path, number, offset).rstrip()
            offset += len(line)
            if text:
                yield number, _parse_json(text, path, number)


def _json(path: Path) -> Iterator[tuple[int, Any]]:
    text = _decode(_bytes(path), path)
    if not text.strip():
        return
    if text.lstrip().startswith("["):
        yield from enumerate(_parse_json(text, path), start=1)
        return
    try:
        row_a_line = isinstance(json.loads(text.lstrip().partition("\n")[0]), dict)  # as in many a .json file
    except ValueError:
        row_a_line = False
    if not row_a_line:
        _parse_json(text, path)
        raise UserError(f"{path}: found one JSON value, expected a list of rows: [{{...}}, {{...}}]")
    yield from _json_lines(path)


def _csv(path: Path) -> Iterator[tuple[int, dict]]:
    text = _decode(_bytes(path), path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if kind_of(path) == ".tsv" else ",")
    header = next(reader, None)
    number = 0
    try:
        for cells in reader:
            if not cells:
                continue
            number += 1
            if len(cells) != len(header):
                raise UserError(
                    f"{path} line {reader.line_num}: found {len(cells)} cells, expected {len(header)} "
                    f"({', '.join(header)}). Put a cell that holds the separator in double quotes"
                )
            yield number, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise UserError(f"{path} line {reader.line_num}: invalid CSV ({error})") from None


def _parquet(path: Path) -> Iterator[tuple[int, dict]]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            batches = file.iter_batches(batch_size=1000)
            yield from enumerate(itertools.chain.from_iterable(batch.to_pylist() for batch in batches), start=1)
    except pyarrow.ArrowInvalid as error:
        raise UserError(f"{path}: found a broken parquet file ({str(error).splitlines()[0]})") from None
