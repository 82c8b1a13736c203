"""Fixtures of the whole suite: a tiny tokenizer and a tiny random model. Everything runs offline."""

import os


os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from aji.tokenizer import train_tokenizer


TEXTS = [
    "The capital of Korea is Seoul. The cat sat on the mat, and the dog said: hello, how are you today?",
    "대한민국의 수도는 서울입니다. 고양이가 매트 위에 앉았습니다. 안녕하세요, 반갑습니다.",
    "What is 12 + 34? 12 + 34 = 46. 질문에 답하세요: 12 더하기 34는 46입니다.",
    "Once upon a time there was a little child who wanted to know why the sky is blue and the grass is green.",
    "옛날 옛적에 하늘이 왜 파란지, 풀이 왜 초록색인지 알고 싶어 하던 작은 아이가 있었습니다.",
]


def build_tiny_model(tokenizer: PreTrainedTokenizerFast, seed: int = 0, **changes) -> LlamaForCausalLM:
    """A random Llama of 2 layers and width 32 with a context of 128 tokens; `changes` are fields of LlamaConfig."""
    torch.manual_seed(seed)
    settings = {
        "vocab_size": -(-len(tokenizer) // 64) * 64,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 128,
        "tie_word_embeddings": True,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return LlamaForCausalLM(LlamaConfig(**(settings | changes))).eval()


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE of 512 ids with the special tokens and the chatml template. Shared: do not change it."""
    return train_tokenizer(TEXTS * 20, vocab_size=512)


@pytest.fixture(scope="session")
def tiny_model(tiny_tokenizer) -> LlamaForCausalLM:
    """Random weights, context 128, in eval mode. Shared: copy it before changing or training it."""
    return build_tiny_model(tiny_tokenizer)


@pytest.fixture(scope="session")
def tiny_run(tiny_tokenizer, tiny_model, tmp_path_factory) -> str:
    """A folder as a training stage leaves it (without manifest): tokenizer and model. Shared: do not write in it."""
    folder = tmp_path_factory.mktemp("runs") / "sft"
    tiny_tokenizer.save_pretrained(folder)
    tiny_model.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def fresh_model(tiny_tokenizer):
    """A function that builds the tiny model anew, the same each time, for tests that train it."""
    return lambda: build_tiny_model(tiny_tokenizer)
