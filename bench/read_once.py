"""A reward model's training step that reads once what rows have in common, against one that reads every row.

The first computes its last layer only where a reward is, too.

    python bench/read_once.py --model runs/laptop/rlvr --pairs runs/laptop/preferences/train.jsonl

Both learn from the same pairs in batches of 32, in turns, `rounds` times: one from batches of pairs of one length, of
which little is padding, the other from batches of pairs of a few rankings, which share prompts.
"""

import argparse
import copy
import time
from collections import Counter
from statistics import median

import torch
from torch.nn.functional import logsigmoid
from tqdm import tqdm

from aji.data.load import open_rows
from aji.data.preferences import encode_preferences, load_preferences
from aji.machine import cpu_has_bf16, keep_freed_memory, use_all_threads
from aji.preferences import whole_conversations
from aji.prefixes import fold, read_once
from aji.reward_model import build_reward_model
from aji.tokenizer import load_tokenizer


SIZE = 32


def padded(rows: list[dict], pad: int) -> dict[str, torch.Tensor]:
    texts = [row[side] for side in ("chosen_ids", "rejected_ids") for row in rows]
    longest = max(map(len, texts))
    ids = torch.tensor([text + [pad] * (longest - len(text)) for text in texts])
    lengths = torch.tensor([len(text) for text in texts])
    return {"input_ids": ids, "attention_mask": (torch.arange(longest) < lengths[:, None]).long()}


def seconds(model: torch.nn.Module, batches: list[dict]) -> float:
    """Of a step, forward and backward."""
    start = time.perf_counter()
    for batch in batches:
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bf16()):
            chosen, rejected = model(**batch, use_cache=False).logits.squeeze(-1).chunk(2)
        (-logsigmoid(chosen - rejected).mean()).backward()
    return (time.perf_counter() - start) / len(batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--pairs", required=True)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    use_all_threads()
    keep_freed_memory()
    tokenizer = load_tokenizer(args.model)
    pairs = load_preferences(open_rows(args.pairs, max_rows=args.steps * SIZE), args.pairs)
    rows = whole_conversations(encode_preferences(pairs, tokenizer, 256, Counter()))
    by_length = sorted(rows, key=lambda row: max(len(row["chosen_ids"]), len(row["rejected_ids"])))
    plain, together = (
        [padded(some[start : start + SIZE], tokenizer.pad_token_id) for start in range(0, len(some), SIZE)]
        for some in (by_length, rows)
    )
    every = build_reward_model(args.model, tokenizer, dtype="float32", attn_implementation="eager")
    once = copy.deepcopy(every)
    vars(every.base_model).pop("forward")  # the method of its class, which reads every row
    sides = {"every row": (every, plain), "once": (read_once(once), together)}
    for model, batches in sides.values():
        seconds(model, batches[:3])
    times = {name: [] for name in sides}
    for _ in tqdm(range(args.rounds), desc="rounds"):
        for name, side in sides.items():
            times[name].append(seconds(*side))
    tokens = {"every row": sum(batch["input_ids"].numel() for batch in plain) / len(plain)}
    tokens["once"] = sum(fold(*batch.values()).ids.numel() for batch in together) / len(together)
    for name, own in times.items():
        print(f"{name}: {1000 * median(own):.0f} ms a step, {tokens[name]:,.0f} tokens")
    ratios = [a / b for a, b in zip(times["every row"], times["once"], strict=True)]
    print(f"read once is {median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
