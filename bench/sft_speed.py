"""SFT here against trl's own trainer as `trl sft` sets it up: tokens per second on the same data and global batch.

    python bench/sft_speed.py --model runs/laptop/pretrain --data runs/laptop/world/dialogs_train.jsonl

Each side runs in a process of its own, in turns, with all cores (`trl sft` under a plain `accelerate launch` would get
one thread). Padding does not count as tokens. The global batch is 16 packed rows of 256 tokens; unpacked, trl gets as
many conversations as such a batch holds.
"""

import argparse
import json
import statistics
import tempfile
import time

import trl
from datasets import load_dataset
from transformers import TrainerCallback
from trl import SFTConfig

from aji.chatml import gate
from aji.data.conversations import encode_conversations
from aji.data.load import load_conversations
from aji.data.packing import pack_conversations, packed_collator
from aji.machine import cpu_has_bf16, keep_freed_memory, use_all_threads
from aji.model import load_model
from aji.tokenizer import load_tokenizer
from aji.upstream import SFTTrainer
from turns import in_turns


SIDES = ("aji", "trl packed", "trl")
LENGTH, ROWS, WARM_UP = 256, 16, 4


class StepTimes(TrainerCallback):
    def __init__(self):
        self.ends = []

    def on_step_end(self, *args, **kwargs):
        self.ends.append(time.perf_counter())


def settings(folder: str, steps: int, **kwargs) -> SFTConfig:
    return SFTConfig(
        output_dir=folder,
        use_cpu=True,
        bf16=cpu_has_bf16(),
        max_length=LENGTH,
        max_steps=steps,
        learning_rate=5e-4,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **kwargs,
    )


def ours(args, folder: str, steps: int, times: StepTimes) -> float:
    """Real tokens in a step."""
    tokenizer, model = load_tokenizer(args.model), load_model(args.model, dtype="float32", attn_implementation="eager")
    rows = encode_conversations(load_conversations(args.data), tokenizer, LENGTH)
    gate.check(tokenizer, model.get_input_embeddings().num_embeddings, rows, LENGTH)
    packed = pack_conversations(rows, LENGTH)
    trainer = SFTTrainer(
        model=model,
        args=settings(
            folder,
            steps,
            per_device_train_batch_size=ROWS,
            activation_checkpointing=False,
            torch_compile=args.compile,
            dataloader_drop_last=True,
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,
        ),
        train_dataset=packed,
        data_collator=packed_collator(LENGTH, tokenizer.pad_token_id),
        processing_class=tokenizer,
        callbacks=[times],
    )
    trainer.train()
    return ROWS * sum(len(row["input_ids"]) for row in rows) / len(packed)


def theirs(args, folder: str, steps: int, times: StepTimes, packing: bool) -> float:
    """Real tokens in a step. The body of trl/scripts/sft.py with its defaults."""
    data = load_dataset("json", data_files=args.data, split="train").select_columns(["messages"])
    conversations = len(data)
    batch = ROWS if packing else round(ROWS * args.per_row)
    trainer = trl.SFTTrainer(
        model=args.model,
        args=settings(folder, steps, per_device_train_batch_size=batch, packing=packing, assistant_only_loss=True),
        train_dataset=data,
        callbacks=[times],
    )
    trainer.train()
    lengths = [len(ids) for ids in trainer.train_dataset["input_ids"]]
    return batch * (sum(lengths) / len(lengths) if packing else sum(lengths) / conversations)


def measure(args) -> None:
    """One side in this process; prints tokens per second as JSON."""
    use_all_threads()
    keep_freed_memory()
    times, steps = StepTimes(), args.steps + WARM_UP
    with tempfile.TemporaryDirectory() as folder:
        if args.side == "aji":
            tokens = ours(args, folder, steps, times)
        else:
            tokens = theirs(args, folder, steps, times, packing=args.side == "trl packed")
    pace = (times.ends[-1] - times.ends[WARM_UP - 1]) / args.steps
    print(json.dumps({"tokens_per_second": tokens / pace, "tokens_per_step": tokens}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="runs/laptop/pretrain")
    parser.add_argument("--data", default="runs/laptop/world/dialogs_train.jsonl")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--per_row", type=float, default=3.9, help="conversations in a packed row, for unpacked trl")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return measure(args)
    results = in_turns(SIDES, args.rounds)
    speeds = {side: [run["tokens_per_second"] for run in runs] for side, runs in results.items()}
    for side, values in speeds.items():
        ratio = statistics.median(speeds["aji"]) / statistics.median(values)
        print(
            f"{side:10} {statistics.median(values):8,.0f} tokens/s  {[round(v) for v in values]}  aji is {ratio:.2f}x"
        )


if __name__ == "__main__":
    main()
