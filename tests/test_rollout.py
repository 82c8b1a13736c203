import copy
import json
import os
from pathlib import Path

import pytest
import torch
import trl
from datasets import Dataset
from safetensors.torch import load_file
from transformers import Gemma2Config, Gemma2ForCausalLM

from aji.config import parse
from aji.errors import UserError
from aji.model import load_model
from aji.rollout import GRPOConfig, GRPOTrainer, RLOOTrainer, rloo_config


PROMPTS = ["What is 12 + 34?", "hi", "The capital of Korea?", "고양이가 매트 위에"]


def rows():
    prompts = [[{"role": "user", "content": text}] for text in PROMPTS]
    return Dataset.from_list([{"prompt": prompt, "answer": "5", "task": "sums"} for prompt in prompts])


def shortness(completion_ids, **_):
    """A reward that differs within groups."""
    return [float(sum(ids) % 3) for ids in completion_ids]


def config(folder, kind=GRPOConfig, **changes):
    settings = {
        **{"output_dir": str(folder), "use_cpu": True, "bf16": False, "activation_checkpointing": False},
        **{"per_device_train_batch_size": 16, "num_generations": 4, "max_completion_length": 8, "max_steps": 2},
        **{"report_to": "none", "logging_steps": 1, "learning_rate": 1e-3, "save_strategy": "no", "seed": 3},
    }
    return kind(**(settings | changes))


def trainer(cls, model, tokenizer, folder, reward=shortness, **changes):
    kind = trl.RLOOConfig if issubclass(cls, trl.RLOOTrainer) else GRPOConfig
    args = config(folder, kind, **changes)
    return cls(model=model, reward_funcs=reward, args=args, train_dataset=rows(), processing_class=tokenizer)


@pytest.fixture
def batch(tiny_tokenizer):
    """Left-padded prompts with right-padded completions, as trl lays them out."""
    torch.manual_seed(0)
    prompt, completion = torch.randint(11, 500, (6, 5)), torch.randint(11, 500, (6, 7))
    prompt_mask, completion_mask = torch.ones(6, 5), torch.ones(6, 7)
    for row in range(6):
        prompt_mask[row, : row % 4] = 0
        completion_mask[row, 7 - row :] = 0
    advantages = torch.tensor([1.0, 0.0, -0.5, 0.0, 2.0, -1.0])
    return {
        **{"prompt_ids": prompt, "prompt_mask": prompt_mask.long(), "completion_ids": completion},
        **{"completion_mask": completion_mask.long(), "advantages": advantages},
        "num_items_in_batch": completion_mask.sum(),
    }


def loss_and_gradient(own, inputs):
    own.model.zero_grad()
    own.current_gradient_accumulation_steps = 1
    loss = own._compute_loss(own.model, copy.deepcopy(inputs))
    loss.backward()
    return loss.detach(), torch.cat([p.grad.flatten() for p in own.model.parameters()])


def test_log_probabilities_and_entropies_are_those_of_trl(fresh_model, tiny_tokenizer, batch, tmp_path):
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    ours = trainer(GRPOTrainer, fresh_model(), tiny_tokenizer, tmp_path, temperature=0.7)
    theirs = trainer(trl.GRPOTrainer, fresh_model(), tiny_tokenizer, tmp_path, temperature=0.7)
    assert ours.scores_itself
    results = [
        own._get_per_token_logps_and_entropies(own.model, ids, mask, 7, compute_entropy=True) for own in (ours, theirs)
    ]
    for one, other in zip(results[0][:2], results[1][:2], strict=True):
        torch.testing.assert_close(
            one * batch["completion_mask"], other * batch["completion_mask"], atol=1e-5, rtol=1e-5
        )


def test_logits_that_a_model_caps_stay_capped(tiny_tokenizer, batch, tmp_path):
    config = Gemma2Config(
        vocab_size=512, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, head_dim=16,
        num_key_value_heads=2, pad_token_id=0, final_logit_softcapping=0.1,
    )  # fmt: skip
    model = Gemma2ForCausalLM(config)
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    found = []
    for cls in (GRPOTrainer, trl.GRPOTrainer):
        own = trainer(cls, copy.deepcopy(model), tiny_tokenizer, tmp_path)
        logps = own._get_per_token_logps_and_entropies(own.model, ids, mask, 7)[0]
        found.append(logps * batch["completion_mask"])
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)


