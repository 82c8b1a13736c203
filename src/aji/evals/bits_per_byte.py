"""Held-out bits per byte: how many bits the model needs for one byte of text, whatever its tokenizer."""

import math

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
    metrics = bits_per_byte(model, tokenizer, documents, context)
    languages = sorted(set(documents["language"]) - {None}) if "language" in documents.column_names else []
    for language in languages if len(languages) > 1 else []:
        part = documents.filter(lambda row, language=language: row["language"] == language)
        metrics |= bits_per_byte(model, tokenizer, part, context, f"bits_per_byte_{language}")
    return metrics


@torch.inference_mode()
def bits_per_byte(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    documents: Dataset,
    context: int,
    name: str = "bits_per_byte",
) -> dict[str, float]:
    """Negative log-likelihood of all documents in bits, over their length in UTF-8 bytes.

    Documents are joined by the document end token and read in windows that overlap by one token, so each token but
    the first is predicted exactly once, the document ends included. The interval comes from the spread over windows.

    Args:
        documents: rows with a `text`.
        context: tokens per window.
        name: name of the metric.
    """
    end = document_end(tokenizer)
    ids, size = [], 0
    for text in documents["text"]:
        ids += [*tokenizer.encode(text, add_special_tokens=False), end]
        size += len(text.encode())
    starts = range(0, len(ids) - 1, context - 1)
    windows = [torch.tensor(ids[start : start + context]) for start in starts]
    bytes_per_token = size / (len(ids) - 1)
    model.eval()
    # bits of each window, and what they would be spread evenly over its bytes
    bits = []
    rows = max(1, TOKENS_PER_BATCH // context)
    for first in range(0, len(windows), rows):
        batch = torch.nn.utils.rnn.pad_sequence(windows[first : first + rows], batch_first=True, padding_value=-100)
        batch = batch.to(model.device)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type != "cpu"):
            logits = model(input_ids=batch.clamp(min=0), use_cache=False).logits[:, :-1]
        losses = cross_entropy(logits.float().transpose(1, 2), batch[:, 1:], ignore_index=-100, reduction="none")
        bits += (losses.sum(1) / math.log(2)).tolist()
    full = [total / ((context - 1) * bytes_per_token) for total in bits[:-1]] or [bits[0] / size]
    metrics = mean(name, full)
    # The figure itself is exact over all windows, the last and shorter one included.
    shift = sum(bits) / size - sum(full) / len(full)
    for key in (name, f"{name}_low", f"{name}_high"):
        metrics[key] = round(metrics[key] + shift, 4)
    return metrics
