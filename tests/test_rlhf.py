import copy
import json
import math
from statistics import fmean, pstdev

import pytest
import torch
from datasets import Dataset
from trl import RLOOConfig

from aji.errors import UserError
from aji.generate import Completion, generate
from aji.reward_model import build_reward_model
from aji.rlhf import GRPOTrainer, Reward, RLOOTrainer, ids_of, load_any_prompts, reply_kl, reward_metrics
from aji.rollout import GRPOConfig
from aji.tokenizer import train_tokenizer


def ask(text):
    return [{"role": "user", "content": text}]


def reward_folder(tiny_run, tokenizer, path, seed):
    torch.manual_seed(seed)
    build_reward_model(tiny_run, tokenizer, dtype="float32").save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


@pytest.fixture
def folders(tiny_run, tiny_tokenizer, tmp_path):
    return [reward_folder(tiny_run, tiny_tokenizer, tmp_path / f"reward{seed}", seed) for seed in (1, 2, 3)]


PROMPTS = [ask("What is 12 + 34?"), ask("안녕하세요"), ask("hi")]


def test_several_reward_models_give_their_mean_less_their_spread(folders, tiny_tokenizer):
    stop = tiny_tokenizer.eos_token_id
    replies = [[30, 31, stop], [40, stop], [50, 51, 52]]
    single = [Reward.load([folder], tiny_tokenizer).score(PROMPTS, replies) for folder in folders]
    together = Reward.load(folders, tiny_tokenizer, ensemble_penalty=2.0).score(PROMPTS, replies)
    for place in (0, 1):
        own = [rewards[place] for rewards in single]
        assert together[place] == pytest.approx(fmean(own) - 2 * pstdev(own), abs=1e-5)
    assert together[2] is None and single[0][2] is None
    assert len({round(rewards[0], 6) for rewards in single}) == 3


def test_rewards_do_not_depend_on_the_batch(folders, tiny_tokenizer):
    stop = tiny_tokenizer.eos_token_id
    replies = [[30, 31, 32, 33, 34, stop], [40, stop], [stop]]
    reward = Reward.load(folders[:1], tiny_tokenizer)
    alone = [reward.score([prompt], [reply])[0] for prompt, reply in zip(PROMPTS, replies, strict=True)]
    assert reward.score(PROMPTS, replies) == pytest.approx(alone, abs=1e-5)


def test_what_broke_off_gets_the_lowest_reward_of_the_batch(folders, tiny_tokenizer):
    stop = tiny_tokenizer.eos_token_id
    reward = Reward.load(folders[:1], tiny_tokenizer)
    rewards = reward(PROMPTS, None, [[30, stop], [40, 41, 42], [50, stop]])
    assert rewards[1] == min(rewards) and rewards[0] != rewards[2]
    assert reward(PROMPTS, None, [[30], [40], [50]]) == [0.0, 0.0, 0.0]


def test_each_token_costs_in_training_and_not_in_what_is_told(folders, tiny_tokenizer):
    stop = tiny_tokenizer.eos_token_id
    replies = [[30, stop], [40, 41, 42, 43], [50, 51, 52, stop]]
    free = Reward.load(folders[:1], tiny_tokenizer)
    priced = Reward.load(folders[:1], tiny_tokenizer, length_penalty=0.5)
    first, _, third = free(PROMPTS, None, replies)
    assert priced(PROMPTS, None, replies) == pytest.approx([first - 1, min(first - 1, third - 2), third - 2])
    assert priced.score(PROMPTS, replies) == free.score(PROMPTS, replies)


def parent(batch, broke_off):
    """The highest advantage that upstream would give to what broke off: groups add up to 0 before the cut."""
    groups = zip(batch["advantages"].view(-1, 8), broke_off.view(-1, 8), strict=True)
    return max(float(-own[~cut].sum()) for own, cut in groups if 0 < cut.sum() < 8)


@pytest.mark.parametrize(
    ("cls", "config", "beta"), [(RLOOTrainer, RLOOConfig, 5.0), (GRPOTrainer, GRPOConfig, 0.0)], ids=["rloo", "grpo"]
)
def test_a_completion_that_broke_off_never_gains(tiny_run, tiny_tokenizer, tmp_path, cls, config, beta):
    """Though everything that broke off gets the highest reward here, or the KL in the reward favours it."""
    from aji.model import load_model

    stops = list(range(80))  # so that about half of the replies end by themselves
    args = config(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, activation_checkpointing=False, report_to="none",
        per_device_train_batch_size=32, num_generations=8, max_completion_length=6, max_steps=1, beta=beta,
        logging_steps=1, save_strategy="no", learning_rate=0.0, seed=1,
    )  # fmt: skip

    def unfair(completion_ids, **_):
        return [float(ids[-1] not in stops) for ids in completion_ids]

    model = load_model(tiny_run, dtype="float32")
    data = Dataset.from_list([{"prompt": prompt} for prompt in PROMPTS + [ask("Seoul?")]])
    trainer = cls(model=model, reward_funcs=unfair, args=args, train_dataset=data, processing_class=tiny_tokenizer)
    trainer.eos_token_ids = stops
    seen = []
    generated = trainer._generate_and_score_completions
    trainer._generate_and_score_completions = lambda inputs: seen.append(generated(inputs)) or seen[-1]
    trainer.train()
    (batch,) = seen
    broke_off = ~torch.isin(batch["completion_ids"], torch.tensor(stops)).any(1)
    assert 0 < broke_off.sum() < len(broke_off)
    assert batch["advantages"][broke_off].max() <= 0
    assert batch["advantages"][~broke_off].min() < 0 < parent(batch, broke_off)


