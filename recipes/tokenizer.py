"""Tokenizer: byte-level BPE learns from documents which bytes belong together.

    accelerate launch recipes/tokenizer.py --config configs/laptop/tokenizer.yaml
    accelerate launch recipes/tokenizer.py --train_file my.txt --vocab_size 8192 --output_dir runs/mine/tokenizer
    accelerate launch recipes/tokenizer.py --train_file en.txt ko.jsonl --compare gpt2 --output_dir runs/mine/tokenizer

Reads   documents (`text` rows) and conversations, one or more files of each.
Writes  a tokenizer to `output_dir` (loads with AutoTokenizer, chat template included), metrics with bytes per token.
Next    `recipes/pretrain.py` trains a model on its tokens; `aji tokens "some text" --tokenizer DIR` shows them.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich import print
from rich.table import Table

from aji.data.load import load_conversations, load_documents
from aji.errors import UserError
from aji.stage import FolderArguments, Stage, run
from aji.tokenizer import (
    bytes_per_token,
    check_tokenizer,
    conversation_texts,
    load_tokenizer,
    sample_texts,
    texts_by_group,
    train_tokenizer,
)


@dataclass
class TokenizerArguments:
    train_file: list[str] = field(metadata={"help": "Documents to learn from: files, folders or Hub ids."})
    chat_file: list[str] = field(
        default_factory=list, metadata={"help": "Conversations to learn from too: files, folders or Hub ids."}
    )
    eval_file: list[str] = field(
        default_factory=list, metadata={"help": "Documents to measure on; without any, those it learned from."}
    )
    text_column: str = field(default="text", metadata={"help": "Column that holds the text of a document."})
    vocab_size: int = field(default=4096, metadata={"help": "Number of tokens, rounded up to a multiple of 64."})
    min_frequency: int = field(default=2, metadata={"help": "A pair rarer than this in the sample is not merged."})
    sample_bytes: int = field(
        default=100_000_000,
        metadata={"help": "Bytes of text to learn from, evenly from all files. Memory: 0.6 GB + 10 times this."},
    )
    model_max_length: int | None = field(
        default=None, metadata={"help": "Context to note in the tokenizer, in tokens."}
    )
    chat_template: Literal["chatml", "chatml_sep"] = field(default="chatml", metadata={"help": "Template to save."})
    compare: list[str] = field(
        default_factory=list, metadata={"help": "Other tokenizers (folders or Hub ids) to print beside this one."}
    )


def main(args: TokenizerArguments, folder_args: FolderArguments) -> None:
    stage = Stage.start("tokenizer", args, folder_args, inputs=(*args.train_file, *args.chat_file, *args.eval_file))
    documents = {name: load_documents(name, args.text_column) for name in args.train_file}
    others = {Path(name).name: load_tokenizer(name) for name in args.compare}
    if len(others) < len(args.compare):
        raise UserError(f"--compare {' '.join(args.compare)}: two of them end in the same name. Rename one folder.")

    chats = [conversation_texts(load_conversations(name), args.chat_template) for name in args.chat_file]
    sample = list(sample_texts([*documents.values(), *chats], args.sample_bytes))
    tokenizer = train_tokenizer(
        sample, args.vocab_size, args.min_frequency, args.model_max_length, args.chat_template, show_progress=True
    )
    check_tokenizer(tokenizer)

    measured = {name: load_documents(name, args.text_column) for name in args.eval_file} or documents
    groups = {}
    for name, rows in measured.items():
        for group, texts in texts_by_group(rows, Path(name).name.split(".")[0]).items():
            groups.setdefault(group, []).extend(texts)
    table = Table("bytes per token", "this one", *others, title=f"{len(tokenizer)} tokens, check passed")
    for group, texts in groups.items():
        values = [bytes_per_token(one, texts) for one in (tokenizer, *others.values())]
        for prefix, value in zip(("", *(f"{other}_" for other in others)), values, strict=True):
            stage.metrics[f"{prefix}bytes_per_token_{group}"] = round(value, 3)
        table.add_row(group, *(f"{value:.2f}" for value in values))
    print(table)

    stage.metrics |= {"vocab_size": len(tokenizer), "sample_bytes": sum(len(text.encode()) for text in sample)}
    with stage.writing() as folder:
        tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    run(main, TokenizerArguments, FolderArguments)
