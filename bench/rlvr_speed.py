"""Seconds of a GRPO step: `aji.rollout.GRPOTrainer` against plain `trl grpo`, same model, batch and machine, in turns.

    python bench/rlvr_speed.py --model runs/laptop/sft --problems runs/laptop/world/ladder_train.jsonl

Both run in a process of their own, in turns, `rounds` times, on the same problems with the same settings and rewards.
The first steps are left out: they allocate and compile. trl is what its command line runs, given the columns that
`GRPOTrainer` wants; all its settings are those of the config but for `use_cpu` and `activation_checkpointing`, without
which it would be slower still.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from statistics import median


WARM_UP = 2


def worker(args: argparse.Namespace) -> None:
    """Trains and prints the seconds of every step as JSON."""
    import trl
    from datasets import Dataset
    from transformers import TrainerCallback

    from aji.data.problems import load_problems
    from aji.machine import cpu_has_bf16, keep_freed_memory, use_all_threads
    from aji.model import load_model
    from aji.rewards import build_rewards
    from aji.rollout import GRPOTrainer
    from aji.tokenizer import load_tokenizer

    use_all_threads()
    keep_freed_memory()
    tokenizer = load_tokenizer(args.model)
    training_args = trl.GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        use_cpu=True,
        bf16=cpu_has_bf16(),
        activation_checkpointing=False,
        per_device_train_batch_size=args.batch,
        num_generations=8,
        max_completion_length=args.length,
        max_steps=args.steps + WARM_UP,
        learning_rate=1e-6,  # so that the replies keep their length and both do the same work
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        seed=args.round,
    )
    times = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_, **__):
            times.append(time.perf_counter())

    trainer = (GRPOTrainer if args.kind == "aji" else trl.GRPOTrainer)(
        model=load_model(args.model, dtype="float32"),
        reward_funcs=build_rewards(["accuracy"], tokenizer, args.length),
        args=training_args,
        train_dataset=Dataset.from_list(load_problems(args.problems, args.tasks)),
        processing_class=tokenizer,
        callbacks=[Clock()],
    )
    trainer.train()
    seconds = [after - before for before, after in zip(times, times[1:], strict=False)][WARM_UP - 1 :]
    history = [entry for entry in trainer.state.log_history if "completions/mean_length" in entry]
    print("RESULT " + json.dumps({"seconds": seconds, "length": [e["completions/mean_length"] for e in history]}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="runs/laptop/sft")
    parser.add_argument("--problems", default="runs/laptop/world/ladder_train.jsonl")
    parser.add_argument("--tasks", nargs="+", default=["carry2", "carry3"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--length", type=int, default=112)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kind", choices=["aji", "trl"])
    parser.add_argument("--round", type=int, default=0)
    args = parser.parse_args()
    if args.kind:
        worker(args)
        return
    found: dict[str, list[float]] = {"aji": [], "trl": []}
    for turn in range(args.rounds):
        for kind in ("aji", "trl") if turn % 2 == 0 else ("trl", "aji"):
            flags = [*sys.argv[1:], "--kind", kind, "--round", str(turn)]
            done = subprocess.run([sys.executable, __file__, *flags], capture_output=True, text=True)
            lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
            if not lines:
                sys.exit(done.stderr[-2000:])
            result = json.loads(lines[0].removeprefix("RESULT "))
            found[kind].append(median(result["seconds"]))
            print(
                f"round {turn} {kind}: {found[kind][-1]:.2f} s/step, {result['length'][-1]:.0f} tokens a reply",
                flush=True,
            )
    ratios = [trl / aji for aji, trl in zip(found["aji"], found["trl"], strict=True)]
    print(f"trl {median(found['trl']):.2f} s, aji {median(found['aji']):.2f} s: {median(ratios):.1f} times as fast")
    print("ratios by round:", ", ".join(f"{ratio:.2f}" for ratio in ratios))


if __name__ == "__main__":
    main()
