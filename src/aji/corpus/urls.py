"""Addresses that no page is worth reading from: block lists of hosts, and words that tell what a site is.

The lists are datatrove's, FineWeb's own: 4.6 million adult, phishing and warez hosts from the UT1 lists. Its filter
keeps them as a set of strings, loaded in every task (2.8 s). Here they are hashes in a sorted file that all tasks map.
"""

import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import xxhash
from datatrove.data import Document
from datatrove.utils._import_utils import ASSETS_PATH
from huggingface_hub import cached_assets_path

from aji.corpus.block import Block
from aji.errors import UserError


ARCHIVE = Path(ASSETS_PATH) / "url_filterblacklistsv0_3_0.tar.gz"
SEPARATORS = re.compile(r"[^a-z0-9]+")
SOFT_WORDS = 2


class UrlFilter(Block):
    """Drops pages by their address, as datatrove's `URLFilter` does.

    Args:
        block_lists: use the published lists of hosts, addresses and words.
        blocked_hosts: a file of your own, a host or an address a line; # starts a comment. A host also blocks what is
            below it: `bad.example` blocks `www.bad.example`.
    """

    name = "url"

    def __init__(self, block_lists: bool = True, blocked_hosts: str | None = None):
        super().__init__()
        self.own: frozenset[str] = frozenset(_own_list(blocked_hosts)) if blocked_hosts else frozenset()
        self.lists = str(published_lists()) if block_lists else None
        self._hashes = None
        words = {name: _words(name) if block_lists else () for name in ("banned_words", "soft_banned_words")}
        self.banned, self.soft = (frozenset(listed) for listed in words.values())
        parts = _words("banned_subwords") if block_lists else ()
        self.parts = re.compile("|".join(map(re.escape, parts))) if parts else None

    def judge(self, doc: Document) -> str | None:
        url = doc.metadata.get("url") or ""
        if "://" not in url:
            return None  # a row of a file, say
        address = url.lower()
        hosts = list(parents(address))
        if self.own and not self.own.isdisjoint([*hosts, address]):
            return "own_list"
        if self.lists and self._listed([*hosts, url]):
            return "host"
        words = SEPARATORS.split(address)
        if not self.banned.isdisjoint(words):
            return "hard_word"
        if sum(word in self.soft for word in set(words)) >= SOFT_WORDS:
            return "soft_words"
        if self.parts and self.parts.search("".join(words)):
            return "word_part"
        return None

    def _listed(self, names: list[str]) -> bool:
        if self._hashes is None:
            self._hashes = np.load(self.lists, mmap_mode="r")
        hashes = np.array([xxhash.xxh64_intdigest(name.encode("utf-8", "replace")) for name in names], dtype=np.uint64)
        places = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        return bool((self._hashes[places] == hashes).any())

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_hashes": None}


def parents(url: str) -> Iterator[str]:
    """The host of a URL and the domains that it is in, but for the last label: a.b.co.uk, b.co.uk, co.uk."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # brackets that are no IPv6 address
        host = ""
    while "." in host:
        yield host
        host = host.partition(".")[2]


def published_lists() -> Path:
    """The file of sorted 64-bit hashes, made from datatrove's archive on first use (8 s)."""
    folder = Path(cached_assets_path("aji", "corpus", "url_lists"))
    path = folder / f"{ARCHIVE.name.partition('.')[0]}.npy"
    if not path.is_file():
        hashes = np.fromiter((xxhash.xxh64_intdigest(name) for name in _published()), dtype=np.uint64)
        partial = folder / f".{os.getpid()}.npy"
        np.save(partial, np.unique(hashes))
        os.replace(partial, path)
    return path


def _published() -> Iterator[bytes]:
    with tarfile.open(ARCHIVE, "r:gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            for line in file or ():
                name = line.strip()
                if name and not name.startswith(b"#"):
                    yield name


def _words(name: str) -> list[str]:
    lines = (Path(ASSETS_PATH) / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [word for line in lines if not line.startswith("#") and (word := SEPARATORS.sub("", line.lower()))]


def _own_list(path: str) -> Iterable[str]:
    try:
        lines = Path(path).expanduser().read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"blocked_hosts: cannot read {path} ({error.strerror}). Check the path") from None
    names = (line.partition("#")[0].strip().lower() for line in lines)
    return {name.rstrip("/") if "://" not in name else name for name in names if name}
