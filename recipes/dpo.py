"""Direct preference optimisation: a chat model learns from comparisons without a reward model.

    accelerate launch recipes/dpo.py --config configs/laptop/dpo.yaml
    accelerate launch recipes/dpo.py --config configs/laptop/dpo.yaml --loss_type ipo --loss_weights 1.0 \\
        --output_dir runs/mine/ipo
    accelerate launch recipes/dpo.py --config configs/laptop/dpo.yaml --train_file pairs.jsonl --eval_tail 0.1 \\
        --eval_file null --eval_prompts null --replay null --max_rows null --use_peft true \\
        --lora_target_modules all-linear --output_dir runs/mine/dpo

Reads   a chat model (`recipes/sft.py`, or any of the Hub) and comparisons (`prompt`, `chosen`, `rejected`, and other
        forms).
Writes  a chat model (or an adapter) to `output_dir`, and how often its replies win against those before.
Next    `recipes/eval.py` measures what else changed, `aji chat runs/laptop/dpo` talks with it.
"""

from dataclasses import dataclass, field

from transformers import set_seed
from trl import DPOConfig, ModelConfig, get_peft_config

from aji.chatml import gate
from aji.data.preferences import PreferenceArguments, encode_preferences, load_preference_splits, pair_counts
from aji.dpo import DPOTrainer, PreferenceWatch, check_first_loss, compare_replies, warnings
from aji.fit import fit
from aji.model import load_chat_model
from aji.preferences import load_prompts, reply, token_rows
from aji.replay import ReplayArguments, build_replay
from aji.stage import Stage, StageArguments, run


@dataclass
class ComparisonArguments:
    eval_prompts: str | None = field(
        default=None,
        metadata={"help": "Prompts of the world to reply to before and after, for win rates by the labeler."},
    )
    eval_temperature: float = field(default=1.0, metadata={"help": "Temperature of those replies."})
    eval_samples: int = field(default=4, metadata={"help": "Replies to each prompt, before and after."})
    max_new_tokens: int = field(default=96, metadata={"help": "Longest of those replies, in tokens."})


def main(
    args: ComparisonArguments,
    data_args: PreferenceArguments,
    replay_args: ReplayArguments,
    model_args: ModelConfig,
    training_args: DPOConfig,
    stage_args: StageArguments,
) -> None:
    files = (data_args.train_file, data_args.eval_file, args.eval_prompts, *replay_args.sources)
    settings = (args, data_args, replay_args, model_args, training_args, stage_args)
    stage = Stage.start("dpo", *settings, inputs=(model_args.model_name_or_path, *files))
    set_seed(training_args.seed)
    pairs, held_out, dropped = load_preference_splits(data_args)
    prompts = load_prompts(args.eval_prompts, samples=args.eval_samples) if args.eval_prompts else []
    model, tokenizer = load_chat_model(model_args)
    gate.check_tokens(tokenizer, model.get_input_embeddings().num_embeddings)

    length, columns = training_args.max_length, ("prompt_ids", "chosen_ids", "rejected_ids")
    train_rows = encode_preferences(pairs, tokenizer, length, dropped)
    eval_rows = encode_preferences(held_out, tokenizer, length, dropped) if held_out else None

    def answers(seed: int) -> list:
        sampling = {"temperature": args.eval_temperature, "seed": seed, "progress": "replies"}
        return reply(model, tokenizer, [row["prompt"] for row in prompts], args.max_new_tokens, **sampling)

    before = answers(training_args.seed)
    replay = build_replay(model, tokenizer, replay_args, training_args.seed)
    training_args.remove_unused_columns = False  # length is for the sampler
    trainer = DPOTrainer(
        model=model,
        args=training_args,
        train_dataset=token_rows(train_rows, *columns),
        eval_dataset=token_rows(eval_rows, *columns) if eval_rows else None,
        processing_class=tokenizer,
        peft_config=get_peft_config(model_args),
    )
    stage.metrics |= {"first_loss": round(check_first_loss(trainer), 4)}
    stage.metrics |= pair_counts(pairs, len(train_rows), dropped)
    trainer.replay = replay  # after the look at the first loss, which is that of the pairs
    watch = PreferenceWatch()
    trainer.add_callback(watch)

    def evaluate() -> dict:
        found = watch.metrics(training_args.beta)
        after = answers(training_args.seed + 1)  # by the same draws replies are alike, and small gains are sure wins
        kinds = {pair.get("kind") for pair in pairs}
        return found | (compare_replies(prompts, after, before, kinds, args.eval_samples) if prompts else {})

    tokens = sum(sum(len(row[side]) for side in columns) + len(row["prompt_ids"]) for row in train_rows)
    for warning in warnings(fit(trainer, stage, tokens // len(train_rows), evaluate=evaluate)):
        print(f"Warning: {warning}")


if __name__ == "__main__":
    run(main, ComparisonArguments, PreferenceArguments, ReplayArguments, ModelConfig, DPOConfig, StageArguments)
