"""The tail that all training recipes share. Apart from `aji.stage`, since importing `Trainer` takes seconds."""

import dataclasses
import os
import shutil
from collections.abc import Callable

import torch
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from aji.callbacks import ConsoleCallback, StopCallback
from aji.config import set_explicitly
from aji.errors import Interrupted, UserError
from aji.machine import can_compile
from aji.manifest import write_json
from aji.model import count_parameters, flops_per_token
from aji.optim import rows_per_step, rows_read
from aji.report import tables
from aji.report.card import write_card
from aji.stage import Stage
from aji.upstream import skip_vector_trials


# torch.compile takes about this long on two cores, and then saves two fifths of the time.
COMPILE_SECONDS = 25
COMPILE_SAVES = 0.4
# Floating-point operations per second and core that eager training reaches (bf16, fp32), for deciding on it.
CPU_SPEED = {True: 1.5e11, False: 0.6e11}
# A text read so often is still about as good as new ones (Muennighoff et al. 2023, arXiv 2305.16264).
MANY_TIMES = 4


def describe_length(args: TrainingArguments, rows: int, length: int) -> str:
    """How many tokens there are and how often the run reads each, in one line, with advice where that is too often."""
    times = rows_read(args, rows) / rows
    often = f"{times:.2g}" if times < 10 else f"{times:,.0f}"
    line = f"{rows * length:,} tokens to train on, each read {often} times"
    if times > MANY_TIMES:
        line += (
            f". Beyond {MANY_TIMES} times a text teaches less and less but to recite it (Muennighoff et al. 2023): "
            "lower max_steps, or add text."
        )
    return line


def compile_if_worth_it(args: TrainingArguments, model: PreTrainedModel, rows: int, length: int) -> TrainingArguments:
    """Switch `torch_compile` on where a compiler exists and the run is long enough to earn its start back.

    What the user set is left alone. Decides for the CPU, from the FLOPs of the run; on a GPU it stays a choice.

    Args:
        rows: rows of the training set.
        length: tokens per row.
    """
    if set_explicitly(args, "torch_compile") or args.device.type != "cpu" or not can_compile():
        return args
    speed = CPU_SPEED[bool(args.bf16)] * torch.get_num_threads() * args.world_size
    seconds = rows_read(args, rows) * length * flops_per_token(model, length) / speed
    if seconds * COMPILE_SAVES < COMPILE_SECONDS or rows < rows_per_step(args):
        return args
    print("compiling the model; the first step takes up to a minute")
    skip_vector_trials()
    # A last batch of another size would be compiled anew.
    return dataclasses.replace(args, torch_compile=True, dataloader_drop_last=True)


def fit(
    trainer: Trainer,
    stage: Stage,
    row_tokens: int | None = None,
    evaluate: Callable[[], dict] | None = None,
    console: TrainerCallback | None = None,
    watch: TrainerCallback | None = None,
) -> dict:
    """The tail of every training recipe: train or resume, save, evaluate, write metrics, manifest and card.

    Args:
        trainer: a `Trainer` of transformers or trl, its data already in place.
        stage: the run, from `Stage.start`.
        row_tokens: tokens in a row of a batch, for the pace; None where trl counts what the model reads and writes.
        evaluate: more measurements on the trained model, added to the metrics; returns flat names and numbers.
        console: prints the run, in place of `ConsoleCallback`; has `first_step` and may have `metrics()`.
        watch: another callback.

    Returns:
        The metrics that were written to `metrics.json`.

    Raises:
        Interrupted: after Ctrl-C, once the step is finished and a checkpoint is saved.
        UserError: when no step was made, since the training set is smaller than a batch.
    """
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    args = trainer.args
    console = console or ConsoleCallback(row_tokens * rows_per_step(args))
    stop = StopCallback()
    for callback in filter(None, (watch, console, stop)):
        trainer.add_callback(callback)

    with stop.on_interrupt():
        train = trainer.train(resume_from_checkpoint=stage.checkpoint).metrics
    if stop.requested:
        flag = "" if stage.goes_on else " and --resume_from_checkpoint true"
        raise Interrupted(
            f"Interrupted at step {trainer.state.global_step} of {trainer.state.max_steps}; a checkpoint is saved in "
            f"{stage.output_dir}. Go on with the same command{flag}."
        )
    steps = trainer.state.global_step
    if not steps:
        raise UserError(
            "no step was made: the training set is smaller than one batch. "
            "Lower --per_device_train_batch_size, or give more rows."
        )
    tokens = trainer.state.num_input_tokens_seen if row_tokens is None else steps * row_tokens * rows_per_step(args)
    metrics = stage.metrics | {
        "train_loss": round(train["train_loss"], 4),
        "train_steps": steps,
        "train_tokens": tokens,
        "train_seconds": round(train["train_runtime"], 1),
        "train_tokens_per_second": round((1 - console.first_step / steps) * tokens / train["train_runtime"]),
        "parameters": count_parameters(trainer.model),
    }
    metrics |= console.metrics() if hasattr(console, "metrics") else {}
    if trainer.eval_dataset is not None:
        metrics["eval_loss"] = round(trainer.evaluate()["eval_loss"], 4)
    metrics |= evaluate() if evaluate else {}
    _save(trainer, stage, metrics)
    if trainer.args.push_to_hub:
        trainer.push_to_hub()
    if trainer.is_world_process_zero():
        tables.show(metrics, title=str(stage.output_dir))
    return metrics


def _save(trainer: Trainer, stage: Stage, metrics: dict) -> None:
    """Write the model beside its place, then move it there file by file; the manifest comes last."""
    partial = stage.output_dir / ".partial"
    trainer.save_model(str(partial))
    if not trainer.is_world_process_zero():
        return
    for file in partial.iterdir():
        os.replace(file, stage.output_dir / file.name)
    partial.rmdir()
    write_json(stage.output_dir / "log_history.json", trainer.state.log_history)
    write_card(stage.output_dir, stage.recipe, stage.parents, metrics)
    stage.finish(metrics)
    for checkpoint in stage.output_dir.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
