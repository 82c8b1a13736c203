"""What it saves to keep freed memory (`aji.machine.keep_freed_memory`): the same training steps with and without.

    python bench/freed_memory.py --rounds 3

Each side runs in a process of its own, in turns: the setting cannot be taken back within one.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch

from aji.machine import cpu_has_bf16, keep_freed_memory, use_all_threads
from trainer_overhead import WARM_UP, build, pace


SIDES = ("default", "kept")


def measure(args: argparse.Namespace) -> None:
    use_all_threads()
    if args.side == "kept":
        keep_freed_memory()
    model = build(args)
    forward = torch.compile(model) if args.compile else model
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=WARM_UP + 20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return measure(args)
    results = {side: [] for side in SIDES}
    for _ in range(args.rounds):
        for side in SIDES:
            command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results[side].append(json.loads(done.stdout.splitlines()[-1]))
    medians = {side: statistics.median(run["seconds"] for run in runs) for side, runs in results.items()}
    for side, runs in results.items():
        print(
            f"{side:8} {medians[side]:.3f} s/step  {[round(run['seconds'], 3) for run in runs]}  "
            f"{runs[0]['faults'] / 1e6:.1f} million page faults  {max(run['gb'] for run in runs):.2f} GB at most"
        )
    print(f"kept / default = {medians['kept'] / medians['default']:.3f}")


if __name__ == "__main__":
    main()
