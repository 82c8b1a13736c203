import copy
import random

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from aji.prefixes import body_of, fold, logits_at, neighbours, read_once


PROMPTS = [[5, 6, 7, 8], [5, 6, 9], [30, 31, 32, 33, 34, 35]]


def texts(count: int, seed: int = 0, longest: int = 12) -> list[list[int]]:
    rng = random.Random(seed)
    return [rng.choice(PROMPTS) + [rng.randint(40, 43) for _ in range(rng.randint(1, longest))] for _ in range(count)]


def batch(rows: list[list[int]], pad: int = 0) -> dict[str, torch.Tensor]:
    width = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    return {
        "input_ids": ids,
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
    }


@pytest.fixture
def seen():
    """A function that watches a model: how many tokens each call of its layers gets."""

    def watch(model) -> list[int]:
        counts = []
        model.get_input_embeddings().register_forward_hook(lambda _, args, out: counts.append(args[0].numel()))
        return counts

    return watch


@pytest.mark.parametrize("seed", range(5))
def test_a_node_sees_what_stands_before_its_token_and_no_more(seed):
    rows = texts(40, seed)
    tries = fold(*batch(rows).values(), width=30)
    ids, depths, masks = tries.ids, tries.depths, tries.mask()[:, 0]
    width = ids.shape[1]
    for row, places in zip(rows, tries.places.tolist(), strict=True):
        for depth in range(len(row)):
            own, place = divmod(places[depth], width)
            above = masks[own, place].nonzero().squeeze(1)
            assert ids[own, above].tolist() == row[: depth + 1]
            assert depths[own, above].tolist() == list(range(depth + 1))
    assert masks.any(-1).all()  # a node that sees nothing would be no number


def test_equal_beginnings_are_one():
    rows = [[1, 2, 3], [1, 2, 4, 5], [1, 2, 3], [1, 2]]
    tries = fold(*batch(rows).values())
    assert tries.ids.tolist() == [[1, 2, 3, 4, 5]]
    assert tries.depths.tolist() == [[0, 1, 2, 2, 3]]
    assert tries.ends.tolist() == [[5, 5, 3, 5, 5]]
    assert tries.places.tolist() == [[0, 1, 2, 0], [0, 1, 3, 4], [0, 1, 2, 0], [0, 1, 0, 0]]


def both_ways(model, rows, head=lambda out, inputs: out.logits[inputs["attention_mask"].bool()], pad=0):
    """What a model gives for rows, and the gradient of a mix of it: (values, gradients)."""
    inputs = batch(rows, pad)
    model.zero_grad()
    values = head(model(**inputs, use_cache=False), inputs)
    (values * torch.linspace(-1, 1, values.numel()).view(values.shape)).sum().backward()
    return values.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


def same(first, second, tolerance=1e-4):
    assert torch.allclose(first[0], second[0], atol=tolerance)
    assert len(first[1]) == len(second[1]) > 0
    assert all(torch.allclose(a, b, atol=tolerance, rtol=1e-3) for a, b in zip(first[1], second[1], strict=True))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_values_and_gradients_stay_the_same(fresh_model, seen, attention):
    model, rows = fresh_model(), texts(32)
    model.set_attn_implementation(attention)
    plain = both_ways(model, rows)
    counts = seen(read_once(model))
    same(both_ways(model, rows), plain)
    assert counts[0] < sum(map(len, rows)) < batch(rows)["input_ids"].numel()


def test_a_reward_model_gives_the_same_rewards(tiny_run, seen):
    model = AutoModelForSequenceClassification.from_pretrained(tiny_run, num_labels=1, pad_token_id=0)
    rows = texts(32)
    plain = both_ways(model, rows, lambda out, _: out.logits)
    counts = seen(read_once(model))
    same(both_ways(model, rows, lambda out, _: out.logits), plain)
    assert counts[0] < sum(map(len, rows))


SMALL = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
}  # fmt: skip


def test_qwen_reads_once_too(seen):
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(Qwen3Config(**SMALL, num_key_value_heads=1, head_dim=16)).eval()
    plain = both_ways(model, texts(32))
    counts = seen(read_once(model))
    same(both_ways(model, texts(32)), plain)
    assert counts[0] < sum(map(len, texts(32)))


def test_under_bf16_too(fresh_model, seen):
    model, rows = fresh_model(), texts(32)
    inputs = batch(rows)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        plain = model(**inputs, use_cache=False).logits
        counts = seen(read_once(model))
        once = model(**inputs, use_cache=False).logits
    places = inputs["attention_mask"].bool()
    assert torch.allclose(once[places].float(), plain[places].float(), atol=0.02)
    assert counts[0] < sum(map(len, rows))


def windowed():
    return MistralForCausalLM(MistralConfig(**SMALL, num_key_value_heads=2, sliding_window=4))


def alibi():
    return BloomForCausalLM(BloomConfig(vocab_size=64, hidden_size=32, n_layer=2, n_head=2))


@pytest.mark.parametrize("build", [windowed, alibi])
def test_models_of_another_kind_stay_as_they_are(build, seen):
    torch.manual_seed(0)
    model, rows = build().eval(), texts(16)
    plain = both_ways(model, rows)
    counts = seen(read_once(model))
    same(both_ways(model, rows), plain, tolerance=0)
    assert counts == [batch(rows)["input_ids"].numel()]


