"""Conversations as tokens and labels, ready to pack."""

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from aji import chatml
from aji.chatml.gate import fit_to
from aji.errors import UserError


def encode_conversations(
    conversations: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int, batch_size: int = 1000
) -> list[dict]:
    """Rows `input_ids` and `labels` (-100 where no loss falls), each at most `max_length` tokens.

    A longer conversation is cut after its last whole answer; one whose first answer does not fit is left out. Both
    are counted and said.
    """
    rows, cut, dropped = [], 0, 0
    for batch in conversations.iter(batch_size):
        for encoded in chatml.encode(tokenizer, batch["messages"], tools=batch.get("tools")):
            fitting = fit_to(encoded, max_length, tokenizer.eos_token_id)
            if fitting is None:
                dropped += 1
                continue
            cut += fitting is not encoded
            rows.append({"input_ids": fitting.input_ids, "labels": fitting.labels})
    if cut or dropped:
        print(
            f"{cut:,} of {len(conversations):,} conversations are longer than {max_length} tokens and were cut after "
            f"their last whole answer; {dropped:,} were left out, since not even their first answer fits."
        )
    if not rows:
        raise UserError(
            f"no conversation fits into {max_length} tokens with its first answer: "
            "give a larger --max_length (up to the context of the model) or shorter conversations."
        )
    return rows