def test_a_chat_model_or_another_tokenizer_is_refused(tiny_run, folders, tiny_tokenizer):
    with pytest.raises(UserError, match="is no reward model"):
        Reward.load([tiny_run], tiny_tokenizer)
    with pytest.raises(UserError, match="found no reward_model"):
        Reward.load([], tiny_tokenizer)
    other = train_tokenizer(["quite another text, with other words in it " * 9] * 9, vocab_size=512)
    with pytest.raises(UserError, match="is not the policy's"):
        Reward.load(folders[:1], other)


def test_the_kl_of_replies_is_that_of_their_distributions(fresh_model, tiny_tokenizer):
    policy, reference = fresh_model(), fresh_model()
    prompts = [[5, 6, 7], [8, 9]]
    replies = [Completion([20, 21], "", True, tiny_tokenizer.eos_token_id), Completion([30], "", False)]
    assert reply_kl(policy, reference, prompts, replies) == [0.0, 0.0]
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    expected = []
    for prompt, reply in zip(prompts, replies, strict=True):
        ids = prompt + ids_of(reply)
        with torch.no_grad():
            ours, theirs = (model(torch.tensor([ids])).logits[0].log_softmax(-1) for model in (policy, reference))
        spoken = range(len(prompt) - 1, len(ids) - 1)
        expected.append(sum(float((ours[t].exp() * (ours[t] - theirs[t])).sum()) for t in spoken))
    found = reply_kl(policy, reference, prompts, replies)
    assert found == pytest.approx(expected, rel=1e-4) and min(found) > 0


def test_the_kl_estimate_has_the_mean_of_the_log_ratios(fresh_model, tiny_tokenizer):
    policy = fresh_model()
    reference = copy.deepcopy(policy)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(0.03 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    prompt = [5, 6, 7]
    replies = generate(policy, tiny_tokenizer, [prompt] * 4000, 4, temperature=1.0, seed=1, batch_size=4000)
    ids = torch.tensor([(prompt + ids_of(one) + [0] * 4)[:7] for one in replies])
    ratios = []
    with torch.no_grad():
        ours, theirs = (model(ids).logits.log_softmax(-1) for model in (policy, reference))
    for row, one in enumerate(replies):
        spoken = ids_of(one)
        ratios.append(
            sum(float(ours[row, 2 + t, token] - theirs[row, 2 + t, token]) for t, token in enumerate(spoken))
        )
    estimate = reply_kl(policy, reference, [prompt] * 4000, replies, batch_size=500)
    error = pstdev(ratios) / math.sqrt(4000)
    assert fmean(estimate) == pytest.approx(fmean(ratios), abs=4 * error)
    assert pstdev(estimate) < pstdev(ratios)


def test_prompts_of_any_kind(tmp_path):
    file = tmp_path / "prompts.jsonl"
    rows = [{"prompt": "Hi", "language": "en", "kind": "chat"}, {"prompt": ask("안녕"), "answer": "x"}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert load_any_prompts(str(file)) == [
        {"prompt": ask("Hi"), "task": "en"},
        {"prompt": ask("안녕"), "task": "replies"},
    ]
    assert len(load_any_prompts(str(file), 1)) == 1
    assert [row["task"] for row in load_any_prompts(str(file), kinds=["chat", "joke"])] == ["en"]
    with pytest.raises(UserError, match="found no prompts of kind name or joke"):
        load_any_prompts(str(file), kinds=["name", "joke"])
    file.write_text(json.dumps({"prompt": [{"role": "assistant", "content": "Hi"}]}) + "\n")
    with pytest.raises(UserError, match=r"prompts.jsonl row 1.*expected a text, or messages of which the last"):
        load_any_prompts(str(file))
    with pytest.raises(UserError, match="found no"):
        load_any_prompts(str(tmp_path / "none.jsonl"))


def test_the_mean_reward_is_of_whole_replies():
    assert reward_metrics("reward", [1.0, None, 3.0])["reward"] == 2.0
    assert reward_metrics("reward", [None]) == {}
