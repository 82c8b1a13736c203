"""`aji tokens`: how a tokenizer cuts a text, in colours, in the terminal or as a page that needs no network."""

import codecs
import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text
from transformers.convert_slow_tokenizer import bytes_to_unicode

from aji.errors import UserError


_BYTES = {symbol: byte for byte, symbol in bytes_to_unicode().items()}
# Text must not steer the terminal: controls but tab and newline are shown as their pictures.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
_BACKGROUNDS = ("on #264f78", "on #4b3b6b", "on #3d5a3d", "on #6b4a2f", "on #2f5f63")
_LOSS, _NO_LOSS = ("on #1f7a3a", "on #2f9a4f"), ("on #3a3a3a", "on #4a4a4a")


@dataclass(frozen=True)
class Token:
    """One token of a text: its id, its bytes, how it is shown, and, in a chat, whether it carries loss.

    `whole` is the text of the smallest run of tokens around it that makes whole characters.
    """

    id: int
    data: bytes
    shown: str
    special: bool
    whole: str
    trained: bool | None = None

    @property
    def partial(self) -> bool:
        """Whether it holds a part of a character."""
        return not _is_whole(self.data)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `aji tokens`."""
    parser.add_argument("text", metavar="TEXT|FILE", help="a text, a file in UTF-8, or - for standard input")
    parser.add_argument(
        "--chat", action="store_true", help="a chat: TEXT is one user message, FILE holds JSON messages"
    )
    parser.add_argument("--html", metavar="FILE", help="write a self-contained page instead of printing")
    parser.add_argument(
        "--tokenizer", metavar="DIR", default="runs/laptop/tokenizer", help="folder or Hub id [%(default)s]"
    )
    parser.add_argument(
        "--limit", type=int, default=40, metavar="N", help="rows of the id table; 0: all [%(default)s]"
    )


def main(args: Namespace) -> None:
    """Run `aji tokens`; UserError for a missing file, text that is not UTF-8, or JSON that holds no messages."""
    from aji.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(args.tokenizer)
    text, is_file = _read(args.text)
    if args.chat:
        tokens = chat_tokens(tokenizer, _messages(text, args.text) if is_file else [{"role": "user", "content": text}])
    else:
        tokens = text_tokens(tokenizer, text)
    if args.html:
        title = Path(args.text).name if is_file else " ".join(text.split())[:40]
        _write(Path(args.html), to_html(tokens, title, args.tokenizer))
        print(f"{args.html}: {summary(tokens)}")
    else:
        show(tokens, args.limit)


def text_tokens(tokenizer, text: str) -> list[Token]:
    """Tokens of a text as pretraining sees it: control tokens in it are control tokens."""
    return list(_tokens(tokenizer, tokenizer.encode(text, add_special_tokens=False)))


def chat_tokens(tokenizer, messages: list[dict]) -> list[Token]:
    """Tokens of a conversation, with `trained` set; a prompt for an answer follows unless the assistant spoke last."""
    from aji.chatml import encode

    asks = messages[-1].get("role") != "assistant"
    encoded = encode(tokenizer, [messages], add_generation_prompt=asks)[0]
    return list(_tokens(tokenizer, encoded.input_ids, encoded.trained))


def summary(tokens: list[Token]) -> str:
    """Counts of a list of tokens in one line."""
    data = b"".join(token.data for token in tokens)
    characters = len(data.decode(errors="replace"))
    line = f"{len(tokens):,} tokens, {characters:,} characters, {len(data):,} bytes"
    line += f", {len(data) / len(tokens):.2f} bytes per token" if tokens else ""
    if tokens and tokens[0].trained is not None:
        trained = sum(token.trained for token in tokens)
        line += f", {trained:,} tokens ({100 * trained / len(tokens):.1f} %) carry loss"
    return line


def show(tokens: list[Token], limit: int = 40, console: Console | None = None) -> None:
    """Print the coloured text, the ids in the same colours, and a table of the first `limit` tokens (0: all)."""
    console = console or Console()
    in_chat = bool(tokens) and tokens[0].trained is not None
    text, ids = Text(), Text()
    # Without colours, a bar between the tokens says where they end.
    bar = "" if console.is_terminal and not console.no_color else "|"
    for index, token in enumerate(tokens):
        style = _style(index, token)
        text.append(token.shown.translate(_PICTURES).replace("\n", "\u21b5\n") + bar, style)
        ids.append(str(token.id), style)
        ids.append(" ")
    console.print(text, soft_wrap=True)
    console.print()
    console.print(ids)
    console.print()
    rows = tokens[:limit] if limit else tokens
    table = Table("", "id", "bytes", "token", *(["loss"] if in_chat else []), box=None, header_style="dim")
    for index, token in enumerate(rows):
        shown = Text(repr(token.shown)[1:-1], _style(index, token))
        loss = [Text("yes" if token.trained else "", "green")] if in_chat else []
        table.add_row(Text(str(index), "dim"), str(token.id), token.data.hex(" ").upper(), shown, *loss)
    console.print(table)
    if len(rows) < len(tokens):
        console.print(
            f"... {len(tokens) - len(rows):,} more: --limit 0 lists all, --html FILE writes a page.", style="dim"
        )
    console.print(summary(tokens), highlight=False, soft_wrap=True)


def to_html(tokens: list[Token], title: str, tokenizer_name: str) -> str:
    """A page with everything inside: colours, ids, bytes on hover, counts; light and dark."""
    in_chat = bool(tokens) and tokens[0].trained is not None
    spans, ids = [], []
    for index, token in enumerate(tokens):
        classes = [f"c{index % 5}"]
        classes += ["partial"] if token.partial else []
        classes += ["special"] if token.special else []
        classes += ["loss"] if token.trained else []
        whole = "" if token.whole == token.shown else f' data-whole="{escape(token.whole)}"'
        attributes = f'class="{" ".join(classes)}" data-i="{index}"'
        spans.append(
            f'<span {attributes} data-id="{token.id}" data-bytes="{token.data.hex(" ").upper()}"{whole}>'
            f"{_visible(token)}</span>"
        )
        ids.append(f"<span {attributes}>{token.id}</span>")
    data = b"".join(token.data for token in tokens)
    counts = {
        "tokens": f"{len(tokens):,}",
        "characters": f"{len(data.decode(errors='replace')):,}",
        "bytes": f"{len(data):,}",
        "bytes per token": f"{len(data) / max(len(tokens), 1):.2f}",
    }
    if in_chat:
        counts["carry loss"] = f"{100 * sum(token.trained for token in tokens) / max(len(tokens), 1):.1f} %"
    cells = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for name, value in counts.items())
    page = files("aji").joinpath("tokenview.html").read_text(encoding="utf-8")
    fill = {
        "TITLE": escape(title),
        "TOKENIZER": escape(tokenizer_name),
        "COUNTS": cells,
        "MODE": "chat by-loss" if in_chat else "text",
        "TOKENS": "".join(spans),
        "IDS": " ".join(ids),
    }
    # one pass, so that a text holding "{{IDS}}" stays a text
    parts = page.split("{{")
    return parts[0] + "".join(fill[name] + rest for name, rest in (part.split("}}", 1) for part in parts[1:]))


def _visible(token: Token) -> str:
    """HTML of a token: spaces as middle dots, line ends and tabs as marks, lone bytes as small tags."""
    if token.special:
        return escape(token.shown)
    out = []
    for piece, is_bytes in _split_bytes(token.data):
        if is_bytes:
            out += [f"<i>{byte:02X}</i>" for byte in piece]
            continue
        text = escape(piece.decode().translate(_PICTURES))
        text = text.replace(" ", "<u>\u00b7</u>").replace("\t", "<u>\u2192</u>\t").replace("\n", "<u>\u21b5</u>\n")
        out.append(text)
    return "".join(out)


def _tokens(tokenizer, ids: list[int], trained: list[bool] | None = None) -> Iterator[Token]:
    added = tokenizer.added_tokens_decoder
    decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
    byte_level = decoder is not None and b"ByteLevel" in decoder.__getstate__()
    names = tokenizer.convert_ids_to_tokens(ids)
    datas = [_data(name, i in added, byte_level) for name, i in zip(names, ids, strict=True)]
    for index, (data, wholes) in enumerate(zip(datas, _wholes(datas), strict=True)):
        special = ids[index] in added and added[ids[index]].special
        yield Token(ids[index], data, _shown(data), special, wholes, trained[index] if trained else None)


def _data(name: str, added: bool, byte_level: bool) -> bytes:
    """The bytes that a token of the vocabulary stands for, by the spelling its family uses for bytes."""
    if added:
        return name.encode()
    if byte_level:
        return bytes(_BYTES[symbol] for symbol in name) if all(s in _BYTES for s in name) else name.encode()
    if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
        return bytes.fromhex(name[3:5])
    return name.replace("\u2581", " ").encode()


def _wholes(datas: list[bytes]) -> Iterator[str]:
    """For each token, the text of the shortest run of tokens from a character's beginning to a character's end."""
    decoder, run = codecs.getincrementaldecoder("utf-8")(errors="replace"), []
    text = ""
    for data in datas:
        run.append(data)
        text += decoder.decode(data)
        if not decoder.getstate()[0]:
            yield from [text] * len(run)
            run, text = [], ""
    yield from [text + decoder.decode(b"", final=True)] * len(run)


def _is_whole(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _split_bytes(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """Cut bytes into (piece, is not text) where UTF-8 is whole and where it is not."""
    while data:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            if error.start:
                yield data[: error.start], False
            yield data[error.start : error.end], True
            data = data[error.end :]
        else:
            yield data, False
            return


def _shown(data: bytes) -> str:
    """The text of a token; the bytes of a partial character as <EA>."""
    return "".join(
        "".join(f"<{byte:02X}>" for byte in piece) if is_bytes else piece.decode()
        for piece, is_bytes in _split_bytes(data)
    )


def _style(index: int, token: Token) -> str:
    if token.trained is not None:
        colour = (_LOSS if token.trained else _NO_LOSS)[index % 2]
    else:
        colour = _BACKGROUNDS[index % len(_BACKGROUNDS)]
    return f"{'bold ' if token.special else ''}{'italic ' if token.partial else ''}white {colour}"


def _read(source: str) -> tuple[str, bool]:
    """The text, and whether it came from a file."""
    if source != "-" and not os.path.isfile(source):
        if Path(source).suffix in (".txt", ".md", ".json", ".jsonl") and " " not in source:
            raise UserError(f"{source}: no such file. Give an existing file, or a text.")
        return source, False
    data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    try:
        return data.decode(), source != "-"
    except UnicodeDecodeError as error:
        raise UserError(
            f"{source} is not UTF-8: byte {error.start} is 0x{data[error.start]:02X}. "
            "Convert it, for instance with iconv -t UTF-8."
        ) from None


def _messages(text: str, name: str) -> list[dict]:
    """Messages from JSON: a list, an object with `messages`, or the first line of JSONL."""
    try:
        found = json.loads(text.strip().splitlines()[0] if name.endswith(".jsonl") and text.strip() else text)
    except ValueError as error:
        raise UserError(f'{name} is not JSON: {error}. --chat expects messages, such as [{{"role": ...}}].') from None
    messages = found.get("messages") if isinstance(found, dict) else found
    if (
        not isinstance(messages, list)
        or not messages
        or not all(isinstance(m, dict) and "role" in m for m in messages)
    ):
        raise UserError(
            f'{name} holds no messages. Expected [{{"role": "user", "content": "..."}}, ...] or {{"messages": [...]}}.'
        )
    return messages


def _write(path: Path, page: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)
