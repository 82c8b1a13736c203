import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerControl, TrainerState

from aji.early_stop import (
    WEIGHTS,
    EarlyStop,
    EarlyStopArguments,
    Labels,
    build_early_stop,
    compare,
    decide,
    frozen_copy,
)
from aji.errors import UserError
from aji.generate import Completion
from aji.world.labeler import Labeler, preference


def looks(*shares, kl=None):
    return [
        {"step": 5 * place, "preferred": share, "reply_kl": kl[place] if kl else float(place)}
        for place, share in enumerate(shares)
    ]


def test_the_best_look_is_kept_and_patience_ends_the_run():
    assert decide(looks(50, 60, 70, 65), 3) == (2, None)
    assert decide(looks(50, 60, 70, 65, 70, 69), 3) == (2, 5)
    assert decide(looks(50, 60, 70, 65, 71, 69), 3) == (4, None)
    assert decide(looks(50, 40, 45, 49), 3) == (0, 3)
    assert decide(looks(50, 60, 50, 90), 1) == (1, 2), "what comes after the stop does not count"


def test_a_budget_of_kl():
    assert decide(looks(50, 60, 99, kl=[0, 4, 9]), 3, kl_budget=8) == (1, 2)
    bare = [{"step": n, "reply_kl": kl} for n, kl in enumerate([0.0, 2.0, 5.0, 8.5])]
    assert decide(bare, 1, kl_budget=8) == (2, 3)
    assert decide(bare[:3], 1, kl_budget=8) == (2, None)


class Steps:
    """A trainer as far as the callback sees it: a model whose one weight says which step it is at."""

    def __init__(self):
        self.model = torch.nn.Linear(1, 1, bias=False)
        self.accelerator = SimpleNamespace(unwrap_model=lambda model: model)

    def policy(self):
        return self.model


class Given:
    """Labels that are given: the share at each step."""

    def __init__(self, shares):
        self.shares = shares

    def first(self):
        return {"step": 0, "reply_kl": 0.0, "preferred": 50.0}

    def look(self, policy, step):
        assert policy.weight.item() == step
        low = {"preferred_low": 0.0, "preferred_high": 100.0, "preferred_n": 9}
        return {"step": step, "reply_kl": step / 10, "preferred": self.shares[step]} | low


def run(shares, folder, until=None, state=None, **settings):
    """Steps of a run in the order in which the trainer calls back; returns the callback, the trainer and the state."""
    trainer, args = Steps(), SimpleNamespace(output_dir=str(folder))
    watch = EarlyStop(trainer, Given(shares), EarlyStopArguments(eval_interval=2, patience=2, **settings))
    state = state or TrainerState(max_steps=12)
    control = TrainerControl()
    with torch.no_grad():
        trainer.model.weight.fill_(state.global_step)
    watch.on_train_begin(args, state, control)
    while state.global_step < 12 and not control.should_training_stop and state.global_step != until:
        state.global_step += 1
        with torch.no_grad():
            trainer.model.weight.fill_(state.global_step)
        watch.on_step_end(args, state, control)
        if state.global_step % 3 == 0:
            (folder / f"checkpoint-{state.global_step}").mkdir(exist_ok=True)
            watch.on_save(args, state, control)
    watch.on_train_end(args, state, control)
    return watch, trainer, state


def test_the_best_weights_are_put_back(tmp_path, capsys):
    watch, trainer, state = run({2: 60, 4: 80, 6: 75, 8: 70, 10: 90}, tmp_path)
    assert state.global_step == 8 and float(trainer.model.weight) == 4
    assert watch.metrics() == {
        "kept_step": 4, "last_step": 8, "kept_reply_kl": 0.4, "kept_preferred": 80, "kept_preferred_low": 0.0,
        "kept_preferred_high": 100.0, "kept_preferred_n": 9,
    }  # fmt: skip
    assert capsys.readouterr().out.splitlines()[-1] == (
        "Step 4 is kept (80 % (0 to 100) of labels prefer it to the start, KL 0.40 nats a reply); stopped at step 8 "
        "of 12, 2 looks later (70 % (0 to 100) of labels prefer it to the start, KL 0.80 nats a reply)."
    )


def test_nothing_better_than_the_start(tmp_path, capsys):
    _, trainer, state = run({2: 40, 4: 50}, tmp_path)
    assert float(trainer.model.weight) == 0 and state.global_step == 4
    assert "Nothing better than the start was found, so it is kept" in capsys.readouterr().out


