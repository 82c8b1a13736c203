"""Reinforcement learning from verifiable rewards: the model tries, and what ends right is encouraged.

    accelerate launch recipes/rlvr.py --config configs/laptop/rlvr.yaml
    accelerate launch recipes/rlvr.py --config configs/laptop/rlvr.yaml --algorithm rloo --output_dir runs/mine/rloo
    accelerate launch recipes/rlvr.py --config configs/laptop/rlvr.yaml --train_file gsm8k/train.jsonl \\
        --eval_file gsm8k/test.jsonl --tasks null --demonstrations null --output_dir runs/mine/rlvr

Reads   a chat model (`recipes/sft.py`, or any of the Hub) and problems (`prompt`, `answer`, `task` and other forms).
Writes  a chat model (or an adapter) to `output_dir`, and how the held-out problems went in `log_history.json`.
Next    `recipes/eval.py` measures what else changed; `aji experiment` draws what was learnt.
"""

from dataclasses import dataclass, field
from typing import Literal

from datasets import Dataset
from transformers import set_seed
from trl import ModelConfig, get_peft_config

from aji import difficulty
from aji.data.problems import ProblemArguments, check_apart, counts, keep_fitting, load_problems
from aji.diagnosis import RewardConsole
from aji.difficulty import DifficultyArguments
from aji.evals.pass_at_k import take_evenly
from aji.evals.progress import HeldOut, demonstrators
from aji.fit import fit
from aji.generate import context_of
from aji.model import load_chat_model
from aji.rewards import build_rewards, check_names
from aji.rollout import ALGORITHMS, GRPOConfig, rloo_config
from aji.stage import Stage, StageArguments, run


@dataclass
class RLVRArguments:
    rewards: list[str] = field(
        default_factory=lambda: ["accuracy", "countdown", "spelling"],
        metadata={"help": "Of accuracy, countdown, spelling, letter_count, format, length; see `reward_weights`."},
    )
    algorithm: Literal["grpo", "rloo"] = field(default="grpo", metadata={"help": "How rewards become gradients."})
    demonstrations: str | None = field(
        default=None, metadata={"help": "What SFT imitated, to compare with: conversations with `task` and `answer`."}
    )
    eval_problems: int = field(default=100, metadata={"help": "Held-out problems of each task."})
    eval_interval: int = field(default=10, metadata={"help": "Steps between two looks at the held-out problems."})
    diagnose_steps: int = field(default=10, metadata={"help": "Steps between two diagnoses."})


def main(
    args: RLVRArguments,
    problem_args: ProblemArguments,
    difficulty_args: DifficultyArguments,
    model_args: ModelConfig,
    training_args: GRPOConfig,
    stage_args: StageArguments,
) -> None:
    check_names(args.rewards)
    inputs = (model_args.model_name_or_path, problem_args.train_file, problem_args.eval_file, args.demonstrations)
    everything = (args, problem_args, difficulty_args, model_args, training_args, stage_args)
    stage = Stage.start("rlvr", *everything, inputs=inputs)
    set_seed(training_args.seed)
    rows = load_problems(problem_args.train_file, problem_args.tasks, problem_args.max_rows)
    held_out = load_problems(problem_args.eval_file) if problem_args.eval_file else []
    check_apart(rows, held_out)
    model, tokenizer = load_chat_model(model_args)
    room = (tokenizer, training_args.max_completion_length, context_of(model))
    rows, held_out = keep_fitting(rows, *room), keep_fitting(held_out, *room)

    sampling = {"max_new_tokens": training_args.max_completion_length, "temperature": training_args.temperature}
    tries = difficulty.try_tasks(model, tokenizer, rows, difficulty_args, sampling)
    rows, found, remark = difficulty.choose(rows, tries, difficulty_args)
    tasks = {row["task"] for row in rows}
    difficulty.show(found, tasks)
    print(f"{remark}\nTraining on {counts(rows)}.".strip())
    instead = difficulty.suggest(model, tokenizer, problem_args.suggest_file, difficulty_args, sampling, found)

    training_args.remove_unused_columns = False
    trainer = ALGORITHMS[args.algorithm](
        model=model,
        reward_funcs=build_rewards(args.rewards, tokenizer, training_args.max_completion_length),
        args=training_args if args.algorithm == "grpo" else rloo_config(training_args),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=get_peft_config(model_args),
    )
    console = RewardConsole(trainer, args.diagnose_steps, instead)
    # Of data whose tasks have other names in the two files, all that is held out.
    chosen = take_evenly([row for row in held_out if row["task"] in tasks] or held_out, args.eval_problems)
    watch = HeldOut(trainer, chosen, sampling, args.eval_interval) if chosen else None
    stage.metrics |= found.metrics()
    stage.metrics |= demonstrators(args.demonstrations, tasks) if args.demonstrations else {}
    fit(trainer, stage, evaluate=watch.metrics if watch else None, console=console, watch=watch)


if __name__ == "__main__":
    run(main, RLVRArguments, ProblemArguments, DifficultyArguments, ModelConfig, GRPOConfig, StageArguments)
