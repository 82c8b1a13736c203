"""What `Trainer` costs over a bare PyTorch loop: same model, data, optimizer, dtype and compile setting, one process.

    python bench/trainer_overhead.py --steps 30 --rounds 3

The two take turns, so that a drifting machine slows both; the ratio of the medians is the figure.
"""

import argparse
import statistics
import tempfile
import time

import numpy as np
import torch
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

from aji.data.packing import collate_windows
from aji.machine import cpu_has_bf16, has_accelerator, keep_freed_memory, use_all_threads
from aji.optim import OptimizerArguments, muon_adamw


WARM_UP = 5


def build(args: argparse.Namespace) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        attn_implementation="eager",
    )
    return LlamaForCausalLM(config)


def training_args(args: argparse.Namespace, folder: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=folder,
        use_cpu=True,
        bf16=cpu_has_bf16(),
        torch_compile=args.compile,
        per_device_train_batch_size=args.batch,
        max_steps=args.steps,
        learning_rate=3e-3,
        logging_steps=25,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


class StepTimes(TrainerCallback):
    """When each step ended, on a GPU too, so that compiling and setting up do not count."""

    def __init__(self):
        self.ends = []

    def on_step_end(self, *args, **kwargs):
        if has_accelerator():
            torch.accelerator.synchronize()
        self.ends.append(time.perf_counter())


def pace(ends: list[float]) -> float:
    """Seconds per step after the first few, in which compiled code is loaded."""
    return (ends[-1] - ends[WARM_UP - 1]) / (len(ends) - WARM_UP)


def through_trainer(args, data, model) -> float:
    times = StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        settings = training_args(args, folder)
        trainer = Trainer(
            model=model,
            args=settings,
            train_dataset=data,
            data_collator=collate_windows,
            optimizer_cls_and_kwargs=muon_adamw(OptimizerArguments(use_muon=True), settings),
            callbacks=[times],
        )
        trainer.train()
    return pace(times.ends)


def bare_loop(args, data, model) -> float:
    with tempfile.TemporaryDirectory() as folder:
        settings = training_args(args, folder)
    factory, options = muon_adamw(OptimizerArguments(use_muon=True), settings)
    optimizer = factory()(model, **options)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / args.steps)
    forward = torch.compile(model) if args.compile else model
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)).tolist()
    model.train()
    ends = []
    for step in range(args.steps):
        rows = [data[i] for i in order[step * args.batch : (step + 1) * args.batch]]
        batch = collate_windows(rows)
        with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bf16()):
            loss = forward(**batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        ends.append(time.perf_counter())
    return pace(ends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=35)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    args = parser.parse_args()
    use_all_threads()
    keep_freed_memory()
    windows = np.random.default_rng(0).integers(0, 4096, (args.steps * args.batch, 256), dtype=np.int32)
    data = Dataset.from_dict({"input_ids": list(windows)}).with_format("numpy")
    run = {"bare loop": bare_loop, "Trainer": through_trainer}
    seconds = {name: [] for name in run}
    for _ in range(args.rounds):
        for name in run:
            torch._dynamo.reset()
            # A fresh model: accelerate wraps the forward of one that it has prepared before once more.
            seconds[name].append(run[name](args, data, build(args)))
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(
            f"{name:10} {median:.3f} s/step  {args.batch * 256 / median:,.0f} tokens/s  {[round(t, 3) for t in taken]}"
        )
    ratio = statistics.median(seconds["Trainer"]) / statistics.median(seconds["bare loop"])
    print(f"Trainer / bare loop = {ratio:.3f}")


if __name__ == "__main__":
    main()
