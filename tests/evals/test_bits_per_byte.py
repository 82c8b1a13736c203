import math

import pytest
import torch
from datasets import Dataset

from aji.evals.bits_per_byte import bits_per_byte, bits_per_byte_by_language


def reference(model, tokenizer, texts, context):
    """Token by token, the slow way."""
    ids = [
        token
        for text in texts
        for token in [*tokenizer.encode(text, add_special_tokens=False), tokenizer.bos_token_id]
    ]
    bits = 0.0
    for target in range(1, len(ids)):
        start = (target - 1) // (context - 1) * (context - 1)
        with torch.no_grad():
            logits = model(torch.tensor([ids[start:target]]), use_cache=False).logits[0, -1]
        bits -= torch.log_softmax(logits, -1)[ids[target]].item() / math.log(2)
    return bits / sum(len(text.encode()) for text in texts)


def test_equals_the_sum_over_single_tokens(tiny_model, tiny_tokenizer):
    texts = ["The cat sat on the mat.", "고양이가 매트에 앉았다.", "x"]
    metrics = bits_per_byte(tiny_model, tiny_tokenizer, Dataset.from_dict({"text": texts}), context=8)
    assert metrics["bits_per_byte"] == pytest.approx(reference(tiny_model, tiny_tokenizer, texts, 8), abs=2e-4)
    assert metrics["bits_per_byte_low"] <= metrics["bits_per_byte"] <= metrics["bits_per_byte_high"]


def test_languages_apart(tiny_model, tiny_tokenizer):
    rows = Dataset.from_dict({"text": ["one two three", "하나 둘 셋"], "language": ["en", "ko"]})
    metrics = bits_per_byte_by_language(tiny_model, tiny_tokenizer, rows)
    assert {"bits_per_byte", "bits_per_byte_en", "bits_per_byte_ko"} <= set(metrics)
