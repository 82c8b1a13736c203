"""A chat model to ask for help, wherever it runs: a folder, a model of the Hub, or an OpenAI-compatible server.

What a model has answered is written down at once in a journal, so that a run that breaks off, or a server that goes
down, loses nothing: started again, it asks only what has no answer yet.
"""

import hashlib
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Protocol

import httpx2 as httpx
import torch
from tqdm import tqdm

from aji import chatml
from aji.errors import UserError
from aji.generate import generate
from aji.machine import sampling_dtype
from aji.model import is_base, load_model
from aji.tokenizer import load_tokenizer


Messages = list[dict[str, str]]
# What a server says when it is only busy: too many requests, or one of its own failures.
TRY_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
LONGEST_WAIT = 60.0
BATCH = 256


class ChatModel(Protocol):
    """Replies to conversations."""

    def reply(self, conversations: Sequence[Messages], max_new_tokens: int) -> list[str]: ...


class Journal:
    """Answers by their request, one JSON row a line; a last line that was cut off counts as not there."""

    def __init__(self, path: Path):
        self.path, self.answers, self._lock = path, {}, Lock()
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    key, answer = json.loads(line)
                except ValueError:
                    continue
                self.answers[key] = answer

    @staticmethod
    def key(request: object) -> str:
        return hashlib.sha256(json.dumps(request, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]

    def add(self, key: str, answer: object) -> None:
        with self._lock:
            self.answers[key] = answer
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps([key, answer], ensure_ascii=False) + "\n")


def load_chat_model(name: str, journal: Path, retries: int = 6, timeout: float = 60.0) -> ChatModel:
    """The model that `name` means: a URL (`https://host/v1`, or with `#model`), a folder, or an id of the Hub."""
    if name.startswith(("http://", "https://")):
        return Endpoint(name, Journal(journal), retries, timeout)
    return LocalModel(name, Journal(journal))


class LocalModel:
    """A chat model that runs in this process, greedy, in batches."""

    def __init__(self, name: str, journal: Journal):
        self.tokenizer = load_tokenizer(name)
        if is_base(name, self.tokenizer):
            raise UserError(f"{name} is a base model and cannot be asked: give a chat model as --question_model.")
        device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
        self.model = load_model(name, dtype=sampling_dtype(device) or torch.float32).to(device).eval()
        self.name, self.journal = name, journal

    def reply(self, conversations: Sequence[Messages], max_new_tokens: int) -> list[str]:
        keys = [Journal.key([self.name, max_new_tokens, messages]) for messages in conversations]
        todo = dict(zip(keys, conversations, strict=True))
        todo = [(key, messages) for key, messages in todo.items() if key not in self.journal.answers]
        for start in tqdm(range(0, len(todo), BATCH), desc=f"asking {self.name}", disable=len(todo) <= BATCH):
            batch = todo[start : start + BATCH]
            encoded = chatml.encode(self.tokenizer, [messages for _, messages in batch], add_generation_prompt=True)
            done = generate(self.model, self.tokenizer, [row.input_ids for row in encoded], max_new_tokens)
            for (key, _), completion in zip(batch, done, strict=True):
                self.journal.add(key, completion.text)
        return [self.journal.answers[key] for key in keys]


