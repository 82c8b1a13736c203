"""Reward model: a chat model learns to give replies one number each, so that those that people prefer get more.

    accelerate launch recipes/reward.py --config configs/laptop/reward.yaml
    accelerate launch recipes/reward.py --config configs/laptop/reward.yaml --train_file hh/train.jsonl.gz \\
        --eval_file hh/test.jsonl.gz --max_length 512 --output_dir runs/mine/reward
    accelerate launch recipes/reward.py --config configs/laptop/reward.yaml --use_peft true --lora_task_type SEQ_CLS \\
        --lora_target_modules all-linear --lora_modules_to_save score --output_dir runs/mine/reward_lora

Reads   a chat model (`recipes/sft.py`, or any of the Hub) and comparisons (`prompt`, `chosen`, `rejected`, and other
        forms).
Writes  a reward model to `output_dir`, and its accuracy on held-out pairs beside the best that their noise allows.
Next    `recipes/dpo.py` does without one; best-of-n and reinforcement learning use it.
"""

from transformers import set_seed
from trl import ModelConfig, RewardConfig, RewardTrainer, get_peft_config

from aji.chatml import gate
from aji.data.preferences import PreferenceArguments, encode_preferences, load_preference_splits, pair_counts
from aji.errors import UserError
from aji.evals.pairs import pair_metrics
from aji.fit import fit
from aji.preferences import token_rows, whole_conversations
from aji.reward_model import build_reward_model, score_pairs
from aji.stage import Stage, StageArguments, run
from aji.tokenizer import load_tokenizer


def main(
    data_args: PreferenceArguments,
    model_args: ModelConfig,
    training_args: RewardConfig,
    stage_args: StageArguments,
) -> None:
    inputs = (model_args.model_name_or_path, data_args.train_file, data_args.eval_file)
    stage = Stage.start("reward", data_args, model_args, training_args, stage_args, inputs=inputs)
    set_seed(training_args.seed)
    pairs, held_out, dropped = load_preference_splits(data_args)
    tokenizer = load_tokenizer(model_args.model_name_or_path)
    if not held_out:
        raise UserError("there are no held-out pairs, so nobody would know what was learnt. Give --eval_tail 0.1.")
    model = build_reward_model(
        model_args.model_name_or_path,
        tokenizer,
        dtype=model_args.dtype,
        revision=model_args.model_revision,
        attn_implementation=model_args.attn_implementation,
    )
    gate.check_tokens(tokenizer, model.get_input_embeddings().num_embeddings)

    length = training_args.max_length
    train_rows, eval_rows = (encode_preferences(rows, tokenizer, length, dropped) for rows in (pairs, held_out))
    train_rows, eval_rows = whole_conversations(train_rows), whole_conversations(eval_rows)
    train_set, eval_set = (token_rows(rows, "chosen_ids", "rejected_ids") for rows in (train_rows, eval_rows))
    training_args.remove_unused_columns = False  # length is for the sampler
    trainer = RewardTrainer(
        model=model,
        args=training_args,
        train_dataset=train_set,
        eval_dataset=eval_set if training_args.eval_strategy != "no" else None,  # at its end each reply is read once
        processing_class=tokenizer,
        peft_config=get_peft_config(model_args),
    )

    counted = pair_counts(pairs, len(train_rows), dropped)
    tokens = sum(len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in train_rows) // len(train_rows)

    def evaluate() -> dict:
        return counted | pair_metrics(eval_rows, *score_pairs(trainer.model, tokenizer, eval_rows))

    fit(trainer, stage, tokens, evaluate=evaluate)


if __name__ == "__main__":
    run(main, PreferenceArguments, ModelConfig, RewardConfig, StageArguments)
