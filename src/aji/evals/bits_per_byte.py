"""Held-out bits per byte: how many bits the model needs for one byte of text, whatever its tokenizer."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aji.data.packing import document_end
from aji.evals.intervals import mean


TOKENS_PER_BATCH = 8192


def bits_per_byte_by_language(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, documents: Dataset
) -> dict[str, float]:
    """`bits_per_byte` of all documents and, where they have a `language`, `bits_per_byte_LANGUAGE` of each."""
    context = model.config.max_position_embeddings
    languages = documents["language"] if "language" in documents.column_names else [None] * len(documents)
    parts = {}
    for language in sorted(set(languages), key=str):
        texts = [text for text, other in zip(documents["text"], languages, strict=True) if other == language]
        parts[language] = _read(model, tokenizer, texts, context)
    metrics = _summary(list(parts.values()), "bits_per_byte")
    for language, part in parts.items() if len(parts) > 1 else ():
        if language is not None:
            metrics |= _summary([part], f"bits_per_byte_{language}")
    return metrics


def bits_per_byte(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, documents: Dataset, context: int
) -> dict[str, float]:
    """Negative log-likelihood of all documents in bits, over their length in UTF-8 bytes.

    Documents are joined by the document end token and read in windows that overlap by one token, so each token but
    the first is predicted exactly once, the document ends included. The interval comes from the spread over windows.

    Args:
        documents: rows with a `text`.
        context: tokens per window.
    """
    return _summary([_read(model, tokenizer, documents["text"], context)], "bits_per_byte")


@dataclass(frozen=True)
class _Reading:
    """The bits of every window of a text, and how many bytes a full window stands for."""

    bits: list[float]
    size: int
    window_bytes: float


@torch.inference_mode()
def _read(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], context: int) -> _Reading:
    end = document_end(tokenizer)
    ids, size = [], 0
    for text in texts:
        ids += [*tokenizer.encode(text, add_special_tokens=False), end]
        size += len(text.encode())
    starts = range(0, len(ids) - 1, context - 1)
    windows = [torch.tensor(ids[start : start + context]) for start in starts]
    bytes_per_token = size / (len(ids) - 1)
    model.eval()
    bits = []
    rows = max(1, TOKENS_PER_BATCH // context)
    for first in range(0, len(windows), rows):
        batch = torch.nn.utils.rnn.pad_sequence(windows[first : first + rows], batch_first=True, padding_value=-100)
        batch = batch.to(model.device)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type != "cpu"):
            logits = model(input_ids=batch.clamp(min=0), use_cache=False).logits[:, :-1]
        losses = cross_entropy(logits.float().transpose(1, 2), batch[:, 1:], ignore_index=-100, reduction="none")
        bits += (losses.sum(1) / math.log(2)).tolist()
    return _Reading(bits, size, (context - 1) * bytes_per_token)


def _summary(readings: list[_Reading], name: str) -> dict[str, float]:
    total, size = sum(sum(reading.bits) for reading in readings), sum(reading.size for reading in readings)
    full = [bits / reading.window_bytes for reading in readings for bits in reading.bits[:-1]] or [total / size]
    metrics = mean(name, full)
    # The figure itself is exact over all windows, the last and shorter ones included.
    shift = total / size - sum(full) / len(full)
    for key in (name, f"{name}_low", f"{name}_high"):
        metrics[key] = round(metrics[key] + shift, 4)
    return metrics
