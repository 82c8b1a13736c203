import json
import math

import pytest
import torch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from trl import DPOConfig, RLOOConfig

from aji import chatml
from aji.data.packing import IGNORED
from aji.dpo import DPOTrainer, check_first_loss
from aji.errors import UserError
from aji.model import load_model
from aji.preferences import token_rows
from aji.replay import Replay, ReplayArguments, build_replay, load_prompts
from aji.rlhf import RLOOTrainer
from aji.tools import Search, schemas
from aji.upstream import ROUNDED


def turn(role, text):
    return {"role": role, "content": text}


@pytest.fixture
def sources(tmp_path):
    prompts = [{"prompt": f"{n} + 1?"} for n in range(8)]
    dialogs = [
        {"messages": [turn("system", "Be short."), turn("user", f"Hi {n}"), turn("assistant", "Hello."),
                      turn("user", "More"), turn("assistant", "No.")]} for n in range(4)
    ]  # fmt: skip
    paths = {}
    for name, rows in (("prompts", prompts), ("dialogs", dialogs)):
        paths[name] = str(tmp_path / f"{name}.jsonl")
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return paths


def test_first_questions_are_what_stands_before_the_first_reply(sources):
    half = load_prompts(sources["prompts"], 0.5)
    assert len(half) == 4 and all(
        one in [{"messages": [turn("user", f"{n} + 1?")], "tools": None} for n in range(8)] for one in half
    )
    assert load_prompts(sources["dialogs"], 1)[1]["messages"] == [turn("system", "Be short."), turn("user", "Hi 1")]


def test_with_tools_the_call_and_what_is_made_of_the_result_are_kept(tmp_path, tiny_tokenizer):
    call = {"type": "function", "function": {"name": "search", "arguments": '{"query": "Mira"}'}}
    messages = [turn("user", "Who is Mira?"), turn("assistant", "") | {"tool_calls": [call]},
                turn("tool", "Mira has a cat.") | {"name": "search"}, turn("assistant", "She has a cat.")]  # fmt: skip
    tools = json.dumps(schemas([Search]))
    path = tmp_path / "looked-up.jsonl"
    path.write_text("".join(json.dumps({"messages": messages, "tools": tools}) + "\n" for _ in range(4)))
    prompts = load_prompts(str(path), 0.5)
    assert [(prompt["messages"], prompt["tools"]) for prompt in prompts] == 2 * [
        (messages[:1], tools),
        (messages[:3], tools),
    ]
    asked = chatml.encode(tiny_tokenizer, [prompts[1]["messages"]], True, [tools])[0].input_ids
    text = tiny_tokenizer.decode(asked)
    assert "search(query, about?)" in text and "Mira has a cat." in text
    assert text.endswith("<|im_start|>assistant\n")


def test_what_cannot_be_replayed_is_told(sources, tmp_path):
    with pytest.raises(UserError, match=r"0\.01 of the 8 prompts in .* is none. Give a larger share"):
        load_prompts(sources["prompts"], 0.01)
    other = tmp_path / "texts.jsonl"
    other.write_text('{"text": "Once upon a time."}\n')
    with pytest.raises(UserError, match=r"texts.jsonl row 1: found neither prompt nor messages"):
        load_prompts(str(other), 1)
    with pytest.raises(UserError, match=r"replay: found weight -1 of a, expected a positive number"):
        ReplayArguments(replay={"a": -1})
    with pytest.raises(UserError, match=r"replay_weight is 0, expected more than 0"):
        ReplayArguments(replay_weight=0)


def test_nothing_is_replayed_by_default(tiny_model, tiny_tokenizer):
    assert build_replay(tiny_model, tiny_tokenizer, ReplayArguments(), 0) is None


def test_it_is_the_likeliest_reply_of_the_start_that_is_learnt_again(fresh_model, tiny_tokenizer, sources):
    model = fresh_model().eval()
    asked = {
        tuple(row.input_ids)
        for path in sources.values()
        for row in chatml.encode(tiny_tokenizer, [one["messages"] for one in load_prompts(path, 1)], True)
    }
    # The untrained model would never stop: what it says most often first ends a reply from now on.
    firsts = [model(input_ids=torch.tensor([ids])).logits[0, -1].argmax().item() for ids in asked]
    model.generation_config.eos_token_id = [tiny_tokenizer.eos_token_id, max(set(firsts), key=firsts.count)]
    replay = build_replay(model, tiny_tokenizer, ReplayArguments(dict.fromkeys(sources.values(), 1)), 0)
    for row in replay.rows:
        ends = row["seq_lengths"].cumsum().tolist()
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            ids, labels = row["input_ids"][start:end].tolist(), row["labels"][start:end].tolist()
            size = labels.count(IGNORED)
            assert tuple(ids[:size]) in asked
            logits = model(input_ids=torch.tensor([ids])).logits[0]
            assert logits[size - 1 : -1].argmax(-1).tolist() == ids[size:] == labels[size:]


def test_replies_of_different_lengths_share_rows_and_none_sees_its_neighbour(tiny_model):
    rows = [{"prompt": [5] * n, "reply": [20 + n, 21]} for n in (14, 2, 3, 2, 3)]
    replay = Replay(rows, ReplayArguments(replay_batch_size=5))
    assert replay.size == len(replay.rows) == 3
    alone = [Replay([row], ReplayArguments(replay_batch_size=1)).loss(tiny_model, 0).item() for row in rows]
    assert replay.loss(tiny_model, 0).item() == pytest.approx(sum(alone) / 5, rel=1e-5)


