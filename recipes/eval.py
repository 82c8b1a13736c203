"""Evaluation: what a checkpoint, base or chat, knows and can do, each figure with its sample size and interval.

    accelerate launch recipes/eval.py --config configs/laptop/eval.yaml
    accelerate launch recipes/eval.py --config configs/laptop/eval.yaml --model_name_or_path runs/laptop/pretrain \\
        --output_dir runs/laptop/eval_base

Reads   a model, documents for bits per byte, an exam (rows `prompt`, `answer`, `task`, `language`, `wrong`), facts on
        who the model is.
Writes  `metrics.json` and every judged reply (`replies.jsonl`) to `output_dir`.
Next    `aji report runs/laptop` collects all stages; `aji chat runs/laptop/sft` talks with the model.
"""

import json
from dataclasses import dataclass, field

from accelerate import PartialState
from transformers import set_seed

from aji.data.load import load_documents
from aji.evals.bits_per_byte import bits_per_byte_by_language
from aji.evals.exam import ask, complete, load_exam, score
from aji.evals.identity import build_questions
from aji.identity import load_identity
from aji.model import is_base, load_model
from aji.report import tables
from aji.stage import FolderArguments, Stage, run
from aji.tokenizer import load_tokenizer
from aji.tools import Calculator, Search


@dataclass
class EvalArguments:
    model_name_or_path: str = field(metadata={"help": "Folder or Hub id of the model."})
    documents: str | None = field(default=None, metadata={"help": "Held-out documents for bits per byte."})
    text_column: str = field(default="text", metadata={"help": "Column of the documents."})
    exam: str | None = field(default=None, metadata={"help": "Questions with known answers."})
    identity: str | None = field(default=None, metadata={"help": "YAML with facts on who the model is, to ask about."})
    search_documents: str | None = field(
        default=None, metadata={"help": "Pages for search: asks also the exam's questions that are for tools."}
    )
    max_new_tokens: int = field(default=128, metadata={"help": "Longest reply, in tokens."})
    max_questions: int | None = field(default=None, metadata={"help": "Ask only the first so many of each task."})


def main(args: EvalArguments, stage_args: FolderArguments) -> None:
    inputs = (args.model_name_or_path, args.documents, args.exam, args.search_documents, args.identity)
    stage = Stage.start("eval", args, stage_args, inputs=inputs)
    set_seed(stage_args.seed)
    tokenizer = load_tokenizer(args.model_name_or_path)
    model = load_model(args.model_name_or_path, dtype="float32").to(PartialState().device).eval()

    chat = not is_base(args.model_name_or_path, tokenizer)
    tools = [Search.from_file(args.search_documents), Calculator()] if chat and args.search_documents else []
    rows = load_exam(args.exam, args.max_questions, bool(tools)) if args.exam else []
    rows += map(complete, build_questions(load_identity(args.identity))) if args.identity else []
    judged = []
    if args.documents:
        documents = load_documents(args.documents, args.text_column)
        stage.metrics |= bits_per_byte_by_language(model, tokenizer, documents)
    if rows:
        replies = ask(model, tokenizer, rows, chat, args.max_new_tokens, tools)
        metrics, judged = score(rows, replies, chat)
        stage.metrics |= metrics

    with stage.writing() as folder, open(folder / "replies.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in judged)
    tables.show(stage.metrics, title=args.model_name_or_path)


if __name__ == "__main__":
    run(main, EvalArguments, FolderArguments)