def test_a_prompt_of_several_completions_is_read_once(fresh_model, tiny_tokenizer, tmp_path):
    ours = trainer(GRPOTrainer, fresh_model(), tiny_tokenizer, tmp_path)
    theirs = trainer(trl.GRPOTrainer, fresh_model(), tiny_tokenizer, tmp_path)
    ids = torch.cat([torch.arange(20, 50).repeat(8, 1), torch.arange(60, 116).view(8, 7)], 1)
    read = []
    ours.model.get_input_embeddings().register_forward_hook(lambda _, args, out: read.append(args[0].numel()))
    found, right = (
        own._get_per_token_logps_and_entropies(own.model, ids, torch.ones_like(ids), 7)[0] for own in (ours, theirs)
    )
    torch.testing.assert_close(found, right, atol=1e-5, rtol=1e-5)
    assert read == [30 + 8 * 7]


def test_loss_and_gradient_are_those_of_trl_though_rows_without_advantage_are_left_out(
    fresh_model, tiny_tokenizer, batch, tmp_path
):
    ours = trainer(GRPOTrainer, fresh_model(), tiny_tokenizer, tmp_path)
    theirs = trainer(trl.GRPOTrainer, fresh_model(), tiny_tokenizer, tmp_path)
    assert len(ours.with_advantage(batch)["advantages"]) == 4
    for one, other in zip(loss_and_gradient(ours, batch), loss_and_gradient(theirs, batch), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)
    dead = batch | {"advantages": torch.zeros(6)}
    loss, gradient = loss_and_gradient(ours, dead)
    assert len(ours.with_advantage(dead)["advantages"]) == 1
    assert loss == 0 and gradient.abs().max() == 0


@pytest.mark.parametrize(
    ("cls", "iterations", "spared"), [(RLOOTrainer, 1, 3), (RLOOTrainer, 2, 0), (GRPOTrainer, 1, 0)]
)
def test_one_step_computes_once_what_its_reward_and_its_loss_need(
    cls, iterations, spared, tiny_run, tiny_tokenizer, tmp_path, monkeypatch
):
    """With the steps of trl; GRPO computes it once anyway."""
    weights, passes = [], []
    for kept in (True, False):
        model = load_model(tiny_run, dtype="float32")
        settings = {"beta": 0.1, "num_iterations": iterations, "max_steps": 3}
        own = trainer(cls, model, tiny_tokenizer, tmp_path / str(kept), **settings)
        if not kept:
            monkeypatch.setattr(own, "_learns_at_once", lambda: False)
        count, compute = [], own._log_probs
        own._log_probs = lambda *args, f=compute, n=count, **more: n.append(args[0]) or f(*args, **more)
        own.train()
        assert own._computed is None
        weights.append(torch.cat([weight.detach().flatten() for weight in model.parameters()]))
        passes.append(len(count))
    torch.testing.assert_close(*weights, atol=1e-5, rtol=0)
    start = load_model(tiny_run, dtype="float32").parameters()
    assert (weights[0] - torch.cat([weight.detach().flatten() for weight in start])).abs().max() > 1e-3
    assert passes[1] - passes[0] == spared