def test_a_model_that_never_stops_has_nothing_to_replay(tiny_model, tiny_tokenizer, sources):
    with pytest.raises(UserError, match="replay: the model ended none of its replies"):
        build_replay(tiny_model, tiny_tokenizer, ReplayArguments({sources["prompts"]: 1}, replay_max_new_tokens=3), 0)


def test_prompts_as_long_as_the_context_are_left_out_and_counted(tiny_model, tiny_tokenizer, tmp_path, capsys):
    path = tmp_path / "mixed.jsonl"
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in ("Hi", "Hi " * 3000)))
    with pytest.raises(UserError, match="ended none"):  # the untrained model never stops
        build_replay(tiny_model, tiny_tokenizer, ReplayArguments({str(path): 1}, replay_max_new_tokens=3), 0)
    assert "replay: 1 of 2 prompts are left out: longer than the model's" in capsys.readouterr().out
    path.write_text(json.dumps({"prompt": "Hi " * 3000}) + "\n")
    with pytest.raises(UserError, match="replay: no prompt fits into the model's context"):
        build_replay(tiny_model, tiny_tokenizer, ReplayArguments({str(path): 1}), 0)


ROWS = [{"prompt": [5, 6, 7], "reply": [20, 21]}, {"prompt": [8], "reply": [30, 31, 32, 33]}]


def test_the_loss_is_the_mean_over_the_tokens_of_the_replies(tiny_model):
    found = Replay(ROWS, ReplayArguments(replay_weight=2.0, replay_batch_size=2)).loss(tiny_model, 0)
    logits, labels = [], []
    for row in ROWS:
        ids = torch.tensor([row["prompt"] + row["reply"]])
        logits.append(tiny_model(input_ids=ids).logits[0, len(row["prompt"]) - 1 : -1].float())
        labels += row["reply"]
    expected = 2 * cross_entropy(torch.cat(logits), torch.tensor(labels))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_gradients_are_those_of_the_whole_model_and_prompts_cost_less(fresh_model):
    model = fresh_model()
    replay = Replay(ROWS, ReplayArguments(replay_batch_size=2))
    batch = replay.collate(replay.rows)
    found, counts = [], []
    watched = (model.get_output_embeddings(), model.model.layers[-1].mlp)
    for part in watched:
        part.register_forward_hook(lambda _, args, out: counts.append(args[0][..., 0].numel()), prepend=True)
    for loss in (replay.loss(model, 0), model(**batch, use_cache=False).loss):
        model.zero_grad()
        loss.backward()
        found.append(torch.cat([loss.detach()[None], *(p.grad.flatten() for p in model.parameters())]))
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-4)
    last_layer, head, whole_layer, whole_head = counts
    assert last_layer == 6 < whole_layer == whole_head == batch["input_ids"].numel()
    assert head == ROUNDED


def test_each_step_takes_the_next_replies(tiny_model):
    replay = Replay(ROWS, ReplayArguments(replay_batch_size=1))
    losses = [replay.loss(tiny_model, place).item() for place in range(3)]
    assert losses[0] == losses[2] != losses[1]


QUIET = {"use_cpu": True, "bf16": False, "report_to": "none", "save_strategy": "no", "disable_tqdm": True,
         "activation_checkpointing": False, "logging_steps": 1, "max_steps": 4, "learning_rate": 1e-3}  # fmt: skip


def of_dpo(model, tokenizer, folder):
    stop = tokenizer.eos_token_id
    rows = [{"prompt_ids": [9, 9], "chosen_ids": [40 + n, stop], "rejected_ids": [60 + n, stop]} for n in range(4)]
    data = token_rows(rows, "prompt_ids", "chosen_ids", "rejected_ids")
    args = DPOConfig(output_dir=str(folder), per_device_train_batch_size=4, precompute_ref_log_probs=True, **QUIET)
    return DPOTrainer(model=model, args=args, train_dataset=data, processing_class=tokenizer)


def of_rloo(model, tokenizer, folder):
    args = RLOOConfig(
        output_dir=str(folder), per_device_train_batch_size=4, num_generations=2, max_completion_length=4, **QUIET
    )
    data = Dataset.from_list([{"prompt": [turn("user", "hi")]}] * 4)
    return RLOOTrainer(
        model=model, args=args, train_dataset=data, processing_class=tokenizer,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
    )  # fmt: skip


@pytest.mark.parametrize("build", [of_dpo, of_rloo], ids=["dpo", "rloo"])
def test_a_trainer_learns_it_beside_its_own(tiny_run, tiny_tokenizer, tmp_path, build):
    """A reply that is replayed becomes likelier, though preferences say nothing of it."""
    trainer = build(load_model(tiny_run, dtype="float32"), tiny_tokenizer, tmp_path)
    if build is of_dpo:
        assert check_first_loss(trainer) == pytest.approx(math.log(2), abs=1e-5)
    trainer.replay = Replay(ROWS, ReplayArguments(replay_batch_size=2))
    before = trainer.replay.loss(trainer.model, 0).item()
    trainer.train()
    assert trainer.replay.loss(trainer.model, 0).item() < before - 0.1
