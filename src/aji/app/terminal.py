"""`aji chat RUN`: talk to a model in the terminal; a base model continues what is typed instead of answering it."""

import argparse
import difflib
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from aji import chatml
from aji.errors import UserError
from aji.generate import check_sampling, context_of, stop_ids, stream
from aji.model import is_base, load_model
from aji.tokenizer import load_tokenizer


PROMPT = "> "
COMMANDS = {
    "/system": "/system TEXT       say how the assistant should behave; without TEXT, take it back",
    "/reset": "/reset             forget the conversation (the system text stays)",
    "/temperature": "/temperature X     0: always the likeliest token; 0.7: some variety; above 1: wild",
    "/help": "/help              this list",
    "/exit": "/exit              leave (so do Ctrl-D and, at the prompt, Ctrl-C)",
}
HELP = "\n".join([*COMMANDS.values(), "Ctrl-C             stop an answer"])


class Chat:
    """A conversation with a model: its messages, the prompt that they make, and the reply as a stream."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        system: str = "",
        temperature: float = 0.7,
        top_p: float = 1.0,
        max_new_tokens: int = 512,
        seed: int | None = None,
        base: bool = False,
    ):
        """`base`: continue each text by itself, without template or memory. UserError for senseless settings."""
        check_sampling(temperature, top_p, max_new_tokens)
        self.model, self.tokenizer = model, tokenizer
        self.system, self.temperature, self.top_p = system, temperature, top_p
        self.max_new_tokens, self.seed, self.base = max_new_tokens, seed, base
        self.messages: list[dict[str, str]] = []
        self.forgotten = 0
        self._replies = 0

    def reset(self) -> None:
        """Forget the conversation; the system text stays."""
        self.messages, self.forgotten = [], 0

    def set_temperature(self, text: str) -> None:
        """Raises UserError when `text` is not a number that a temperature can have."""
        try:
            temperature = float(text)
        except ValueError:
            raise UserError(f"'{text}' is not a number: /temperature 0.7, or /temperature 0 for greedy.") from None
        check_sampling(temperature, self.top_p, self.max_new_tokens)
        self.temperature = temperature

    def prompt(self) -> list[int]:
        """The ids of the conversation up to the start of the reply.

        The oldest turns are dropped (and counted in `forgotten`) until it leaves the reply a quarter of the context,
        or `max_new_tokens` where that is less. Raises UserError when the last message alone is too long.
        """
        context = context_of(self.model)
        reserve = 0 if context is None else min(self.max_new_tokens, context // 4)
        while True:
            ids = self._encode()
            if context is None or len(ids) + reserve <= context:
                return ids
            if len(self.messages) <= 1 or self.base:
                shorten = "shorten the message or the /system text." if self.system else "shorten the message."
                raise UserError(
                    f"this message makes a prompt of {len(ids)} tokens, but the model sees {context}, "
                    f"of which the reply needs {reserve}: {shorten}"
                )
            del self.messages[:2]  # a user's message and its reply
            self.forgotten += 1

    def reply(self, text: str) -> Iterator[str]:
        """Yield the reply to `text` in pieces of whole characters, and remember both.

        When it is broken off, what was said so far is remembered; when nothing was said, neither is `text`.
        """
        before = list(self.messages)
        message = {"role": "user", "content": text}
        self.messages = [message] if self.base else [*before, message]
        said = ""
        try:
            prompt = self.prompt()
            seed = None if self.seed is None else self.seed + self._replies
            self._replies += 1
            stop = stop_ids(self.model, self.tokenizer)
            if self.base and self.tokenizer.bos_token_id is not None:
                stop |= {self.tokenizer.bos_token_id}  # what begins a document also ends the one before it
            settings = {"temperature": self.temperature, "top_p": self.top_p, "seed": seed, "stop": stop}
            for piece in stream(self.model, self.tokenizer, prompt, self.max_new_tokens, **settings):
                said += piece
                yield piece
        except UserError:
            self.messages = before
            raise
        finally:
            if self.base:
                self.messages = []
            elif self.messages[-1:] == [message]:
                self.messages = [*self.messages, {"role": "assistant", "content": said}] if said else before

    def _encode(self) -> list[int]:
        if self.base:
            text = self.messages[-1]["content"]
            ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            bos = self.tokenizer.bos_token_id
            return ids if bos is None else [bos, *ids]
        system = [{"role": "system", "content": self.system}] if self.system else []
        return chatml.encode(self.tokenizer, [system + self.messages], add_generation_prompt=True)[0].input_ids


def load(run: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, bool]:
    """Model on the accelerator (if there is one), tokenizer, and whether it is a base model, of a run or a Hub id."""
    path = Path(run).expanduser()
    if not path.exists() and "/" in run and path.parent.is_dir():
        raise UserError(f"{run} is not there, though {path.parent} is: make that stage first (make demo makes all).")
    logging.disable_progress_bar()
    run = str(path) if path.exists() else run
    model, tokenizer = load_model(run), load_tokenizer(run)
    device = torch.accelerator.current_accelerator(check_available=True)
    return model.to(device or "cpu").eval(), tokenizer, is_base(run, tokenizer)


def command(chat: Chat, line: str) -> str | None:
    """Do what a line that begins with / says and return what to tell the user; None: leave."""
    name, _, rest = line.partition(" ")
    rest = rest.strip()
    if name == "/exit":
        return None
    if name == "/help":
        return HELP
    if name == "/reset":
        chat.reset()
        return "The conversation is forgotten."
    if name == "/system":
        if chat.base:
            return "This is a base model: it continues text and has no system text."
        chat.system = rest
        return f"System text: {rest}" if rest else "No system text."
    if name == "/temperature":
        try:
            chat.set_temperature(rest)
        except UserError as error:
            return str(error)
        return f"Temperature {chat.temperature:g}" + (" (greedy)." if chat.temperature == 0 else ".")
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"{name} is not a command" + (f"; did you mean {near[0]}?" if near else ".") + " /help lists them all."


def talk(chat: Chat, interactive: bool) -> None:
    """Read lines until the end of input. Answers go to stdout; notices too when interactive, otherwise to stderr."""
    notices = sys.stdout if interactive else sys.stderr
    told = False
    while True:
        try:
            line = (input(PROMPT) if interactive else _read_line()).strip()
        except (EOFError, KeyboardInterrupt) as end:
            if not interactive and isinstance(end, KeyboardInterrupt):
                raise
            print(end="\n" if interactive else "")
            return
        if not line:
            continue
        if line.startswith("/"):
            notice = command(chat, line)
            if notice is None:
                return
            print(notice, file=notices, flush=True)
            continue
        try:
            _answer(chat, line, interactive)
        except UserError as error:
            print(f"Error: {error}", file=notices, flush=True)
        if not chat.forgotten:
            told = False
        elif not told:
            told = True
            notice = f"The conversation is longer than the {context_of(chat.model)} tokens the model sees: "
            print(notice + "its oldest turns are forgotten from here on.", file=notices, flush=True)


def _read_line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def _answer(chat: Chat, line: str, interactive: bool) -> None:
    if chat.base:
        print(line, end="", flush=True)
    pieces = chat.reply(line)
    try:
        for piece in pieces:
            print(piece, end="", flush=True)
    except KeyboardInterrupt:
        pieces.close()
        if not interactive:
            raise
        print(" [stopped]", end="")
    finally:
        print(flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `aji chat`."""
    parser.add_argument("run", metavar="RUN", help="folder of a run, such as runs/laptop/sft, or a model of the Hub")
    parser.add_argument("--temperature", type=float, default=0.7, help="0 is greedy (default: %(default)s)")
    parser.add_argument(
        "--top_p", type=float, default=1.0, help="draw from the likeliest tokens of this share (default: 1)"
    )
    parser.add_argument("--system", default="", metavar="TEXT", help="how the assistant should behave")
    parser.add_argument("--max_new_tokens", type=int, default=512, help="longest answer (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="the same seed and the same lines give the same answers")


def main(args: argparse.Namespace) -> None:
    """Run `aji chat`. Raises UserError for a folder without a model, a tokenizer or (a chat model) a template."""
    check_sampling(args.temperature, args.top_p, args.max_new_tokens)
    model, tokenizer, base = load(args.run)
    settings = {name: getattr(args, name) for name in ("system", "temperature", "top_p", "max_new_tokens", "seed")}
    chat = Chat(model, tokenizer, base=base, **settings)
    interactive = sys.stdin.isatty()
    if interactive:
        with suppress(ImportError):  # not on every platform
            import readline  # noqa: F401  (gives input() its history and line editing)
    for stdio in (sys.stdin, sys.stdout):
        if hasattr(stdio, "reconfigure"):
            stdio.reconfigure(encoding="utf-8", errors="replace")
    if base:
        notice = f"{args.run} is a base model: it continues what you type instead of answering it."
        print(notice, file=sys.stdout if interactive else sys.stderr, flush=True)
    if interactive:
        print("/help lists the commands, /exit leaves.")
    talk(chat, interactive)