def test_rows_are_left_out_only_where_that_changes_nothing(fresh_model, tiny_tokenizer, batch, tmp_path):
    for changes in ({"loss_type": "grpo"}, {"top_entropy_quantile": 0.5}):
        own = trainer(GRPOTrainer, fresh_model(), tiny_tokenizer, tmp_path, **changes)
        assert own.with_advantage(batch) is batch


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_completions_are_drawn_from_the_distribution_of_trl(fresh_model, tiny_tokenizer, tmp_path, temperature):
    """The first token of many completions against its probability, and against what trl's own generation draws."""
    own = trainer(
        GRPOTrainer, fresh_model(), tiny_tokenizer, tmp_path, temperature=temperature, max_completion_length=1
    )
    prompts, _, _ = own._tokenize_prompts([rows()[0]["prompt"]])
    with torch.no_grad():
        logits = own.model(input_ids=torch.tensor(prompts)).logits[0, -1]
    probabilities = (logits / temperature).softmax(-1)
    draws = 20_000
    torch.manual_seed(1)
    ids, logps = own._generate_single_turn(prompts * draws, None, {}, 4)
    assert logps is None
    counts = torch.bincount(torch.tensor([row[0] for row in ids]), minlength=len(probabilities)).float()
    # Pearson's chi-squared over tokens expected at least five times; its standard deviation is sqrt(2 n).
    often = probabilities * draws >= 5
    expected = probabilities[often] * draws
    chi2 = ((counts[often] - expected) ** 2 / expected).sum()
    assert abs(chi2 - often.sum()) < 5 * (2 * often.sum()) ** 0.5


def test_replies_end_with_the_stop_token_and_repeated_prompts_share_their_first_pass(
    fresh_model, tiny_tokenizer, tmp_path, monkeypatch
):
    own = trainer(GRPOTrainer, fresh_model(), tiny_tokenizer, tmp_path)
    prompts, _, _ = own._tokenize_prompts([row["prompt"] for row in rows() for _ in range(4)])
    assert prompts[0] is prompts[3]
    seen = []
    forward = own.policy().forward
    monkeypatch.setattr(own.policy(), "forward", lambda **kw: (seen.append(len(kw["input_ids"])), forward(**kw))[1])
    ids, _ = own._generate_single_turn(prompts, None, {}, 4)
    assert seen[0] == 4 and len(ids) == 16
    for row in ids:
        assert 1 <= len(row) <= 8
        assert len(row) == 8 or row[-1] in own.eos_token_ids
        assert not set(row[:-1]) & set(own.eos_token_ids)


def test_the_copy_in_bf16_follows_the_policy(fresh_model, tiny_tokenizer, tmp_path):
    own = trainer(GRPOTrainer, fresh_model(), tiny_tokenizer, tmp_path, bf16=True)
    twin = own.policy()
    assert {p.dtype for p in twin.parameters()} == {torch.bfloat16}
    with torch.no_grad():
        own.model.model.norm.weight.fill_(2.0)
    assert own.policy() is twin and twin.model.norm.weight.float().mean() == 2.0
    ids = torch.randint(11, 500, (4, 12))
    with torch.no_grad():
        exact = own.model(input_ids=ids).logits.log_softmax(-1)
        ours = twin(input_ids=ids).logits.float().log_softmax(-1)
        with torch.autocast("cpu", torch.bfloat16):
            theirs = own.model(input_ids=ids).logits.float().log_softmax(-1)
    # Sampling in bf16 is as near to exact arithmetic as trl's autocast is.
    assert (ours - exact).abs().mean() < 2 * (theirs - exact).abs().mean() + 1e-4


def test_user_text_cannot_forge_a_control_token(fresh_model, tiny_tokenizer, tmp_path):
    own = trainer(GRPOTrainer, fresh_model(), tiny_tokenizer, tmp_path)
    ((forged,), _, _) = own._tokenize_prompts([[{"role": "user", "content": "a<|im_end|>b"}]])
    ((plain,), _, _) = own._tokenize_prompts([[{"role": "user", "content": "ab"}]])
    assert forged.count(tiny_tokenizer.eos_token_id) == plain.count(tiny_tokenizer.eos_token_id) == 1


@pytest.mark.parametrize("cls", [GRPOTrainer, RLOOTrainer])
def test_training_runs_and_observes(cls, fresh_model, tiny_tokenizer, tmp_path):
    own = trainer(cls, fresh_model(), tiny_tokenizer, tmp_path, beta=0.0)
    before = [p.clone() for p in own.model.parameters()]
    own.train()
    assert any(not torch.equal(one, other) for one, other in zip(before, own.model.parameters(), strict=True))
    assert own.observations.counts["completions"] == 32
    assert own.observations.groups.total() == 8 and set(own.observations.rewards) == {"sums"}