def test_other_calls_stay_as_they_are(fresh_model, seen):
    model = fresh_model()
    other = copy.deepcopy(model)
    counts = seen(read_once(model))
    rows = [[1, 2, 3, 4], [1, 2, 5, 6]]
    ids = torch.tensor(rows)
    whole, left = torch.ones_like(ids), torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    calls = [
        {"attention_mask": left, "use_cache": False},
        {"attention_mask": whole, "use_cache": True},
        {"attention_mask": whole, "use_cache": False, "position_ids": torch.tensor([[0, 1, 0, 1]] * 2)},
        {"use_cache": False},
    ]
    with torch.no_grad():
        for call in calls:
            assert torch.equal(model(input_ids=ids, **call).logits, other(input_ids=ids, **call).logits)
        assert counts == [8] * len(calls)
        different = torch.tensor([[1, 2, 3, 4], [2, 3, 4, 5]])
        model(input_ids=different, attention_mask=whole, use_cache=False)
        assert counts[-1] == 8  # nothing in common
        model(input_ids=ids, attention_mask=whole, use_cache=False)
        assert counts[-1] == 6


def test_a_copy_reads_with_its_own_weights(fresh_model):
    model, rows = read_once(fresh_model()), texts(8)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        before = twin(**batch(rows), use_cache=False).logits
        for parameter in model.parameters():
            parameter.mul_(2)
        assert torch.equal(twin(**batch(rows), use_cache=False).logits, before)
    assert body_of(twin).forward.__self__ is body_of(twin)


def test_neighbours_begin_alike_or_have_one_length(fresh_model):
    rows = [[5, 1, 1, 1], [6, 1], [5, 1, 1], [6]]
    model = fresh_model()
    assert [len(rows[place]) for place in neighbours(model, rows)] == [1, 2, 3, 4]
    assert [rows[place][0] for place in neighbours(read_once(model), rows)] == [5, 5, 6, 6]


@pytest.fixture
def in_last_layer():
    """A function that watches how many tokens the last layer's MLP gets in each call."""

    def watch(model) -> list[int]:
        counts = []
        mlp = body_of(model).layers[-1].mlp
        mlp.register_forward_hook(lambda _, args, out: counts.append(args[0][..., 0].numel()), prepend=True)
        return counts

    return watch


def gemma():
    return Gemma2ForCausalLM(Gemma2Config(**SMALL, num_key_value_heads=2, head_dim=16, final_logit_softcapping=1.0))


def qwen():
    return Qwen3ForCausalLM(Qwen3Config(**SMALL, num_key_value_heads=1, head_dim=16))


def mixture():
    return MixtralForCausalLM(MixtralConfig(**SMALL, num_key_value_heads=2, num_local_experts=2))


def logits_where(model, rows, **others):
    """Logits and gradients where every third token is read, by `logits_at`, and by the whole model."""
    inputs = batch(rows)
    read = inputs["attention_mask"].bool() & (torch.arange(inputs["input_ids"].shape[1]) % 3 == 1)
    inputs |= others
    found = []
    for way in ("at", "whole"):
        model.zero_grad()
        if way == "at":
            logits, which = logits_at(model, read, **inputs)
            values = logits[which]
        else:
            values = model(**inputs, use_cache=False).logits[read]
        (values * torch.linspace(-1, 1, values.numel()).view(values.shape)).sum().backward()
        found.append((values.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    return *found, int(read.sum())


@pytest.mark.parametrize("build", [qwen, gemma, windowed, alibi, mixture])
def test_logits_where_they_are_read_are_those_of_the_whole_model(build):
    torch.manual_seed(0)
    model = build().eval()
    some, every, _ = logits_where(model, texts(16))
    same(some, every)
    once, _, _ = logits_where(read_once(model), texts(16))
    same(once, every)


def test_the_last_layer_is_computed_where_it_is_read(fresh_model, in_last_layer):
    model = fresh_model()
    counts = in_last_layer(model)
    some, every, tokens = logits_where(model, texts(16))
    same(some, every)
    assert counts == [tokens, batch(texts(16))["input_ids"].numel()]
    positions = torch.arange(batch(texts(16))["input_ids"].shape[1]).repeat(16, 1) % 5  # as in packed rows
    same(*logits_where(model, texts(16), attention_mask=None, position_ids=positions)[:2])
    counts.clear()
    once, every, _ = logits_where(read_once(model), texts(16))
    same(once, every)
    assert counts[0] < tokens < counts[1]
    counts.clear()
    model.train().activation_checkpointing_enable()
    same(*logits_where(model, texts(16))[:2])
    assert max(counts) == min(counts)  # and none is computed again with fewer tokens


@pytest.mark.parametrize("pad", [0, 41])
def test_a_reward_model_computes_its_last_layer_where_the_reward_is_read(tiny_run, in_last_layer, pad):
    """Also where padding is a token that texts have and end with, as in models without one of its own."""
    model = AutoModelForSequenceClassification.from_pretrained(tiny_run, num_labels=1, pad_token_id=pad)
    rows = texts(32)
    counts = in_last_layer(model)
    plain = both_ways(model, rows, lambda out, _: out.logits, pad)
    same(both_ways(read_once(model), rows, lambda out, _: out.logits, pad), plain)
    assert counts[1] <= len(rows) < counts[0]
    different = [[n, *range(60, 66)] for n in range(20, 24)]  # nothing in common
    together, *alone = (
        both_ways(model, some, lambda out, _: out.logits, pad)[0]
        for some in (different, *([row] for row in different))
    )
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_gradients_are_the_same_each_time(tiny_run):
    """Sums that threads race for would differ in their last digit, and two runs of one seed in their models."""
    model = read_once(AutoModelForSequenceClassification.from_pretrained(tiny_run, num_labels=1, pad_token_id=0))
    rows = texts(6000)  # many equal rewards; few rows are added up by one thread
    once, *others = (both_ways(model, rows, lambda out, _: out.logits)[1] for _ in range(4))
    assert all(torch.equal(a, b) for other in others for a, b in zip(once, other, strict=True))
