import json
import shutil

import pytest
import torch
from transformers import AutoModelForSequenceClassification
from trl.trainer.reward_trainer import suppress_seqcls_warning

from aji.chatml import encode
from aji.errors import UserError
from aji.reward_model import build_reward_model, check_same_tokenizer, load_reward_model, score, score_pairs
from aji.tokenizer import train_tokenizer
from aji.upstream import ExactHead


@pytest.fixture
def folder(tiny_run, tiny_tokenizer, tmp_path):
    """A reward model as recipes/reward.py leaves it, without its manifest."""
    path = tmp_path / "reward"
    torch.manual_seed(3)
    model = build_reward_model(tiny_run, tiny_tokenizer, dtype="float32")
    model.save_pretrained(path)
    tiny_tokenizer.save_pretrained(path)
    return path


def chats(tokenizer):
    talks = [
        ("Hi", "Hello"),
        ("What is the capital of Korea?", "The capital of Korea is Seoul."),
        ("안녕", "안녕하세요"),
    ]
    encoded = encode(
        tokenizer, [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in talks]
    )
    return [row.input_ids[: len(row.input_ids) - row.trained[::-1].index(True)] for row in encoded]


def test_rewards_do_not_depend_on_padding_or_order(folder, tiny_tokenizer):
    model, tokenizer = load_reward_model(str(folder))
    rows = chats(tokenizer)
    together, alone = score(model, tokenizer, rows), [score(model, tokenizer, [row])[0] for row in rows]
    assert together == pytest.approx(alone, abs=1e-5)
    assert score(model, tokenizer, rows[::-1]) == pytest.approx(together[::-1], abs=1e-5)
    assert len(set(together)) == 3
    (by_hand,) = model(input_ids=torch.tensor([rows[1]])).logits[:, 0].tolist()
    assert by_hand == pytest.approx(together[1], abs=1e-5)


def test_replies_that_pairs_share_are_read_once(folder):
    model, tokenizer = load_reward_model(str(folder))
    first, second, third = chats(tokenizer)
    read = []
    model.register_forward_pre_hook(lambda _, args, kwargs: read.extend(kwargs["input_ids"]), with_kwargs=True)
    pairs = [(first, second), (first, third), (second, third)]
    chosen, rejected = score_pairs(model, tokenizer, [{"chosen_ids": a, "rejected_ids": b} for a, b in pairs])
    assert len(read) == 3
    one, two, three = score(model, tokenizer, [first, second, third])
    assert (chosen, rejected) == ([one, one, two], [two, three, three])


def test_prompts_that_replies_share_are_read_once(folder):
    model, tokenizer = load_reward_model(str(folder))
    read = []
    model.get_input_embeddings().register_forward_hook(lambda _, args, out: read.append(args[0].numel()))
    stop = tokenizer.eos_token_id
    rows = [[*range(20, 40), token, stop] for token in range(50, 60)]
    together = score(model, tokenizer, rows)
    assert read == [20 + 10 * 2]
    assert together == pytest.approx([score(model, tokenizer, [row])[0] for row in rows], abs=1e-5)


def test_what_broke_off_is_not_rewarded(folder):
    model, tokenizer = load_reward_model(str(folder))
    whole, other = chats(tokenizer)[:2]
    assert score(model, tokenizer, [whole[:-1], other, other * 20])[0::2] == [None, None]
    assert isinstance(score(model, tokenizer, [whole[:-1], other])[1], float)


def test_a_chat_model_is_refused(tiny_run):
    with pytest.raises(
        UserError, match=r"is no reward model \(LlamaForCausalLM\): its head would be random, .*reward.py"
    ):
        load_reward_model(tiny_run)


def test_upstream_still_takes_a_chat_model_without_a_word(tiny_run):
    with suppress_seqcls_warning():
        model = AutoModelForSequenceClassification.from_pretrained(tiny_run, num_labels=1)
    assert model.score.weight.std() > 0


def test_weights_without_head_are_refused(folder, tiny_run):
    shutil.copy(f"{tiny_run}/model.safetensors", folder / "model.safetensors")
    with pytest.raises(UserError, match="holds no weights of a reward head"):
        load_reward_model(str(folder))


@pytest.mark.parametrize(("accuracy", "low", "refused"), [(51.0, 46.5, True), (62.0, 57.2, False)])
def test_a_reward_model_that_learnt_nothing_is_refused(folder, accuracy, low, refused):
    metrics = {"accuracy": accuracy, "accuracy_low": low, "accuracy_n": 400}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "stage.json").write_text("{}")
    if refused:
        with pytest.raises(UserError, match="orders 51 % of 400 held-out pairs .* which a coin does too"):
            load_reward_model(str(folder))
    else:
        load_reward_model(str(folder))


def test_a_head_of_numbers_that_are_none_is_refused(folder, tiny_tokenizer):
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    model.score.weight.data[0, 0] = float("nan")
    model.save_pretrained(folder)
    with pytest.raises(UserError, match="the reward head holds numbers that are none"):
        load_reward_model(str(folder))


def test_the_tokenizer_must_be_the_policys(tiny_tokenizer, folder):
    _, own = load_reward_model(str(folder))
    check_same_tokenizer(tiny_tokenizer, own)
    other = train_tokenizer(["quite another text, with other words in it " * 9] * 9, vocab_size=512)
    with pytest.raises(UserError, match="is not the policy's: .* of its .* tokens have other ids"):
        check_same_tokenizer(tiny_tokenizer, other)
    own.chat_template = own.chat_template + " "
    with pytest.raises(UserError, match="its chat template is another one"):
        check_same_tokenizer(tiny_tokenizer, own)


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        load_reward_model(str(tmp_path / "none"))


def test_the_head_is_exact_under_autocast_and_upstreams_still_is_not(tiny_run, tiny_tokenizer):
    model = build_reward_model(tiny_run, tiny_tokenizer, dtype="float32")
    hidden = torch.randn(64, 32, generator=torch.Generator().manual_seed(1))
    plain = torch.nn.functional.linear(hidden, model.score.weight)
    assert type(model.score) is ExactHead
    with torch.autocast("cpu", dtype=torch.bfloat16):
        exact = model.score(hidden)
        model.score.__class__ = torch.nn.Linear
        rounded = model.score(hidden)
    assert torch.equal(exact, plain) and exact.dtype == torch.float32
    assert rounded.dtype == torch.bfloat16, "upstream computes rewards exactly now: drop ExactHead"
