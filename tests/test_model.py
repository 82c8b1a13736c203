import pytest
import torch
from transformers import AutoModelForCausalLM, set_seed

from aji.errors import UserError
from aji.model import ModelArguments, build_model, count_parameters, flops_per_token, load_model


def test_built_from_numbers(tiny_tokenizer):
    args = ModelArguments(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
    model = build_model(args, tiny_tokenizer)
    assert model.config.vocab_size % 64 == 0 and model.config.vocab_size >= len(tiny_tokenizer)
    assert model.config.intermediate_size == 128
    assert model.lm_head.weight is model.model.embed_tokens.weight
    vocabulary = model.config.vocab_size
    layer = 32 * 32 * 2 + 32 * 16 * 2 + 3 * 32 * 128 + 2 * 32
    assert count_parameters(model) == vocabulary * 32 + 2 * layer + 32
    assert flops_per_token(model, 64) == 6 * (vocabulary * 32 + 2 * (layer - 64)) + 12 * 2 * 32 * 64


@pytest.mark.parametrize("shape", [{}, {"num_key_value_heads": 2}, {"hidden_size": 768, "num_attention_heads": 12}])
def test_heads_that_begin_by_looking_back(tiny_tokenizer, shape):
    set_seed(0)
    args = ModelArguments(**{"num_hidden_layers": 1} | shape, attn_implementation="eager", previous_token_heads=3)
    model = build_model(args, tiny_tokenizer)
    tokens = torch.randint(len(tiny_tokenizer), (2, 100))
    with torch.no_grad():
        [attention] = model(tokens, output_attentions=True).attentions
    for head in range(3):
        assert attention[:, head].diagonal(-1 - head, 1, 2)[:, 3:].mean() > 0.9
    assert attention[:, 3].diagonal(-4, 1, 2).mean() < 0.5, "the fourth was not asked to"


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"hidden_size": 32, "num_attention_heads": 4, "previous_token_heads": 5}, "expected 0 to 4"),
        ({"hidden_size": 30, "num_attention_heads": 4}, "--hidden_size 32"),
        ({"hidden_size": 12, "num_attention_heads": 4}, "odd width"),
        ({"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 3}, "must divide"),
    ],
)
def test_impossible_shapes_say_what_would_work(tiny_tokenizer, numbers, message):
    with pytest.raises(UserError, match=message):
        build_model(ModelArguments(**numbers), tiny_tokenizer)


def test_load_model(tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path / "model")
    assert count_parameters(load_model(str(tmp_path / "model"))) == count_parameters(tiny_model)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model").config.hidden_size == tiny_model.config.hidden_size
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no model"):
        load_model(str(tmp_path / "empty"))
    with pytest.raises(UserError, match="is not there"):
        load_model(str(tmp_path / "missing"))
