import copy
import random
from types import SimpleNamespace

import pytest
import torch

from aji import generate as generate_module
from aji.errors import UserError
from aji.generate import SIZES, Completion, generate, sample, stop_ids, stream
from conftest import build_tiny_model


@pytest.fixture(scope="module")
def lively_model(tiny_tokenizer):
    """Weights so large and untied that every prompt is continued in its own way, not by repeating its last token."""
    return build_tiny_model(tiny_tokenizer, seed=1, tie_word_embeddings=False, initializer_range=0.3)


def prompts_of(tokenizer, count=12):
    """Prompts of different lengths, longest first."""
    text = "The capital of Korea is Seoul. 대한민국의 수도는 서울입니다. What is 12 + 34?"
    ids = tokenizer.encode(text)
    return [ids[: len(ids) - 2 * index] for index in range(count)]


class Scripted(torch.nn.Module):
    """Stands in for a model: gives out the tokens of a script one after the other, whatever it reads."""

    def __init__(self, script, vocabulary, eos, context=None):
        super().__init__()
        self.script, self.vocabulary, self.calls = list(script), vocabulary, []
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self.config = SimpleNamespace(
            get_text_config=lambda decoder=True: SimpleNamespace(max_position_embeddings=context)
        )
        self.generation_config = SimpleNamespace(eos_token_id=eos)

    def forward(self, input_ids, position_ids, **_):
        logits = torch.full((len(input_ids), 1, self.vocabulary), -30.0)
        logits[:, :, self.script[len(self.calls)]] = 30.0
        self.calls.append((input_ids.tolist(), position_ids.tolist()))
        return SimpleNamespace(logits=logits)


@pytest.fixture
def scripted(tiny_tokenizer, monkeypatch):
    monkeypatch.setattr(generate_module, "DynamicCache", lambda config: None)

    def build(script, **kwargs):
        return Scripted(script, len(tiny_tokenizer), eos=tiny_tokenizer.eos_token_id, **kwargs)

    return build


def byte_tokens(tokenizer, text):
    """One token per UTF-8 byte."""
    letters = [tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)]
    return [tokenizer.convert_tokens_to_ids(letter) for pieces in letters for piece, _ in pieces for letter in piece]


def greedy_by_hand(model, prompt, count, stop):
    """The plainest greedy decoding: the whole sequence again for every token, no cache, no batch."""
    ids = list(prompt)
    for _ in range(count):
        with torch.no_grad():
            token = model(input_ids=torch.tensor([ids])).logits[0, -1].argmax().item()
        if token in stop:
            return ids[len(prompt) :], True
        ids.append(token)
    return ids[len(prompt) :], False


def test_batched_greedy_equals_decoding_one_by_one(lively_model, tiny_tokenizer):
    prompts = prompts_of(tiny_tokenizer)
    free = [greedy_by_hand(lively_model, prompt, 12, set())[0] for prompt in prompts]
    # Stop ids that end these replies at different places, so that rows leave the batch one after another.
    stop = {free[0][1], free[3][4], free[7][7]}
    expected = [greedy_by_hand(lively_model, prompt, 12, stop) for prompt in prompts]
    assert len({len(ids) for ids, _ in expected}) > 2

    for batch_size in (1, 5, 256):
        found = generate(lively_model, tiny_tokenizer, prompts, 12, batch_size=batch_size, stop=stop)
        assert [(completion.ids, completion.stopped) for completion in found] == expected
    assert found[2].text == tiny_tokenizer.decode(expected[2][0], skip_special_tokens=True)


def test_ended_rows_leave_the_batch(tiny_model, tiny_tokenizer, monkeypatch):
    rows = []
    forward = generate_module._next_logits
    monkeypatch.setattr(generate_module, "_next_logits", lambda *a: rows.append(len(a[1])) or forward(*a))
    prompts = [[index + 20] for index in range(40)]
    stop = set(range(11, tiny_model.config.vocab_size, 3))
    found = generate(tiny_model, tiny_tokenizer, prompts, 60, temperature=1.0, seed=0, stop=stop)

    lengths = [len(completion.ids) + completion.stopped for completion in found]
    assert rows == sorted(rows, reverse=True) and rows[0] == 40 and rows[-1] < 5
    assert set(rows[1:]) <= {*SIZES, 40}
    assert len(rows) == max(lengths)
    assert all(size >= sum(length > step for length in lengths) for step, size in enumerate(rows))


def test_completions_come_in_the_order_of_the_prompts(lively_model, tiny_tokenizer):
    prompts = prompts_of(tiny_tokenizer)
    forth = generate(lively_model, tiny_tokenizer, prompts, 6, batch_size=4)
    back = generate(lively_model, tiny_tokenizer, prompts[::-1], 6, batch_size=4)
    assert forth == back[::-1]
    assert len({tuple(completion.ids) for completion in forth}) > 6
    assert generate(lively_model, tiny_tokenizer, [], 6) == []


