"""`aji chat RUN`: talk to a model in the terminal; a base model continues what is typed instead of answering it."""

import argparse
import difflib
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from aji import chatml
from aji.chatml.gate import PICTURES, has_met
from aji.errors import UserError
from aji.generate import check_sampling, context_of, stop_ids, stream
from aji.manifest import find_in_lineage
from aji.model import is_base, load_model
from aji.tokenizer import load_tokenizer
from aji.tool_loop import Answer, calls_tools, check_tools, stream_with_tools
from aji.tools import Calculator, Search, Tool, schemas


PROMPT = "> "
DIM, PLAIN = "\033[2m", "\033[0m"
SEARCH_DOCUMENTS = "search_documents.jsonl"  # as recipes/world.py writes it
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
        tools: Sequence[Tool] = (),
    ):
        """`base`: continue each text by itself, without template or memory. UserError for senseless settings."""
        check_sampling(temperature, top_p, max_new_tokens)
        if tools:
            check_tools(tokenizer, tools)
        self.model, self.tokenizer, self.tools = model, tokenizer, tuple(tools)
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
            # a turn: a user's message and all up to the next one
            turns = [index for index, message in enumerate(self.messages) if message["role"] == "user"]
            if len(turns) <= 1 or self.base:
                shorten = "shorten the message or the /system text." if self.system else "shorten the message."
                raise UserError(
                    f"this message makes a prompt of {len(ids)} tokens, but the model sees {context}, "
                    f"of which the reply needs {reserve}: {shorten}"
                )
            del self.messages[: turns[1]]
            self.forgotten += 1

    def reply(self, text: str) -> Iterator[str]:
        """Yield the reply to `text` in pieces of whole characters, and remember both, as `events` does."""
        with closing(self.events(text)) as events:
            yield from (piece for kind, piece in events if kind == "text")

    def events(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield the reply as ("text", piece), ("call", name and arguments) and ("result", text), and remember it all.

        When it is broken off, what was said so far is remembered; when nothing was said, neither is `text`.
        """
        before = list(self.messages)
        message = {"role": "user", "content": text}
        self.messages = [message] if self.base else [*before, message]
        answer = Answer()
        try:
            yield from self._generate(answer)
        except UserError:
            self.messages = before
            raise
        finally:
            if self.base:
                self.messages = []
            elif self.messages[-1:] == [message]:
                said = answer.messages[-1:] and answer.messages[-1].get("content")
                ended = said and answer.messages[-1]["role"] == "assistant"
                self.messages = [*self.messages, *answer.messages] if ended else before

    def _generate(self, answer: Answer) -> Iterator[tuple[str, str]]:
        """The events of the reply to the messages; `answer.messages` grow with them."""
        prompt = self.prompt()
        seed = None if self.seed is None else self.seed + self._replies
        self._replies += 1
        stop = stop_ids(self.model, self.tokenizer)
        if self.base and self.tokenizer.bos_token_id is not None:
            stop |= {self.tokenizer.bos_token_id}  # what begins a document also ends the one before it
        settings = {"temperature": self.temperature, "top_p": self.top_p, "seed": seed, "stop": stop}
        given = (self.model, self.tokenizer, prompt)
        if self.tools:
            yield from stream_with_tools(*given, self.tools, self.max_new_tokens, answer=answer, **settings)
            return
        for piece in stream(*given, self.max_new_tokens, **settings):
            if not answer.messages:
                answer.messages.append({"role": "assistant", "content": ""})
            answer.messages[0]["content"] += piece
            yield "text", piece

    def _encode(self) -> list[int]:
        if self.base:
            text = self.messages[-1]["content"]
            ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            bos = self.tokenizer.bos_token_id
            return ids if bos is None else [bos, *ids]
        system = [{"role": "system", "content": self.system}] if self.system else []
        tools = [schemas(self.tools)] if self.tools else None
        return chatml.encode(self.tokenizer, [system + self.messages], True, tools)[0].input_ids


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


def find_tools(
    run: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, search_documents: str | None = None
) -> list[Tool]:
    """Search and calculator for a model that has learned to call tools, none for any other.

    The pages are `search_documents` (the model is then taken to call tools), or those that the world of the run's
    lineage wrote; without any there is only the calculator.
    """
    if search_documents:
        return [Search.from_file(search_documents), Calculator()]
    if not calls_tools(tokenizer) or not has_met(tokenizer, model, "<|tool_call|>", "<|/tool_call|>"):
        return []
    found = find_in_lineage(Path(run), SEARCH_DOCUMENTS) if Path(run).exists() else None
    return [Search.from_file(found), Calculator()] if found else [Calculator()]


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
    events = chat.events(line)
    try:
        for kind, piece in events:
            if kind == "text":
                print(piece, end="", flush=True)
            else:
                _note(kind, piece, interactive)
    except KeyboardInterrupt:
        events.close()
        if not interactive:
            raise
        print(" [stopped]", end="")
    finally:
        print(flush=True)


def _note(kind: str, text: str, interactive: bool) -> None:
    """A call or a result: dimmed in a terminal, to stderr otherwise. What a page holds must not steer the terminal."""
    text = f"[{text}]" if kind == "call" else text
    text = "\n".join(f"  {line}" for line in text.translate(PICTURES).splitlines())
    if interactive:
        print(f"{DIM}{text}{PLAIN}", flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `aji chat`."""
    parser.add_argument("run", metavar="RUN", help="folder of a run, such as runs/laptop/sft, or a model of the Hub")
    parser.add_argument("--temperature", type=float, default=0.7, help="0 is greedy (default: %(default)s)")
    parser.add_argument(
        "--top_p", type=float, default=1.0, help="draw from the likeliest tokens of this share (default: 1)"
    )
    parser.add_argument("--system", default="", metavar="TEXT", help="how the assistant should behave")
    parser.add_argument("--max_new_tokens", type=int, default=512, help="longest answer (default: %(default)s)")
    parser.add_argument(
        "--search_documents", metavar="PATH", help="pages for the search tool (default: those of the run's world)"
    )
    parser.add_argument("--no-tools", action="store_true", help="answer without search and calculator")
    parser.add_argument("--seed", type=int, help="the same seed and the same lines give the same answers")


def main(args: argparse.Namespace) -> None:
    """Run `aji chat`. Raises UserError for a folder without a model, a tokenizer or (a chat model) a template."""
    check_sampling(args.temperature, args.top_p, args.max_new_tokens)
    model, tokenizer, base = load(args.run)
    settings = {name: getattr(args, name) for name in ("system", "temperature", "top_p", "max_new_tokens", "seed")}
    tools = [] if base or args.no_tools else find_tools(args.run, model, tokenizer, args.search_documents)
    chat = Chat(model, tokenizer, base=base, tools=tools, **settings)
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
    if tools and interactive:
        print(f"Tools: {', '.join(tool.name for tool in tools)}; --no-tools leaves them off.")
    if interactive:
        print("/help lists the commands, /exit leaves.")
    talk(chat, interactive)
