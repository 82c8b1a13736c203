"""Pretraining: a Llama with random weights learns to continue documents.

    accelerate launch recipes/pretrain.py --config configs/laptop/pretrain.yaml
    accelerate launch recipes/pretrain.py --config configs/laptop/pretrain.yaml \\
        --train_file my.txt --eval_file other.txt --chat_file chats.jsonl --output_dir runs/mine/pretrain

Reads   documents (`text` rows) and a tokenizer (`recipes/tokenizer.py`).
Writes  a base model to `output_dir`: weights, tokenizer, metrics with held-out bits per byte, manifest, card.
Next    `recipes/sft.py` turns the base model into an assistant.
"""

from dataclasses import dataclass, field

from datasets import concatenate_datasets
from transformers import Trainer, TrainingArguments, set_seed

from aji.callbacks import SampleCallback
from aji.data.load import DataArguments, load_conversations, load_splits
from aji.data.packing import collate_windows, pack_documents
from aji.evals.bits_per_byte import bits_per_byte
from aji.fit import compile_if_worth_it, describe_length, fit
from aji.model import ModelArguments, build_model, describe
from aji.optim import OptimizerArguments, muon_adamw, set_decay
from aji.stage import Stage, StageArguments, run
from aji.tokenizer import load_tokenizer


@dataclass
class PretrainArguments:
    tokenizer_name_or_path: str = field(metadata={"help": "Folder or Hub id of the tokenizer."})
    chat_file: list[str] = field(
        default_factory=list,
        metadata={"help": "Files of conversations to mix with the documents, in ChatML: SFT then meets no strangers."},
    )
    sample_prompts: list[str] = field(
        default_factory=lambda: ["The", "나는"], metadata={"help": "Openings that the model continues now and then."}
    )
    sample_steps: int = field(default=100, metadata={"help": "Interval of those samples, in steps."})


def main(
    args: PretrainArguments,
    data_args: DataArguments,
    model_args: ModelArguments,
    optimizer_args: OptimizerArguments,
    training_args: TrainingArguments,
    stage_args: StageArguments,
) -> None:
    stage = Stage.start(
        "pretrain", args, data_args, model_args, optimizer_args, training_args, stage_args,
        inputs=(*data_args.sources, *args.chat_file, data_args.eval_file, args.tokenizer_name_or_path),
    )  # fmt: skip
    set_seed(training_args.seed)
    tokenizer = load_tokenizer(args.tokenizer_name_or_path)
    model = build_model(model_args, tokenizer)
    context = model_args.max_position_embeddings

    train_documents, eval_documents = load_splits(data_args, kind="documents")
    train_set = pack_documents(train_documents, tokenizer, context)
    chats = [pack_documents(load_conversations(source), tokenizer, context) for source in args.chat_file]
    train_set = concatenate_datasets([train_set, *chats])
    eval_set = pack_documents(eval_documents, tokenizer, context) if eval_documents else None
    print(describe(model, context), describe_length(training_args, len(train_set), context), sep="\n")

    set_decay(optimizer_args, training_args, len(train_set))
    trainer = Trainer(
        model=model,
        args=compile_if_worth_it(training_args, model, len(train_set), context),
        data_collator=collate_windows,
        train_dataset=train_set,
        eval_dataset=eval_set,
        processing_class=tokenizer,
        optimizer_cls_and_kwargs=muon_adamw(optimizer_args, training_args),
        callbacks=[SampleCallback(tokenizer, args.sample_prompts, args.sample_steps)],
    )
    held_out = (lambda: bits_per_byte(model, tokenizer, eval_documents, context)) if eval_documents else None
    fit(trainer, stage, context, evaluate=held_out)


if __name__ == "__main__":
    run(main, PretrainArguments, DataArguments, ModelArguments, OptimizerArguments, TrainingArguments, StageArguments)
