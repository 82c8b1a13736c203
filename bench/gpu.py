"""What one GPU does with the models here: training steps through `Trainer`, and replies sampled in batches.

    python bench/gpu.py
    python bench/gpu.py --sizes laptop small --steps 10 --no-compile

Random tokens and random weights: speed does not depend on what they say. Training is a step of `recipes/pretrain.py`
(bf16, Muon for the matrices, AdamW for the rest), eager and compiled, each on a fresh model; the first steps, in which
kernels are chosen and compiled, are left out. The share of the peak counts the FLOPs of the model alone
(`aji.model.flops_per_token`). Replies have all the same length, so none leaves its batch early.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import PartialState
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from aji.data.packing import collate_windows
from aji.generate import for_many, generate
from aji.machine import cpu_has_bf16, has_accelerator, keep_freed_memory, use_all_threads
from aji.model import ModelArguments, build_model, count_parameters, flops_per_token
from aji.optim import OptimizerArguments, muon_adamw
from trainer_overhead import StepTimes


WARM_UP = 8
# FLOP/s with dense bf16 matrices, by the vendor's data sheets.
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}


@dataclass(frozen=True)
class Size:
    """A model, and its batch of `rows` times `context` tokens."""

    hidden: int
    layers: int
    heads: int
    context: int
    vocabulary: int
    rows: int

    def build(self) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
        words = {f"{number}": number for number in range(self.vocabulary)}
        backend = Tokenizer(WordLevel(words, unk_token="0"))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="0", bos_token="0", pad_token="1")
        arguments = ModelArguments(
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            max_position_embeddings=self.context,
        )
        torch.manual_seed(0)
        return build_model(arguments, tokenizer), tokenizer


SIZES = {
    "laptop": Size(256, 4, 4, 256, 5120, 32),  # configs/laptop
    "small": Size(512, 8, 8, 512, 16384, 64),
    "base": Size(768, 12, 12, 1024, 32768, 64),  # the shape of GPT-2
    "large": Size(1024, 24, 16, 1024, 32768, 32),
}


TRAINING = f"size | parameters | | ms a step | tokens/s | TFLOP/s | % of peak | memory, GB | first {WARM_UP} steps, s"
SAMPLING = "size | parameters | replies | tokens/s | replies/s"


def training(size: Size, steps: int, compiled: bool) -> str:
    """A row of the table: seconds per step, tokens per second, FLOP/s, peak memory."""
    model, _ = size.build()
    flops, parameters = flops_per_token(model, size.context), count_parameters(model)
    windows = np.random.default_rng(0).integers(
        0, size.vocabulary, ((steps + WARM_UP) * size.rows, size.context), dtype=np.int32
    )
    data = Dataset.from_dict({"input_ids": list(windows)}).with_format("numpy")
    times = StepTimes()
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            use_cpu=not has_accelerator(),
            bf16=has_accelerator() or cpu_has_bf16(),
            torch_compile=compiled,
            per_device_train_batch_size=size.rows,
            max_steps=steps + WARM_UP,
            learning_rate=3e-4,
            logging_steps=1000,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=model,
            args=settings,
            train_dataset=data,
            data_collator=collate_windows,
            optimizer_cls_and_kwargs=muon_adamw(OptimizerArguments(use_muon=True), settings),
            callbacks=[times],
        )
        trainer.remove_callback(PrinterCallback)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        trainer.train()
    seconds = (times.ends[-1] - times.ends[WARM_UP - 1]) / steps
    first = times.ends[WARM_UP - 1] - start
    pace = size.rows * size.context / seconds
    memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if torch.cuda.is_available() else "-"
    peak = next((peak for name, peak in PEAKS.items() if name in device_name()), None)
    share = f"{100 * flops * pace / peak:.1f}" if peak else "-"
    return (
        f"{parameters / 1e6:.1f} M | {'compiled' if compiled else 'eager'} | {1000 * seconds:.1f} | {pace:,.0f} "
        f"| {flops * pace / 1e12:.2f} | {share} | {memory} | {first:.1f} |"
    )


def sampling(size: Size, replies: int, tokens: int) -> str:
    """A row of the table: tokens and replies per second."""
    model, tokenizer = size.build()
    model = model.to(PartialState().device).eval()
    prompts = np.random.default_rng(0).integers(2, size.vocabulary, (replies, 32)).tolist()
    settings = {"max_new_tokens": tokens, "temperature": 1.0, "stop": [], "decode": False, **for_many(model)}
    generate(model, tokenizer, prompts[:64], **settings)  # kernels are chosen
    start = time.perf_counter()
    done = generate(model, tokenizer, prompts, **settings)
    seconds = time.perf_counter() - start
    written = sum(len(reply.ids) for reply in done)
    return (
        f"{count_parameters(model) / 1e6:.1f} M | {replies:,} of {tokens} tokens "
        f"| {written / seconds:,.0f} | {len(done) / seconds:,.0f} |"
    )


def device_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else str(PartialState().device)


def print_table(head: str, names: list[str], measure: Callable[[Size], str]) -> None:
    """Markdown, each row as soon as it is measured."""
    print(f"\n| {head} |\n|" + "---|" * (head.count("|") + 1))
    for name in names:
        try:
            row = measure(SIZES[name])
        except torch.OutOfMemoryError:
            row = "out of memory |"
        print(f"| {name} | {row}", flush=True)
        torch._dynamo.reset()
        gc.collect()  # the model of this row: the next one may need its memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--replies", type=int, default=1024)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    args = parser.parse_args()
    use_all_threads()
    keep_freed_memory()
    print(f"{device_name()}, torch {torch.__version__}")
    print_table(TRAINING, args.sizes, lambda size: training(size, args.steps, compiled=False))
    print_table(SAMPLING, args.sizes, lambda size: sampling(size, args.replies, args.tokens))
    if args.compile:
        print_table(TRAINING, args.sizes, lambda size: training(size, args.steps, compiled=True))


if __name__ == "__main__":
    main()