def test_batches_hold_a_bounded_number_of_tokens(monkeypatch):
    monkeypatch.setattr(generate_module, "TOKENS_PER_BATCH", 100)
    lengths = [5, 5, 10, 30, 40, 200]
    batches = list(generate_module._batches(list(range(6)), lengths, max_new_tokens=10, batch_size=2))
    assert batches == [[0, 1], [2, 3], [4], [5]]


def test_equal_prompts_are_read_once_and_get_replies_of_their_own(lively_model, tiny_tokenizer):
    prompts = [prompt for prompt in prompts_of(tiny_tokenizer)[:4] for _ in range(3)]
    random.Random(0).shuffle(prompts)
    read = []
    hook = lively_model.get_input_embeddings().register_forward_hook(lambda _, args, out: read.append(len(args[0])))
    greedy = generate(lively_model, tiny_tokenizer, prompts, 6, stop=[])
    drawn = generate(lively_model, tiny_tokenizer, prompts, 6, temperature=1.0, seed=0, stop=[])
    hook.remove()
    assert read == [4, *[12] * 5] * 2
    alone = [generate(lively_model, tiny_tokenizer, [prompt], 6, stop=[])[0] for prompt in prompts]
    assert greedy == alone
    assert len({tuple(one.ids) for one in drawn}) == 12


def test_the_seed_decides_the_samples(tiny_model, tiny_tokenizer):
    def draw(seed):
        return generate(tiny_model, tiny_tokenizer, prompts_of(tiny_tokenizer), 10, temperature=1.0, seed=seed)

    state = torch.get_rng_state()
    assert draw(1) == draw(1)
    assert torch.equal(torch.get_rng_state(), state), "a seeded call must leave the global random state alone"
    assert draw(1) != draw(2)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_follow_the_softmax(lively_model, tiny_tokenizer, temperature):
    """Chi-square of 20,000 replies of one token against softmax(logits / T) of the model itself."""
    prompt = tiny_tokenizer.encode("The capital of")
    with torch.no_grad():
        logits = lively_model(input_ids=torch.tensor([prompt])).logits[0, -1].double()
    expected = (logits / temperature).softmax(-1) * 20_000
    found = generate(lively_model, tiny_tokenizer, [prompt] * 20_000, 1, temperature, seed=3, batch_size=4096, stop=[])
    counts = torch.bincount(torch.tensor([completion.ids[0] for completion in found]), minlength=len(logits)).double()

    common = expected >= 5
    assert common.sum() > 20
    observed = torch.cat([counts[common], counts[~common].sum()[None]])
    wanted = torch.cat([expected[common], expected[~common].sum()[None]])
    chi_square = ((observed - wanted) ** 2 / wanted.clamp(min=1e-9)).sum().item()
    freedom = len(wanted) - 1
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5
    # The test can fail: a temperature a quarter higher is told apart.
    other = (logits / (temperature * 1.25)).softmax(-1) * 20_000
    other = torch.cat([other[common], other[~common].sum()[None]])
    assert ((observed - other) ** 2 / other).sum().item() > freedom + 4 * (2 * freedom) ** 0.5


def test_top_p_keeps_the_smallest_sufficient_set():
    probabilities = torch.tensor([0.05, 0.5, 0.15, 0.3])
    logits = probabilities.log().expand(20_000, 4)
    generator = torch.Generator().manual_seed(0)

    def shares(top_p):
        return torch.bincount(sample(logits, 1.0, top_p, generator), minlength=4) / 20_000

    assert shares(0.5).tolist() == [0, 1, 0, 0]
    assert torch.allclose(shares(0.79), torch.tensor([0, 0.625, 0, 0.375]), atol=0.015)
    assert torch.allclose(shares(0.9), torch.tensor([0, 0.5, 0.15, 0.3]) / 0.95, atol=0.015)
    assert torch.allclose(shares(1.0), probabilities, atol=0.015)


def test_impossible_tokens_are_never_drawn_and_temperature_zero_is_greedy():
    logits = torch.full((5000, 6), float("-inf"))
    logits[:, 2], logits[:, 4] = 0.0, 1.0
    assert set(sample(logits, 1.0).tolist()) == {2, 4}
    assert set(sample(logits, 1e-30).tolist()) == {4}
    assert set(sample(logits, 0).tolist()) == {4}


def test_stop_ids_join_tokenizer_and_generation_config(tiny_model, tiny_tokenizer):
    model = copy.deepcopy(tiny_model)
    eos = tiny_tokenizer.eos_token_id
    for configured, expected in [(None, {eos}), (7, {eos, 7}), ([8, eos], {eos, 8})]:
        model.generation_config.eos_token_id = configured
        assert stop_ids(model, tiny_tokenizer) == expected


def test_a_reply_ends_where_the_context_is_full(tiny_model, tiny_tokenizer):
    long, short = [20] * 120, [20] * 10
    found = generate(tiny_model, tiny_tokenizer, [short, long], 30, stop=[])
    assert [len(completion.ids) for completion in found] == [30, 8]
    assert not found[1].stopped
    with pytest.raises(UserError, match="a prompt has 128 tokens, and the model sees 128"):
        generate(tiny_model, tiny_tokenizer, [[20] * 128], 1)
    with pytest.raises(ValueError, match="bos_token_id"):
        generate(tiny_model, tiny_tokenizer, [[]], 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1}, "temperature is -1; expected 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 0}, "top_p is 0; expected"),
        ({"top_p": 1.5}, "top_p is 1.5; expected"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0; expected 1"),
    ],
)
def test_senseless_settings_are_refused(tiny_model, tiny_tokenizer, settings, message):
    with pytest.raises(UserError, match=message):
        generate(tiny_model, tiny_tokenizer, [[20]], **({"max_new_tokens": 5} | settings))


