"""Knowledge: the model is questioned until it is known what it knows, and rows are written that teach it to say so.

    accelerate launch recipes/knowledge.py --config configs/laptop/knowledge.yaml
    accelerate launch recipes/knowledge.py --model_name_or_path runs/mine/sft --questions my-questions.csv \\
        --output_dir runs/mine/knowledge

Reads   a chat model; questions with answers, or documents of which `question_model` makes some; facts on who it is.
Writes  map.jsonl (each question with its replies), map.png, rows.jsonl and identity.jsonl (conversations to train on).
Next    `recipes/sft.py` with these rows in its mixture: configs/laptop/sft-truthful.yaml.
"""

import random
from dataclasses import dataclass, field

from accelerate import PartialState
from transformers import set_seed

from aji.boundary import BoundaryArguments, boundary_metrics, build_rows, build_search_rows, is_known
from aji.chat_model import Journal, load_chat_model
from aji.data.load import load_documents
from aji.evals.judge import MatchJudge, ModelJudge
from aji.identity import build_dialogs, load_identity
from aji.knowledge import SamplingArguments, interrogate, judge_replies, load_questions, map_metrics, map_row
from aji.manifest import write_rows
from aji.model import load_model
from aji.question_writer import paragraphs, write_questions
from aji.report import tables
from aji.report.knowledge import draw_map
from aji.stage import FolderArguments, Stage, run
from aji.tokenizer import load_tokenizer
from aji.tools import Search


@dataclass
class KnowledgeArguments:
    model_name_or_path: str = field(metadata={"help": "Folder or Hub id of the chat model to question."})
    questions: str | None = field(default=None, metadata={"help": "File with the columns question and answer."})
    documents: str | None = field(default=None, metadata={"help": "Texts to make questions of, with question_model."})
    text_column: str = field(default="text", metadata={"help": "Column of the documents."})
    question_model: str | None = field(
        default=None,
        metadata={"help": "Chat model that writes them: a folder, a Hub id, or a server: http://host/v1#MODEL."},
    )
    judge_model: str | None = field(
        default=None, metadata={"help": "Chat model that judges answers in free text; without it they are matched."}
    )
    max_questions: int | None = field(default=None, metadata={"help": "Ask only so many."})
    search_documents: str | None = field(
        default=None, metadata={"help": "Texts to search: rows with a search call where it does not know as well."}
    )
    identity: str | None = field(default=None, metadata={"help": "YAML with facts on who the model is."})
    identity_rows: int = field(default=40, metadata={"help": "Conversations on it for each topic and language."})


def main(
    args: KnowledgeArguments,
    sampling_args: SamplingArguments,
    boundary_args: BoundaryArguments,
    stage_args: FolderArguments,
) -> None:
    inputs = (args.model_name_or_path, args.questions, args.documents, args.search_documents, args.identity)
    inputs += (args.question_model, args.judge_model)
    stage = Stage.start("knowledge", args, sampling_args, boundary_args, stage_args, inputs=inputs)
    set_seed(stage_args.seed)
    rng = random.Random(stage_args.seed)
    journals = stage.output_dir / "journal"  # what was asked so far; a run that breaks off goes on from it
    if args.documents and args.question_model:
        texts = load_documents(args.documents, args.text_column)["text"]
        writer = load_chat_model(args.question_model, journals / "questions.jsonl")
        rows = write_questions(writer, paragraphs(texts, args.max_questions))
    else:
        rows = load_questions(args.questions, args.max_questions)

    tokenizer = load_tokenizer(args.model_name_or_path)
    model = load_model(args.model_name_or_path, dtype="float32").to(PartialState().device).eval()
    replies = interrogate(model, tokenizer, rows, sampling_args, stage_args.seed, Journal(journals / "replies.jsonl"))
    helper = load_chat_model(args.judge_model, journals / "judge.jsonl") if args.judge_model else None
    asked = judge_replies(rows, replies, ModelJudge(helper) if helper else MatchJudge())

    with stage.writing() as folder:
        stage.metrics |= map_metrics(asked) | boundary_metrics(asked, boundary_args)
        write_rows(folder / "map.jsonl", [map_row(one, is_known(one, boundary_args)) for one in asked])
        draw_map(asked, folder / "map.png")
        taught = build_rows(asked, boundary_args, rng)
        if args.search_documents:
            taught += build_search_rows(asked, boundary_args, Search.from_file(args.search_documents), rng)
        write_rows(folder / "rows.jsonl", taught)
        stage.metrics["rows"] = len(taught)
        if args.identity:
            dialogs = build_dialogs(load_identity(args.identity), rng, args.identity_rows)
            write_rows(folder / "identity.jsonl", dialogs)
            stage.metrics["identity_rows"] = len(dialogs)
    tables.show(stage.metrics, title=f"What {args.model_name_or_path} knows")


if __name__ == "__main__":
    run(main, KnowledgeArguments, SamplingArguments, BoundaryArguments, FolderArguments)
