"""Documents and conversations as rows of one fixed length: no compute spent on padding, one shape to compile for."""

from collections.abc import Callable

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl import pack_dataset

from aji import chatml
from aji.errors import UserError


IGNORED = -100
# Conversations that are packed together. Among 1,000, upstream's number, short ones are missing: a twentieth of the
# laptop's rows stays empty; among all of them, a hundredth.
TOGETHER = 100_000


def pack_documents(documents: Dataset, tokenizer: PreTrainedTokenizerBase, length: int) -> Dataset:
    """Join documents, each ended by the document end token, and cut them into full windows of `length` tokens.

    Rows with `messages` instead of a `text` are conversations: they are documents too, in ChatML, but none is cut that
    fits, since the end of a conversation makes no sense without its beginning; document ends fill the windows up.
    What is left over at the end of a batch of 1,000 documents is dropped.

    Returns:
        Rows `input_ids`, int32, all of the same length.
    """
    end = document_end(tokenizer)

    def whole_conversations(batch: dict) -> list[np.ndarray]:
        encoded = chatml.encode(tokenizer, batch["messages"], tools=batch.get("tools"))
        rows = [[*row.input_ids, end] for row in encoded]
        pieces = [row[start : start + length] for row in rows for start in range(0, len(row), length)]
        packed = _pack(Dataset.from_dict({"input_ids": pieces}), length)
        return [np.array([*ids, *[end] * (length - len(ids))], dtype=np.int32) for ids in packed["input_ids"]]

    def to_windows(batch: dict) -> dict:
        if "messages" in batch:
            return {"input_ids": whole_conversations(batch)}
        encoded = tokenizer(batch["text"], add_special_tokens=False, return_attention_mask=False)["input_ids"]
        ids = np.concatenate([np.array([*row, end], dtype=np.int32) for row in encoded])
        return {"input_ids": list(ids[: len(ids) // length * length].reshape(-1, length))}

    windows = documents.map(
        to_windows,
        batched=True,
        batch_size=TOGETHER if "messages" in documents.column_names else 1000,
        remove_columns=documents.column_names,
        desc="Packing documents",
    )
    if len(windows) == 0:
        raise UserError(
            f"the {len(documents)} documents make less than one window of {length} tokens: "
            "give more text, or a smaller --max_position_embeddings."
        )
    return windows.with_format("numpy")


def document_end(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that ends a document: bos where there is one (`<|endoftext|>` here), eos of tokenizers without."""
    return tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id


def collate_windows(rows: list[dict]) -> dict[str, torch.Tensor]:
    """A batch of full windows, (rows, length); every token is a label."""
    input_ids = torch.from_numpy(np.stack([row["input_ids"] for row in rows])).long()
    return {"input_ids": input_ids, "labels": input_ids.clone()}


def pack_conversations(rows: list[dict], length: int) -> Dataset:
    """Lay conversations of `input_ids` and `labels` side by side in rows of at most `length` tokens, none cut.

    Best-fit decreasing, by trl; the column `seq_lengths` says where one conversation ends and the next begins.
    """
    return _pack(Dataset.from_list(rows), length).with_format("numpy")


def _pack(rows: Dataset, length: int) -> Dataset:
    return pack_dataset(rows, seq_length=length, strategy="bfd", map_kwargs={"batch_size": TOGETHER})


def packed_collator(length: int, pad_token_id: int) -> Callable[[list[dict]], dict[str, torch.Tensor]]:
    """Batches of packed rows, (rows, length), whose positions start anew with each conversation.

    Without an attention mask and a cache, transformers builds the block-diagonal mask from such positions, so that
    no conversation sees its neighbour. The rows stay rows: joined to one long row, as trl does, attention would cost
    the square of the whole batch.
    """

    def collate(rows: list[dict]) -> dict[str, torch.Tensor]:
        input_ids = torch.full((len(rows), length), pad_token_id)
        labels = torch.full((len(rows), length), IGNORED)
        position_ids = torch.empty((len(rows), length), dtype=torch.long)
        for i, row in enumerate(rows):
            size = len(row["input_ids"])
            input_ids[i, :size] = torch.from_numpy(row["input_ids"].astype(np.int64))
            labels[i, :size] = torch.from_numpy(row["labels"].astype(np.int64))
            spans = [*row["seq_lengths"], length - size]
            position_ids[i] = torch.cat([torch.arange(int(span)) for span in spans])
        return {"input_ids": input_ids, "labels": labels, "position_ids": position_ids}

    return collate