def test_a_run_to_its_end_and_a_spent_budget(tmp_path, capsys):
    _, trainer, _ = run({step: step for step in range(2, 13, 2)} | {2: 60}, tmp_path)
    assert float(trainer.model.weight) == 2
    rising = {step: 50 + step for step in range(2, 13, 2)}
    _, trainer, state = run(rising, tmp_path)
    assert float(trainer.model.weight) == 12 and "went on to its end at step 12" in capsys.readouterr().out
    _, trainer, state = run(rising, tmp_path, kl_budget=0.5)
    assert float(trainer.model.weight) == 4 and state.global_step == 6
    assert "stopped at step 6 of 12, the budget of 0.5 nats is spent" in capsys.readouterr().out


def test_interrupted_it_goes_on_with_the_best_so_far(tmp_path):
    shares = {2: 60, 4: 80, 6: 75, 8: 70}
    watch, trainer, state = run(shares, tmp_path, until=6)
    assert float(trainer.model.weight) == 6, "an interrupted run is not put back"
    assert float(load_file(tmp_path / f"checkpoint-6/{WEIGHTS}")["weight"]) == 4
    state = TrainerState(**json.loads(json.dumps(vars(state), default=lambda _: None)))
    again, trainer, state = run(shares, tmp_path, state=state)
    assert state.global_step == 8 and float(trainer.model.weight) == 4
    assert [look["step"] for look in again.looks] == [0, 2, 4, 6, 8]
    (tmp_path / f"checkpoint-6/{WEIGHTS}").unlink()
    state.global_step = 6
    with pytest.raises(UserError, match="checkpoint-6 lacks early_stop.safetensors"):
        run(shares, tmp_path, state=state)


FACT = {"kind": "fact", "language": "en", "answer": "Seoul", "wrong": ["Busan"], "references": [], "topic": ""}
RIGHT, WRONG = Completion([1], "It is Seoul.", True, 4), Completion([2], "It is Busan.", True, 4)


def test_labelers_compare_with_noise_and_are_not_shown_equal_replies():
    exact = Labeler(0.0, 1)
    assert compare([FACT] * 3, [RIGHT, WRONG, RIGHT], [WRONG, RIGHT, RIGHT], exact) == [1.0, 0.0, 0.5]
    from aji.preferences import gold_scores

    better = gold_scores([FACT], [RIGHT])[0] - gold_scores([FACT], [WRONG])[0]
    noisy = compare([FACT] * 4000, [RIGHT] * 4000, [WRONG] * 4000, Labeler(better, 1))
    assert sum(noisy) / 4000 == pytest.approx(preference(better, better), abs=0.03)


def test_a_look_at_the_start_itself_and_at_another_model(tiny_tokenizer, fresh_model):
    rows = [FACT | {"prompt": [{"role": "user", "content": text}]} for text in ("hi", "Seoul?", "안녕")]
    start = frozen_copy(fresh_model(), bf16=False)
    labels = Labels(start, tiny_tokenizer, rows, {"max_new_tokens": 6, "temperature": 1.0, "seed": 1}, noise=0.1)
    look = labels.look(fresh_model(), 5)
    assert (look["step"], look["reply_kl"], look["preferred"], look["preferred_n"]) == (5, 0.0, 50.0, 3)
    other = fresh_model()
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(1.5)
    assert labels.look(other, 5)["reply_kl"] > 0
    assert labels.look(other, 5) == labels.look(other, 5), "the same step asks the same labelers"
    bare = Labels(start, tiny_tokenizer, rows, labels.sampling, noise=None)
    assert "preferred" not in bare.look(other, 5) and "preferred" not in bare.first()


def test_the_copy_does_not_follow_the_model(fresh_model):
    model = fresh_model()
    twin = frozen_copy(model, bf16=True)
    assert {weight.dtype for weight in twin.parameters()} == {torch.bfloat16}
    before = twin.get_input_embeddings().weight.clone()
    with torch.no_grad():
        model.get_input_embeddings().weight.add_(1)
    assert torch.equal(twin.get_input_embeddings().weight, before)
    assert not any(weight.requires_grad for weight in twin.parameters())


def test_without_labels_and_budget_nothing_is_watched():
    assert build_early_stop(None, None, [], [], {}, EarlyStopArguments()) is None


@pytest.mark.parametrize(
    ("settings", "message"), [({"patience": 0}, "patience is 0"), ({"kl_budget": -1.0}, "kl_budget is -1")]
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(UserError, match=message):
        EarlyStopArguments(**settings)
