"""Preferences: a chat model replies several times to each prompt, and labelers rank the replies.

    accelerate launch recipes/preferences.py --config configs/laptop/preferences.yaml
    accelerate launch recipes/preferences.py --config configs/laptop/preferences.yaml --label_noise 0.2 \\
        --output_dir runs/mine/preferences

Reads   a chat model (`recipes/sft.py`) and prompts that the labeler of the world can judge replies to.
Writes  pairs (`prompt`, `chosen`, `rejected`) train.jsonl and validation.jsonl to `output_dir`, the rankings they were
        made from in rankings_{train,validation}.jsonl, and what labels allow to learn in metrics.json.
Next    `recipes/reward.py` and `recipes/dpo.py` learn from the pairs.
"""

from dataclasses import dataclass, field
from itertools import islice

from accelerate import PartialState
from transformers import set_seed

from aji.data.preferences import load_preferences
from aji.model import load_model
from aji.preferences import (
    draw_rankings,
    group_sizes,
    help_metrics,
    label_metrics,
    load_prompts,
    reply,
    score_metrics,
    write_rows,
)
from aji.report import tables
from aji.stage import FolderArguments, Stage, run
from aji.tokenizer import load_tokenizer
from aji.world.labeler import Labeler


@dataclass
class SamplingArguments:
    model_name_or_path: str = field(metadata={"help": "Folder or Hub id of the chat model that replies."})
    prompts: str = field(metadata={"help": "Prompts to train on."})
    eval_prompts: str = field(metadata={"help": "Prompts of the held-out pairs."})
    responses_min: int = field(default=4, metadata={"help": "Fewest replies to a prompt."})
    responses_max: int = field(default=9, metadata={"help": "Most replies to a prompt."})
    temperature: float = field(default=1.0, metadata={"help": "Of sampling; at 0 all replies are the same."})
    max_new_tokens: int = field(default=96, metadata={"help": "Longest reply, in tokens; longer ones break off."})
    label_noise: float = field(default=0.1, metadata={"help": "Scale of the labelers' noise, in units of gold score."})
    pairs_per_prompt: int | None = field(default=None, metadata={"help": "Training pairs of a ranking. Default: all."})
    kinds: list[str] | None = field(default=None, metadata={"help": "Prompts of these kinds only. Default: all."})
    max_rows: int | None = field(default=None, metadata={"help": "Use only the first so many prompts of each file."})


def main(args: SamplingArguments, stage_args: FolderArguments) -> None:
    inputs = (args.model_name_or_path, args.prompts, args.eval_prompts)
    stage = Stage.start("preferences", args, stage_args, inputs=inputs)
    set_seed(stage_args.seed)
    tokenizer = load_tokenizer(args.model_name_or_path)
    model = load_model(args.model_name_or_path, dtype="float32").to(PartialState().device).eval()
    labeler = Labeler(args.label_noise, stage_args.seed)

    with stage.writing() as folder:
        for split, source in {"train": args.prompts, "validation": args.eval_prompts}.items():
            rows = load_prompts(source, args.max_rows, args.kinds)
            sizes = group_sizes(len(rows), args.responses_min, args.responses_max, stage_args.seed)
            prompts = [row["prompt"] for row, size in zip(rows, sizes, strict=True) for _ in range(size)]
            sampling = {"temperature": args.temperature, "seed": stage_args.seed, "progress": split}
            replies = iter(reply(model, tokenizer, prompts, args.max_new_tokens, **sampling))
            groups = [list(islice(replies, size)) for size in sizes]
            rankings, left_out = draw_rankings(rows, groups, labeler)
            places = ((f"{split} ranking {number}", row) for number, row in enumerate(rankings, start=1))
            some = args.pairs_per_prompt if split == "train" else None  # all tell best how well a model orders them
            pairs = load_preferences(places, source, pairs_per_prompt=some)
            write_rows(folder / f"rankings_{split}.jsonl", rankings)
            write_rows(folder / f"{split}.jsonl", pairs)
            stage.metrics |= {f"{split}_rankings": len(rankings), f"{split}_pairs": len(pairs)}
            stage.metrics |= {f"{split}_{reason}": count for reason, count in left_out.items()}
        stage.metrics |= label_metrics(pairs, args.label_noise) | score_metrics(rankings) | help_metrics(rows, groups)
    tables.show(stage.metrics, title=stage_args.output_dir)


if __name__ == "__main__":
    run(main, SamplingArguments, FolderArguments)
