import copy

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from aji.rms_norm import RMSNorm, lighten_norms


def is_light(out):
    return type(out.grad_fn).__name__ == "RMSNormBackward"


def gradients(norm, states, upstream):
    states = states.clone().requires_grad_()
    out = norm(states)
    out.backward(upstream)
    return out.detach(), states.grad, norm.weight.grad


def test_values_and_gradients_are_those_of_transformers():
    torch.manual_seed(0)
    norm = LlamaRMSNorm(48, eps=1e-5)
    norm.weight.data.normal_()
    light = copy.deepcopy(norm)
    lighten_norms(light)
    states, upstream = torch.randn(3, 7, 48), torch.randn(3, 7, 48)
    states[0, 0] = 0  # what padding may hold
    assert is_light(light(states)) and not is_light(norm(states))
    for ours, theirs in zip(gradients(light, states, upstream), gradients(norm, states, upstream), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_the_gradient_is_that_of_differences():
    torch.manual_seed(0)
    states, weight = torch.randn(2, 5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x, w: RMSNorm.apply(x, w, 1e-5), (states.requires_grad_(), weight.requires_grad_())
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_only_training_in_float32_is_changed(dtype):
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16,
    )  # fmt: skip
    model = Qwen3ForCausalLM(config).to(dtype)
    light = copy.deepcopy(model)
    lighten_norms(light)
    ids = torch.randint(0, 64, (3, 9))
    assert is_light(light.model.norm(torch.ones(3, 32, dtype=dtype))) == (dtype == torch.float32)
    with torch.no_grad():
        assert torch.equal(light(ids).logits, model(ids).logits)
    losses = [own(ids, labels=ids).loss for own in (light, model)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(*losses, atol=1e-6, rtol=0)
    for ours, theirs in zip(light.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4)
    twin = copy.deepcopy(light)
    twin.model.norm.weight.data.mul_(2)
    assert not torch.equal(twin(ids, labels=ids).loss, light(ids, labels=ids).loss)  # a copy has its own weights
