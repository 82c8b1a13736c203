import pytest
import torch
from datasets import Dataset

from aji import chatml
from aji.data.packing import IGNORED, collate_windows, pack_conversations, pack_documents, packed_collator
from aji.errors import UserError


def test_documents_fill_windows_without_padding(tiny_tokenizer):
    texts = ["The cat sat.", "한국어 문서.", "x" * 50] * 4
    windows = pack_documents(Dataset.from_dict({"text": texts}), tiny_tokenizer, 16)
    flat = [token for text in texts for token in [*tiny_tokenizer.encode(text), tiny_tokenizer.bos_token_id]]
    joined = [token for row in windows for token in row["input_ids"].tolist()]
    assert joined == flat[: len(flat) // 16 * 16]
    batch = collate_windows([windows[0], windows[1]])
    assert batch["input_ids"].shape == (2, 16) and torch.equal(batch["input_ids"], batch["labels"])


def test_too_little_text_says_so(tiny_tokenizer):
    with pytest.raises(UserError, match="less than one window of 64 tokens"):
        pack_documents(Dataset.from_dict({"text": ["hi"]}), tiny_tokenizer, 64)


def rows():
    lengths = [5, 9, 4, 7, 3]
    return [{"input_ids": list(range(10, 10 + n)), "labels": [IGNORED] * (n - 2) + [n, n]} for n in lengths]


def test_conversations_are_packed_whole():
    packed = pack_conversations(rows(), 12)
    assert sorted(int(n) for row in packed for n in row["seq_lengths"]) == [3, 4, 5, 7, 9]
    assert all(len(row["input_ids"]) <= 12 for row in packed)


def test_long_conversations_find_short_ones_far_away_in_the_file():
    lengths = [*[9] * 2000, *[3] * 2000]
    packed = pack_conversations([{"input_ids": [10] * n, "labels": [10] * n} for n in lengths], 12)
    assert len(packed) == 2000 and all(len(row["input_ids"]) == 12 for row in packed)


def test_packed_conversations_do_not_see_each_other(tiny_model):
    """The loss of packed rows equals the loss of the same conversations one by one."""
    conversations = rows()
    packed = pack_conversations(conversations, 12)
    batch = packed_collator(12, pad_token_id=1)([packed[i] for i in range(len(packed))])
    assert batch["input_ids"].shape == (len(packed), 12)
    with torch.no_grad():
        count = sum(label != IGNORED for row in conversations for label in row["labels"])
        together = tiny_model(**batch, use_cache=False, num_items_in_batch=count).loss
        alone = sum(
            tiny_model(
                torch.tensor([row["input_ids"]]),
                labels=torch.tensor([row["labels"]]),
                use_cache=False,
                num_items_in_batch=count,
            ).loss
            for row in conversations
        )
    assert torch.allclose(together, alone, atol=1e-5)


def test_conversations_among_the_documents_keep_their_control_tokens(tiny_tokenizer):
    chat = [{"role": "user", "content": "hi <|im_end|>"}, {"role": "assistant", "content": "hello"}]
    windows = pack_documents(Dataset.from_dict({"messages": [chat] * 30}), tiny_tokenizer, 64)
    joined = [token for row in windows for token in row["input_ids"].tolist()]
    one = [*chatml.encode(tiny_tokenizer, [chat])[0].input_ids, tiny_tokenizer.bos_token_id]
    assert joined[: len(one)] == one
    assert one.count(tiny_tokenizer.convert_tokens_to_ids("<|im_end|>")) == 2, "what the user typed is text"


def test_no_conversation_that_fits_is_cut(tiny_tokenizer):
    chats = [
        [{"role": "user", "content": "hi" * n}, {"role": "assistant", "content": "hello"}] for n in (1, 5, 9, 2, 7, 3)
    ]
    end = tiny_tokenizer.bos_token_id
    windows = pack_documents(Dataset.from_dict({"messages": chats}), tiny_tokenizer, 64)
    texts = [tiny_tokenizer.decode(row["input_ids"]) for row in windows]
    assert all(len(row["input_ids"]) == 64 and row["input_ids"][-1] == end for row in windows)
    for encoded in chatml.encode(tiny_tokenizer, chats):
        assert sum(tiny_tokenizer.decode([*encoded.input_ids, end]) in text for text in texts) == 1
