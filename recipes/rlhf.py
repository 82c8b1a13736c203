"""Reinforcement learning from human feedback: the model tries, and what a reward model likes is encouraged, in time.

    accelerate launch recipes/rlhf.py --config configs/laptop/rlhf.yaml
    accelerate launch recipes/rlhf.py --config configs/laptop/rlhf.yaml --prompts prompts.jsonl --label_prompts null \\
        --eval_prompts null --kinds null --replay null --kl_budget 8 --output_dir runs/mine/rlhf

Reads   a chat model (`recipes/sft.py`, or any of the Hub), reward models (`recipes/reward.py`) that were trained from
        it or share its tokenizer, and prompts.
Writes  a chat model (or an adapter) to `output_dir`: the best one that few fresh labels found on the way.
Next    `recipes/eval.py` measures what else changed; `aji experiment overoptimisation` goes on where this one stops.
"""

from dataclasses import dataclass, field
from typing import Literal

from datasets import Dataset
from transformers import set_seed
from trl import ModelConfig, get_peft_config

from aji.diagnosis import RewardConsole
from aji.dpo import compare_replies
from aji.early_stop import EarlyStopArguments, build_early_stop, frozen_copy
from aji.evals.intervals import mean
from aji.fit import fit
from aji.model import load_chat_model
from aji.preferences import load_prompts, reply
from aji.replay import ReplayArguments, build_replay
from aji.rlhf import ALGORITHMS, Reward, load_any_prompts, reply_kl, reward_metrics
from aji.rollout import GRPOConfig, rloo_config
from aji.stage import Stage, StageArguments, run


@dataclass
class RLHFArguments:
    prompts: str = field(metadata={"help": "Prompts to train on: rows with `prompt`, a text or messages."})
    reward_model: list[str] = field(metadata={"help": "Folder of a reward model, or of several, which must agree."})
    ensemble_penalty: float = field(
        default=1.0, metadata={"help": "Of several reward models the mean counts, less so many standard deviations."}
    )
    length_penalty: float = field(default=0.0, metadata={"help": "The reward that each token of a reply costs."})
    algorithm: Literal["rloo", "grpo"] = field(default="rloo", metadata={"help": "How rewards become gradients."})
    eval_prompts: str | None = field(default=None, metadata={"help": "Prompts of the world, to compare replies on."})
    eval_samples: int = field(default=4, metadata={"help": "Replies to each of them, before and after."})
    kinds: list[str] | None = field(
        default=None, metadata={"help": "Train on prompts of these kinds only. Default: all."}
    )
    max_rows: int | None = field(default=None, metadata={"help": "Train on only the first so many prompts."})
    diagnose_steps: int = field(default=10, metadata={"help": "Steps between two diagnoses."})


def main(
    args: RLHFArguments,
    stop_args: EarlyStopArguments,
    replay_args: ReplayArguments,
    model_args: ModelConfig,
    training_args: GRPOConfig,
    stage_args: StageArguments,
) -> None:
    files = (args.prompts, stop_args.label_prompts, args.eval_prompts, *replay_args.sources)
    inputs = (model_args.model_name_or_path, *args.reward_model, *files)
    stage = Stage.start("rlhf", args, stop_args, replay_args, model_args, training_args, stage_args, inputs=inputs)
    set_seed(training_args.seed)
    rows = load_any_prompts(args.prompts, args.max_rows, args.kinds)
    held_out = load_prompts(args.eval_prompts, samples=args.eval_samples) if args.eval_prompts else []
    labelled = load_prompts(stop_args.label_prompts, stop_args.labels, args.kinds) if stop_args.label_prompts else []
    model, tokenizer = load_chat_model(model_args)
    reward = Reward.load(args.reward_model, tokenizer, args.ensemble_penalty, args.length_penalty)

    start = frozen_copy(model, training_args.bf16)
    trainer = ALGORITHMS[args.algorithm](
        model=model,
        reward_funcs=reward,
        args=training_args if args.algorithm == "grpo" else rloo_config(training_args),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=get_peft_config(model_args),
    )
    trainer.replay = build_replay(start, tokenizer, replay_args, training_args.seed)
    sampling = {"max_new_tokens": training_args.max_completion_length, "temperature": training_args.temperature}
    sampling |= {"seed": training_args.seed}
    watch = build_early_stop(trainer, start, labelled, rows, sampling, stop_args)

    def evaluate() -> dict:
        found = watch.metrics() if watch else {}
        if not held_out:
            return found
        asked = [row["prompt"] for row in held_out]
        before = reply(start, tokenizer, asked, **sampling)
        after = reply(trainer.policy(), tokenizer, asked, **sampling | {"seed": training_args.seed + 1})  # as in DPO
        kl = reply_kl(trainer.policy(), start, reward.prompt_ids(asked), after, training_args.temperature)
        for name, replies in (("reward", after), ("reward_before", before)):
            found |= reward_metrics(name, reward.of_replies(held_out, replies))
        return found | mean("reply_kl", kl) | compare_replies(held_out, after, before, args.kinds, args.eval_samples)

    fit(trainer, stage, evaluate=evaluate, console=RewardConsole(trainer, args.diagnose_steps), watch=watch)


if __name__ == "__main__":
    run(main, RLHFArguments, EarlyStopArguments, ReplayArguments, ModelConfig, GRPOConfig, StageArguments)
