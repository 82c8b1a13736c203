"""What two settings of the process save on a CPU: keeping freed memory (`aji.machine`), short spinning (Makefile).

    python bench/cpu_settings.py --rounds 3
    python bench/cpu_settings.py --rounds 3 --busy

The same training steps, each side in a process of its own, in turns. `--busy` runs another program of lowest priority
beside them.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext

import torch

from aji.machine import cpu_has_bf16, keep_freed_memory, use_all_threads
from aji.optim import OptimizerArguments, muon_adamw
from trainer_overhead import WARM_UP, build, pace, training_args
from turns import in_turns


SPIN = {"GOMP_SPINCOUNT": "10000"}
SIDES = {"neither": {}, "memory": {}, "spinning": SPIN, "both": SPIN}


def measure(args: argparse.Namespace) -> None:
    use_all_threads()
    if args.side in ("memory", "both"):
        keep_freed_memory()
    model = build(args)
    factory, options = muon_adamw(OptimizerArguments(use_muon=True), training_args(args, "unused"))
    optimizer = factory()(model, **options)
    forward = torch.compile(model) if args.compile else model
    tokens = torch.randint(0, 4096, (args.batch, 256), generator=torch.Generator().manual_seed(0))
    ends = []
    for _ in range(args.steps):
        with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bf16()):
            loss = forward(input_ids=tokens, labels=tokens, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        ends.append(time.perf_counter())
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"seconds": pace(ends), "faults": used.ru_minflt, "gb": used.ru_maxrss * 1024 / 1e9}))


def busy_program():
    """A program that always wants a core, but never before others."""
    return subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=lambda: os.nice(19))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=WARM_UP + 20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return measure(args)
    with busy_program() if args.busy else nullcontext() as program:
        results = in_turns(list(SIDES), args.rounds, SIDES)
        if program:
            program.kill()
    medians = {side: statistics.median(run["seconds"] for run in runs) for side, runs in results.items()}
    for side, runs in results.items():
        print(
            f"{side:9} {medians[side]:.3f} s/step  {args.batch * 256 / medians[side]:,.0f} tokens/s  "
            f"{medians[side] / medians['neither']:.2f} of neither  {[round(run['seconds'], 3) for run in runs]}  "
            f"{runs[0]['faults'] / 1e6:.1f} million page faults  {max(run['gb'] for run in runs):.2f} GB at most"
        )


if __name__ == "__main__":
    main()
