"""Byte-level BPE: trained on a bounded sample, split by Qwen2's pattern, checked by round trips."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from aji import chatml
from aji.errors import UserError


if TYPE_CHECKING:
    from datasets import Dataset

# In id order. `<|endoftext|>` ends a document and is bos; `<|im_end|>` ends a turn and is the eos of a chat model.
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|pad|>",
    "<|im_start|>",
    "<|im_sep|>",
    "<|im_end|>",
    "<|think|>",
    "<|/think|>",
    "<|tool_call|>",
    "<|/tool_call|>",
    "<|tool_response|>",
    "<|/tool_response|>",
)

# Exactly Qwen2's, to the character: llama.cpp and Ollama know a pre-tokenizer only by name or by the hash of its
# patterns, and with any other the exported model would see other tokens than it was trained on, without an error.
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# Particles and copulas at the end of a Korean word, where two syllables or more stand before them. Only while merges
# are counted are they apart, so that a noun and what follows it do not become one token: else a name is other tokens
# with each particle, and a model that has met it with one does not know it with another. Encoding has no such pattern.
PARTICLES = (
    "은 는 이 가 을 를 의 에 에서 에게 에게서 한테 께서 와 과 도 로 으로 부터 까지 보다 처럼 입니다 예요 이에요 이다"
)
PARTICLE = rf"(?<=[가-힣]{{2}})(?:{'|'.join(sorted(PARTICLES.split(), key=len, reverse=True))})(?![가-힣])"

# One per kind of text that tokenizers are known to lose.
ROUND_TRIPS = {
    "English": "It's 9 o'clock; they'll say: \"We've 1,024 reasons\"...  two spaces, and a tab\t.",
    "Korean": "훈민정음은 1443년에 만들어졌다. 뷁똠방각하 ㅋㅋㅋ ㅠㅠ",
    "decomposed Korean": "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "emoji with joiners": "👩\u200d👩\u200d👧\u200d👦 👍🏽 🏳️\u200d🌈 🇰🇷",
    "code": "def f(x):\n\tif x != 0:\n        return {'a': [1, 2]}  # done\r\n\n\n",
    "NUL": "a\x00b\x00",
    "lone combining marks": "\u0301\u0308 \u20dd e\u0301\u0323",
    "whitespace": " \n \r\n\t\u00a0\u3000\u200b end ",
}


def train_tokenizer(
    texts: Iterable[str],
    vocab_size: int,
    min_frequency: int = 2,
    model_max_length: int | None = None,
    chat_template: str = "chatml",
    show_progress: bool = False,
) -> PreTrainedTokenizerFast:
    """Train byte-level BPE with `vocab_size` rounded up to a multiple of 64 (the specials included).

    The role names of ChatML are learned along with the texts. A text too small for that many merges gives fewer, again
    a multiple of 64 where that leaves the 256 bytes whole. Raises UserError when `vocab_size` is too small for the
    specials and the bytes.
    """
    smallest = len(SPECIAL_TOKENS) + 256
    if vocab_size < smallest:
        raise UserError(
            f"vocab_size is {vocab_size}, but {len(SPECIAL_TOKENS)} special tokens and 256 bytes need {smallest}. "
            "Set it to 512 or more."
        )
    texts = list(texts)
    # Each turn of a conversation begins with one of these words, but documents rarely hold them. At one round per
    # 25 kB they become tokens of a few merges: "assistant" would otherwise cost a small model three in every answer.
    texts += ["system", "user", "assistant", "tool"] * (sum(map(len, texts)) // 25_000)
    backend = _train_backend(texts, -(-vocab_size // 64) * 64, min_frequency, show_progress)
    below = backend.get_vocab_size() // 64 * 64
    if smallest <= below < backend.get_vocab_size():
        backend = _train_backend(texts, below, min_frequency, show_progress)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        model_max_length=model_max_length,
        clean_up_tokenization_spaces=False,
        chat_template=chatml.load_template(chat_template),
        response_template=chatml.RESPONSE_TEMPLATE,
    )


def _train_backend(texts: list[str], vocab_size: int, min_frequency: int, show_progress: bool) -> Tokenizer:
    words, particles = (pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in (QWEN2, PARTICLE))
    in_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence([words, particles, in_bytes])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=show_progress,
    )
    backend.train_from_iterator(texts, trainer)
    backend.pre_tokenizer = pre_tokenizers.Sequence([words, in_bytes])
    return backend


def load_tokenizer(path: str | Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a folder or Hub id; UserError when there is none."""
    folder = Path(path)
    names = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt")
    if folder.is_dir() and not any((folder / name).exists() for name in names):
        raise UserError(
            f"{path} holds no tokenizer (no tokenizer.json). Give a folder of a tokenizer or of a model with one."
        )
    if not folder.exists() and not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", str(path)):
        raise UserError(
            f"{path}: no such folder, so no tokenizer. Make one with recipes/tokenizer.py, or correct the path."
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path))
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"no tokenizer loads from '{path}': {reason} Give an existing folder with tokenizer.json, or a Hub id."
        ) from error
    # transformers would write these two of its own loading flags into the tokenizer_config.json of the next save
    for leaked in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(leaked, None)
    return tokenizer