class Endpoint:
    """A server that speaks OpenAI's `/chat/completions`. Its key is read from the environment: OPENAI_API_KEY."""

    def __init__(
        self,
        url: str,
        journal: Journal,
        retries: int = 6,
        timeout: float = 60.0,
        workers: int = 8,
        sleep: Callable[[float], None] = time.sleep,
    ):
        base, _, self.model = url.partition("#")
        key = os.environ.get("OPENAI_API_KEY")
        self.url, self.journal, self.retries, self.sleep, self.workers = base, journal, retries, sleep, workers
        self.client = httpx.Client(
            base_url=base.rstrip("/") + "/",
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        self._told = 0
        self.model = self.model or self._only_model()

    def reply(self, conversations: Sequence[Messages], max_new_tokens: int) -> list[str]:
        """Raises UserError when the server stays away; what it has answered by then is kept in the journal."""
        requests = [
            {"model": self.model, "messages": messages, "max_tokens": max_new_tokens, "temperature": 0}
            for messages in conversations
        ]
        keys = [Journal.key([self.url, request]) for request in requests]
        todo = dict(zip(keys, requests, strict=True))
        todo = {key: request for key, request in todo.items() if key not in self.journal.answers}
        # Threads, since they only wait. Each writes down its answer itself: a failure stops those that have not begun,
        # and loses nothing of those under way.
        with ThreadPoolExecutor(self.workers) as pool:
            asked = pool.map(lambda item: self.journal.add(item[0], self._complete(item[1])), todo.items())
            try:
                for _ in tqdm(asked, total=len(todo), desc=f"asking {self.url}", disable=len(todo) < 50):
                    pass
            except UserError as error:
                pool.shutdown(cancel_futures=True)
                raise UserError(
                    f"{error} {len(self.journal.answers):,} answers are kept: go on with the same command and "
                    "--if_exists rebuild."
                ) from None
        return [self.journal.answers[key] for key in keys]

    def _complete(self, request: dict) -> str:
        answer = self._send("POST", "chat/completions", request)
        try:
            return answer["choices"][0]["message"]["content"] or ""
        except (KeyError, IndexError, TypeError):
            raise UserError(
                f"{self.url}: found an answer without choices[0].message.content, expected OpenAI's form "
                f"({str(answer)[:80]})."
            ) from None

    def _only_model(self) -> str:
        listed = self._send("GET", "models", None).get("data") or []
        names = [entry.get("id") for entry in listed]
        if len(names) != 1:
            found = f"{len(names)} models ({', '.join(map(str, names[:3]))} ...)" if names else "no model"
            raise UserError(f"{self.url} has {found}, expected one: name it after the address, {self.url}#MODEL.")
        return names[0]

    def _send(self, method: str, path: str, body: dict | None) -> dict:
        """The JSON answer of the server; tried again, ever more slowly, while it does not answer or is busy."""
        reason = ""
        for attempt, wait in enumerate(_waits(self.retries)):
            asked_to_wait = 0.0
            try:
                response = self.client.request(method, path, json=body)
                if response.status_code not in TRY_AGAIN:
                    self._told = 0
                    return self._json(response)
                reason = f"HTTP {response.status_code}"
                asked_to_wait = _seconds(response.headers.get("Retry-After"))
            except httpx.TimeoutException:
                reason = f"no answer within {self.client.timeout.read:g} s"
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
            if attempt < self.retries:
                wait = max(wait, min(asked_to_wait, LONGEST_WAIT))
                self._tell(attempt, f"{self.url}: {reason}; asked again in {wait:.0f} s")
                self.sleep(wait)
        raise UserError(f"{self.url} did not answer in {self.retries + 1} attempts ({reason}). Is it running?")

    def _tell(self, attempt: int, what: str) -> None:
        """Say why it takes so long, once for all threads; not of a first failure, which a moment mends."""
        if attempt > self._told:
            self._told = attempt
            tqdm.write(f"{what} (attempt {attempt + 2} of {self.retries + 1}).", file=sys.stderr)

    def _json(self, response: httpx.Response) -> dict:
        if response.is_error:
            hint = " Set OPENAI_API_KEY." if response.status_code in (401, 403) else ""
            text = " ".join(response.text.split())[:120]
            raise UserError(f"{self.url} refuses the request: HTTP {response.status_code} {text}.{hint}")
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise UserError(f"{self.url}: found no JSON object, expected OpenAI's form ({response.text[:60]!r}).")
        return answer


def _waits(retries: int) -> Iterator[float]:
    """Seconds before each further attempt: 1, 2, 4, ... with some chance, so that many clients do not come at once."""
    for attempt in range(retries + 1):
        yield min(LONGEST_WAIT, 2.0**attempt) * random.uniform(0.5, 1.0)


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, float(header or 0))
    except ValueError:  # a date
        return 0.0
