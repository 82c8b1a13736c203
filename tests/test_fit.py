from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from aji import fit
from aji.callbacks import ConsoleCallback, SampleCallback, StopCallback, duration
from aji.config import parse
from aji.errors import UserError
from aji.optim import OptimizerArguments, set_decay


def arguments(tmp_path, *flags: str) -> TrainingArguments:
    return parse(TrainingArguments, argv=["--output_dir", str(tmp_path), "--use_cpu", "true", *flags])[0]


def test_only_a_long_run_is_compiled(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setattr(fit, "can_compile", lambda: True)
    monkeypatch.setattr(fit, "skip_vector_trials", lambda: True)
    short = arguments(tmp_path, "--max_steps", "10")
    assert fit.compile_if_worth_it(short, tiny_model, 1000, 128) is short
    long = fit.compile_if_worth_it(arguments(tmp_path, "--max_steps", "10000000"), tiny_model, 1000, 128)
    assert long.torch_compile and long.dataloader_drop_last
    epochs = fit.compile_if_worth_it(arguments(tmp_path, "--num_train_epochs", "100000"), tiny_model, 1000, 128)
    assert epochs.torch_compile


def test_what_the_user_says_about_compiling_holds(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setattr(fit, "can_compile", lambda: True)
    off = arguments(tmp_path, "--max_steps", "10000000", "--torch_compile", "false")
    assert not fit.compile_if_worth_it(off, tiny_model, 1000, 128).torch_compile
    monkeypatch.setattr(fit, "can_compile", lambda: False)
    without = fit.compile_if_worth_it(arguments(tmp_path, "--max_steps", "10000000"), tiny_model, 1000, 128)
    assert not without.torch_compile


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run(loss):
    state = TrainerState(global_step=7)
    with pytest.raises(UserError, match="at or before step 7: lower the learning rate"):
        StopCallback().on_log(None, state, None, logs={"loss": loss})
    StopCallback().on_log(None, state, None, logs={"loss": 2.0})
    StopCallback().on_log(None, state, None, logs={"eval_loss": 2.0})


def test_a_stop_that_was_asked_for_saves_first():
    stop, control = StopCallback(), TrainerControl()
    stop.on_step_end(None, None, control)
    assert not control.should_training_stop
    stop.requested = True
    stop.on_step_end(None, None, control)
    assert control.should_save and control.should_training_stop


def test_the_line_of_numbers(capsys, monkeypatch):
    times = iter([100.0, 110.0])
    monkeypatch.setattr("aji.callbacks.time.time", lambda: next(times))
    console, state = ConsoleCallback(1000), TrainerState(max_steps=100, is_world_process_zero=True)
    console.on_train_begin(None, state, None)
    state.global_step = 20
    console.on_log(None, state, None, logs={"loss": 1.5, "learning_rate": 1e-3})
    assert "step     20/100  loss 1.5000  lr 1.0e-03  2,000 tokens/s  0:40 left" in capsys.readouterr().out


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (65.4, "1:05"), (3725, "1:02:05")])
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_samples_are_printed_at_their_interval(tiny_model, tiny_tokenizer, capsys):
    samples = SampleCallback(tiny_tokenizer, ["The cat"], every=10)
    for step in range(1, 26):
        state = TrainerState(global_step=step, max_steps=25, is_world_process_zero=True)
        samples.on_step_end(None, state, None, model=tiny_model)
    assert capsys.readouterr().out.count("  | The cat") == 3


@pytest.mark.parametrize(
    ("flags", "steps"),
    [
        (["--max_steps", "100"], 40),
        (["--num_train_epochs", "2", "--per_device_train_batch_size", "5"], 16),
        (["--max_steps", "100", "--lr_scheduler_kwargs", '{"num_decay_steps": 7}'], 7),
    ],
)
def test_the_decay_is_a_share_of_the_run(tmp_path, flags, steps):
    args = arguments(tmp_path, "--lr_scheduler_type", "warmup_stable_decay", *flags)
    set_decay(OptimizerArguments(), args, rows=100)
    assert args.lr_scheduler_kwargs["num_decay_steps"] == steps


def test_other_schedules_are_left_alone(tmp_path):
    args = arguments(tmp_path, "--lr_scheduler_type", "linear")
    set_decay(OptimizerArguments(), args, rows=100)
    assert not args.lr_scheduler_kwargs


def test_a_text_that_is_read_too_often_is_told(tmp_path):
    args = arguments(tmp_path, "--max_steps", "100", "--per_device_train_batch_size", "5")
    assert fit.describe_length(args, 125, 8) == "1,000 tokens to train on, each read 4 times"
    assert fit.describe_length(args, 50, 8).startswith("400 tokens to train on, each read 10 times. Beyond 4 times")
    assert "each read 250 times" in fit.describe_length(args, 2, 8)
    half = arguments(tmp_path, "--num_train_epochs", "0.5")
    assert fit.describe_length(half, 125, 8).endswith("each read 0.5 times")


def test_a_run_without_a_step_is_no_run(tmp_path, tiny_model):
    class Empty:
        args, model, eval_dataset = arguments(tmp_path), tiny_model, None
        state = TrainerState(global_step=0)
        add_callback = remove_callback = lambda self, callback: None
        train = lambda self, **kwargs: SimpleNamespace(metrics={})  # noqa: E731

    with pytest.raises(UserError, match="the training set is smaller than one batch"):
        fit.fit(Empty(), SimpleNamespace(checkpoint=None, metrics={}, output_dir=tmp_path), 128)