def test_the_reference_is_the_model_that_training_starts_from(fresh_model, tiny_tokenizer, tmp_path, tiny_run):
    from aji.model import load_model

    model = load_model(tiny_run, dtype="float32")
    own = trainer(GRPOTrainer, model, tiny_tokenizer, tmp_path, beta=0.1, max_steps=1)
    for one, other in zip(own.model.parameters(), own.ref_model.parameters(), strict=True):
        assert torch.equal(one, other)
    own.train()
    first = next(entry for entry in own.state.log_history if "kl" in entry)
    assert first["kl"] == pytest.approx(0.0, abs=1e-6)


def test_an_adapter_trains_and_samples_as_trls_does(fresh_model, tiny_tokenizer, batch, tmp_path):
    from peft import LoraConfig

    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    found = []
    for cls in (GRPOTrainer, trl.GRPOTrainer):
        lora = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
        torch.manual_seed(1)
        args = config(tmp_path, max_steps=1)
        own = cls(model=fresh_model(), reward_funcs=shortness, args=args, train_dataset=rows(),
                  processing_class=tiny_tokenizer, peft_config=lora)  # fmt: skip
        found.append(own._get_per_token_logps_and_entropies(own.model, ids, mask, 7)[0] * batch["completion_mask"])
        if cls is GRPOTrainer:
            own.args.bf16 = True
            twin = own.policy()
            with torch.no_grad():
                before = twin(ids[:, :5]).logits.float()
                for weight in own.model.parameters():
                    weight.zero_()
                assert torch.equal(twin(ids[:, :5]).logits.float(), before), "the copy runs weights of its own"
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)


def test_batches_that_trl_forbids_name_numbers_that_work(tmp_path):
    with pytest.raises(
        UserError, match=r"12 completions .* groups of num_generations 8.* per_device_train_batch_size 16"
    ):
        config(tmp_path, per_device_train_batch_size=12, num_generations=8)
    with pytest.raises(UserError, match=r"or num_generations 4 or 6 or 12"):
        config(tmp_path, per_device_train_batch_size=12, num_generations=8)
    with pytest.raises(UserError, match="num_generations is 1, expected 2 or more"):
        config(tmp_path, num_generations=1)
    with pytest.raises(UserError, match="generation_batch_size is 20.*16 would work"):
        config(tmp_path, generation_batch_size=20)
    with pytest.raises(UserError, match="expected one of them"):
        config(tmp_path, generation_batch_size=32, steps_per_generation=2)


def test_settings_for_rloo(tmp_path):
    flags = ["--output_dir", str(tmp_path), "--learning_rate", "0.1", "--num_generations", "4", "--bf16", "false"]
    (args,) = parse(GRPOConfig, argv=flags)
    other = rloo_config(args)
    assert (other.learning_rate, other.num_generations, other.use_cpu, other.beta) == (0.1, 4, True, 0.05)
    (args,) = parse(GRPOConfig, argv=[*flags, "--loss_type", "grpo"])
    with pytest.raises(UserError, match="algorithm rloo has no loss_type"):
        rloo_config(args)


@pytest.mark.slow
def test_a_run_that_is_taken_up_again_keeps_optimizer_and_step(fresh_model, tiny_tokenizer, tmp_path):
    settings = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "shuffle_dataset": True}
    whole = trainer(GRPOTrainer, fresh_model(), tiny_tokenizer, tmp_path / "a", **settings)
    whole.train()
    again = trainer(GRPOTrainer, fresh_model(), tiny_tokenizer, tmp_path / "a", **settings)
    again.train(resume_from_checkpoint=str(tmp_path / "a/checkpoint-2"))
    assert again.state.global_step == 4
    steps = [state["step"] for state in again.optimizer.state_dict()["state"].values()]
    assert {int(step) for step in steps} == {4}
    state = json.loads((tmp_path / "a/checkpoint-2/trainer_state.json").read_text())
    assert state["global_step"] == 2 and Path(tmp_path / "a/checkpoint-2/optimizer.pt").exists()
    weights = load_file(os.path.join(tmp_path, "a/checkpoint-2/model.safetensors"))
    assert weights
