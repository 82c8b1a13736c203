"""Supervised fine-tuning: the base model learns to answer, in ChatML, and to stop.

    accelerate launch recipes/sft.py --config configs/laptop/sft.yaml
    accelerate launch recipes/sft.py --config configs/laptop/sft.yaml --train_file my.jsonl --output_dir runs/mine/sft
    accelerate launch recipes/sft.py --config configs/laptop/sft.yaml --use_peft true --lora_r 16 \\
        --lora_target_modules all-linear --learning_rate 2e-3 --output_dir runs/mine/sft_lora

Reads   a base model (`recipes/pretrain.py`, or any of the Hub) and conversations (`messages` rows and other formats).
Writes  a chat model (or an adapter) to `output_dir`: weights, tokenizer with its template, metrics, manifest, card.
Next    `recipes/eval.py` measures it, `aji chat runs/laptop/sft` talks with it.
"""

from dataclasses import dataclass, field
from typing import Literal

from transformers import set_seed
from trl import ModelConfig, SFTConfig, get_peft_config

from aji.chatml import gate
from aji.data.conversations import encode_conversations
from aji.data.load import DataArguments, load_splits
from aji.data.packing import pack_conversations, packed_collator
from aji.fit import compile_if_worth_it, fit
from aji.model import keep_new_tokens, load_model
from aji.optim import OptimizerArguments, muon_adamw
from aji.stage import Stage, StageArguments, run
from aji.tokenizer import load_tokenizer
from aji.upstream import SFTTrainer


@dataclass
class ChatArguments:
    chat_template: Literal["chatml", "chatml_sep"] | None = field(
        default=None, metadata={"help": "Replace the tokenizer's own template. A base model without one gets chatml."}
    )


def main(
    args: ChatArguments,
    data_args: DataArguments,
    model_args: ModelConfig,
    optimizer_args: OptimizerArguments,
    training_args: SFTConfig,
    stage_args: StageArguments,
) -> None:
    inputs = (model_args.model_name_or_path, *data_args.sources, data_args.eval_file)
    stage = Stage.start("sft", args, data_args, model_args, optimizer_args, training_args, stage_args, inputs=inputs)
    set_seed(training_args.seed)
    tokenizer = load_tokenizer(model_args.model_name_or_path)
    model = load_model(
        model_args.model_name_or_path,
        dtype=model_args.dtype,
        revision=model_args.model_revision,
        attn_implementation=model_args.attn_implementation,
    )
    new_tokens = gate.prepare(tokenizer, model, args.chat_template)
    lora = get_peft_config(model_args)
    if lora and new_tokens:
        model = keep_new_tokens(model, lora, stage.output_dir / "base")

    length = training_args.max_length
    train_rows, eval_rows = (
        encode_conversations(rows, tokenizer, length) if rows else None
        for rows in load_splits(data_args, kind="conversations")
    )
    gate.show(gate.check(tokenizer, model.get_input_embeddings().num_embeddings, train_rows, length))
    train_set = pack_conversations(train_rows, length)

    # The rows are tokens already: trl has nothing left to prepare.
    training_args.dataset_kwargs = {"skip_prepare_dataset": True}
    training_args.remove_unused_columns = False
    trainer = SFTTrainer(
        model=model,
        args=compile_if_worth_it(training_args, model, len(train_set), length),
        data_collator=packed_collator(length, tokenizer.pad_token_id),
        train_dataset=train_set,
        eval_dataset=pack_conversations(eval_rows, length) if eval_rows else None,
        processing_class=tokenizer,
        peft_config=lora,
        optimizer_cls_and_kwargs=muon_adamw(optimizer_args, training_args),
    )
    fit(trainer, stage, length)


if __name__ == "__main__":
    run(main, ChatArguments, DataArguments, ModelConfig, OptimizerArguments, SFTConfig, StageArguments)
