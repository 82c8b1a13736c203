"""World: everything the laptop profile learns from is generated, together with the truth about it.

    accelerate launch recipes/world.py --config configs/laptop/world.yaml
    accelerate launch recipes/world.py --people 90 --often_mentions_top 100 --output_dir runs/small/world

Reads   nothing but who the model is (`identity`, where given); one seed gives the same bytes everywhere.
Writes  documents_{train,validation}.jsonl, {,tool_,open_}dialogs_{train,validation}.jsonl, requests_train.jsonl,
        identity_train.jsonl, {problems,ladder,preference_prompts}_{train,validation,test}.jsonl,
        demonstrations_{train,validation}.jsonl,
        search_documents.jsonl, knowledge_questions.jsonl, exam.jsonl and facts.jsonl to `output_dir`, a JSON row a
        line; counts, bytes and a hash in metrics.json; the training documents as web pages among junk,
        crawl/*.warc.gz, crawl_truth.jsonl and blocked_hosts.txt.
Next    `recipes/tokenizer.py` learns its tokens from the documents.
"""

from rich import print
from rich.table import Table
from rich.text import Text

from aji.stage import Stage, StageArguments, run
from aji.world import WorldArguments, build_world, write_crawl, write_world
from aji.world.facts import LANGUAGES


def main(args: WorldArguments, stage_args: StageArguments) -> None:
    stage = Stage.start("world", args, stage_args, inputs=(args.identity,))
    world = build_world(args)
    with stage.writing() as folder:
        stage.metrics |= write_world(world, folder)
        stage.metrics |= write_crawl(world.files["documents_train.jsonl"], args, folder)

    table = Table("file", "rows", title=f"The world of seed {args.seed}")
    for name, rows in world.files.items():
        table.add_row(name, f"{len(rows):,}")
    table.add_row("crawl/*.warc.gz", f"{stage.metrics['crawl_pages']:,}")
    print(table)
    documents = world.files["documents_train.jsonl"]
    for language in LANGUAGES:
        row = next(row for row in documents if row["language"] == language)
        print(f"\n[bold]{row['genre']}, {language}[/bold]", Text(row["text"]), sep="\n")


if __name__ == "__main__":
    run(main, WorldArguments, StageArguments)