def sample_texts(document_sets: Sequence[Dataset], sample_bytes: int, block_bytes: int = 1 << 16) -> Iterator[str]:
    """Yield about `sample_bytes` of UTF-8 from the `text` columns: the same share of each set, evenly over its length.

    Documents longer than `block_bytes` are taken in blocks: one long file is sampled from its beginning to its end.
    A set smaller than its share is taken whole and leaves the rest to the others. Deterministic.
    """
    lengths = [_byte_lengths(documents) for documents in document_sets]
    totals = [sum(own) for own in lengths]
    left = sample_bytes
    # smallest first, so that what a small set leaves goes to the larger ones
    order = sorted(range(len(totals)), key=totals.__getitem__)
    for position, index in enumerate(order):
        share = left // (len(order) - position)
        left -= min(share, totals[index])
        yield from _spread(document_sets[index], lengths[index], min(1.0, share / max(totals[index], 1)), block_bytes)


def _byte_lengths(documents: Dataset) -> list[int]:
    texts = documents.select_columns("text").with_format("arrow")
    return [n or 0 for batch in texts.iter(10_000) for n in pc.binary_length(batch["text"]).to_pylist()]


def _spread(documents: Dataset, lengths: list[int], fraction: float, block_bytes: int) -> Iterator[str]:
    """Walk over the documents saving up `fraction` of each length; take a block whenever it is paid for."""
    credit = 0.0
    for index, length in enumerate(lengths):
        text = None
        for start in range(0, length, block_bytes):
            size = min(block_bytes, length - start)
            credit += fraction * size
            if credit + 1e-6 * size < size:
                continue
            credit -= size
            text = documents[index]["text"].encode() if text is None else text
            yield text[start : start + size].decode(errors="ignore")


def conversation_texts(conversations: Dataset, chat_template: str) -> Dataset:
    """What `chat_template` makes of conversations, without special tokens: the column `text`, a row for each piece.

    So the tokenizer also learns what documents do not hold: the words of users, of tools and of calls.
    """
    from datasets import Dataset

    special = re.compile("|".join(map(re.escape, SPECIAL_TOKENS)))
    tools = conversations["tools"] if "tools" in conversations.column_names else None
    texts = chatml.render(chatml.load_template(chat_template), conversations["messages"], tools)
    return Dataset.from_dict({"text": [piece for text in texts for piece in special.split(text) if piece.strip()]})


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, special_tokens: Sequence[str] = SPECIAL_TOKENS) -> None:
    """Prove that nothing is lost and every special is one id that text cannot forge; UserError otherwise."""
    failed = []
    for kind, text in ROUND_TRIPS.items():
        back = tokenizer.decode(tokenizer.encode(text, add_special_tokens=False), clean_up_tokenization_spaces=False)
        if back != text:
            failed.append(f"{kind}: {text!r} comes back as {back!r}")
    for token in special_tokens:
        ids = tokenizer.encode(token, add_special_tokens=False)
        if len(ids) != 1 or tokenizer.convert_ids_to_tokens(ids[0]) != token:
            failed.append(f"{token} is {len(ids)} ids, not one of its own")
    if len({tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}) != 3:
        failed.append(
            f"bos {tokenizer.bos_token}, eos {tokenizer.eos_token} and pad {tokenizer.pad_token} are not three"
        )
    if tokenizer.chat_template and not failed:
        text = " ".join(special_tokens)
        turn = chatml.encode(tokenizer, [[{"role": "user", "content": text}]])[0].input_ids
        empty = chatml.encode(tokenizer, [[{"role": "user", "content": ""}]])[0].input_ids
        control = set(tokenizer.convert_tokens_to_ids(list(special_tokens)))
        if sum(token in control for token in turn) != sum(token in control for token in empty):
            failed.append(f"the message {text!r} forges control tokens")
        if text not in tokenizer.decode(turn):
            failed.append(f"the message {text!r} comes back as {tokenizer.decode(turn)!r}")
    if failed:
        raise UserError(f"the tokenizer fails its check: {'; '.join(failed)}. Do not train a model with it.")


def bytes_per_token(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> float:
    """UTF-8 bytes of `texts` per token they are encoded to (higher is shorter input); nan without text."""
    tokens = sum(map(len, tokenizer(list(texts), add_special_tokens=False)["input_ids"])) if texts else 0
    return sum(len(text.encode()) for text in texts) / tokens if tokens else float("nan")


def texts_by_group(documents: Dataset, name: str, group_bytes: int = 200_000) -> dict[str, list[str]]:
    """Texts for measuring, per group: each `language`, each `language_genre`; where the columns are absent, `name`.

    Each group holds at least one document and about `group_bytes`, spread evenly over the documents.
    """
    columns = [column for column in ("language", "genre") if column in documents.column_names]
    rows: dict[str, list[int]] = {}
    for index, row in enumerate(documents.select_columns(columns) if columns else ({},) * len(documents)):
        values = [str(value) for value in row.values() if value is not None]
        for group in ["_".join(values[:depth]) for depth in range(1, len(values) + 1)] or [name]:
            rows.setdefault(group, []).append(index)
    return {
        group: list(sample_texts([documents.select(indices)], group_bytes)) for group, indices in sorted(rows.items())
    }