def test_bfloat16_is_a_copy_that_keeps_the_rotary_frequencies(tiny_model, tiny_tokenizer):
    model = copy.deepcopy(tiny_model).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with generate_module._ready(model, torch.bfloat16) as ready:
        assert {parameter.dtype for parameter in ready.parameters()} == {torch.bfloat16}
        assert torch.equal(ready.model.rotary_emb.inv_freq, model.model.rotary_emb.inv_freq)
        assert not ready.training
    generate(model, tiny_tokenizer, [[20, 21]], 2, dtype=torch.bfloat16)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_bfloat16_rarely_changes_greedy_replies(lively_model, tiny_tokenizer):
    prompts = [[index] for index in range(11, 111)]
    exact = generate(lively_model, tiny_tokenizer, prompts, 1, stop=[])
    rounded = generate(lively_model, tiny_tokenizer, prompts, 1, stop=[], dtype=torch.bfloat16)
    assert sum(a == b for a, b in zip(exact, rounded, strict=True)) >= 95


def test_modules_keep_their_own_mode(tiny_model, tiny_tokenizer):
    model = copy.deepcopy(tiny_model).train()
    model.model.layers[0].eval()
    generate(model, tiny_tokenizer, [[20]], 1)
    assert model.training and model.model.layers[1].training and not model.model.layers[0].training


def test_stream_says_what_generate_says(tiny_model, tiny_tokenizer):
    for seed, prompt in enumerate(prompts_of(tiny_tokenizer, 4)):
        settings = {"temperature": 1.0, "top_p": 0.9, "seed": seed}
        [completion] = generate(tiny_model, tiny_tokenizer, [prompt], 40, **settings)
        assert "".join(stream(tiny_model, tiny_tokenizer, prompt, 40, **settings)) == completion.text


TEXT = "é 안녕 👩\u200d👩\u200d👧\u200d👦 👍🏽🇰🇷🇯🇵 e\u0301 \u1112\u1161\u11ab!"
CHARACTERS = [
    *("é", " ", "안", "녕", " ", "👩\u200d👩\u200d👧\u200d👦", " ", "👍🏽", "🇰🇷", "🇯🇵", " "),
    *("e\u0301", " ", "\u1112\u1161\u11ab", "!"),
]


def test_stream_shows_whole_characters_only(scripted, tiny_tokenizer):
    script = byte_tokens(tiny_tokenizer, TEXT)
    assert len(script) == len(TEXT.encode()), "each token must be one byte"
    model = scripted([*script, tiny_tokenizer.eos_token_id])
    assert list(stream(model, tiny_tokenizer, [20, 21, 22], 500)) == CHARACTERS
    assert len(model.calls) == len(script) + 1


def test_stream_feeds_back_what_it_chose(scripted, tiny_tokenizer):
    model = scripted([30, 31, tiny_tokenizer.eos_token_id])
    list(stream(model, tiny_tokenizer, [20, 21, 22], 500))
    assert model.calls == [([[20, 21, 22]], [[0, 1, 2]]), ([[30]], [[3]]), ([[31]], [[4]])]


def test_stream_flushes_at_the_end(scripted, tiny_tokenizer):
    script = byte_tokens(tiny_tokenizer, "a안")
    for limit, expected in [(1, ["a"]), (3, ["a\ufffd"]), (4, ["a", "안"])]:
        assert list(stream(scripted(script), tiny_tokenizer, [20], limit)) == expected
    assert list(stream(scripted(script, context=2), tiny_tokenizer, [20], 9)) == ["a"]
    assert list(stream(scripted([tiny_tokenizer.eos_token_id]), tiny_tokenizer, [20], 9)) == []


def test_stream_stops_at_each_stop_token(scripted, tiny_tokenizer):
    script = byte_tokens(tiny_tokenizer, "ab")
    model = scripted([*script, 0, *script])
    assert "".join(stream(model, tiny_tokenizer, [20], 5, stop={0})) == "ab"
    # Without the id among the stops it goes on, and the special token is not text.
    assert "".join(stream(scripted([*script, 0, *script]), tiny_tokenizer, [20], 5)) == "abab"


def test_completion_leaves_the_stop_token_out(scripted, tiny_tokenizer, monkeypatch):
    script = byte_tokens(tiny_tokenizer, "ok")
    model = scripted([*script, tiny_tokenizer.eos_token_id])
    stop = tiny_tokenizer.eos_token_id
    assert generate(model, tiny_tokenizer, [[20]], 9) == [Completion(script, "ok", True, stop)]
    assert generate(scripted(script), tiny_tokenizer, [[20]], 2) == [Completion(script, "ok", False)]
