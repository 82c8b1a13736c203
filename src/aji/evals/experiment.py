"""Experiments on trial, on tokens to think, and on reward models; each writes its figures and a picture."""

import argparse
from collections.abc import Callable
from pathlib import Path

from aji.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=list(EXPERIMENTS), help="; ".join(f"{k}: {v}" for k, v in EXPERIMENTS.items()))
    parser.add_argument("models", nargs="+", help="the model, or several to compare: runs/laptop/rlvr")
    parser.add_argument("--problems", type=Path, help="held-out problems; default: those beside the model's folder")
    parser.add_argument("--tasks", nargs="+", default=["carry2", "carry3"], help="tasks of the problems")
    parser.add_argument("--count", type=int, default=100, help="problems of each task, or prompts")
    parser.add_argument("--reward_model", nargs="+", help="best_of_n: folder of a reward model, or of several")
    parser.add_argument("--prompts", type=Path, help="best_of_n: prompts; default: those beside the model's folder")
    parser.add_argument(
        "--samples", type=int, default=256, help="best_of_n: replies to each prompt; overoptimisation: to the first 12"
    )
    parser.add_argument("--preferences", type=Path, help="overoptimisation: pairs; default: those beside the model")
    parser.add_argument("--seeds", type=int, default=3, help="overoptimisation: runs of each kind")
    parser.add_argument("--steps", type=int, default=18, help="overoptimisation: steps of reinforcement learning")
    parser.add_argument("--output_dir", type=Path, help="default: experiments beside the model's folder")
    parser.add_argument("--seed", type=int, default=0, help="of what is sampled")


EXPERIMENTS = {
    "budget": "accuracy against the tokens that a reply may have",
    "order": "the answer before the work, after it, and without it",
    "spelling": "counting letters at once, by spelling the word, and with a tool that spells it",
    "tries": "pass@1, pass@k and majority vote",
    "steps": "reward, length and self-checks over the steps of a run",
    "beyond": "the demonstrators, imitation and trial",
    "best_of_n": "the best of n replies by a reward model",
    "overoptimisation": "gold and proxy reward when a reward model is pressed too far",
}


def main(args: argparse.Namespace) -> None:
    folder = args.output_dir or Path(args.models[0]).parent / "experiments"
    folder.mkdir(parents=True, exist_ok=True)
    run = _run_of(args.name)
    print(run(args, folder))


def _run_of(name: str) -> Callable[[argparse.Namespace, Path], Path]:
    # torch takes seconds, which `aji experiment --help` need not wait for.
    from aji.evals import best_of_n, many_tries, over_steps, overoptimisation, thinking

    return {
        "budget": thinking.budget,
        "order": thinking.order,
        "spelling": thinking.spelling,
        "tries": many_tries.tries,
        "steps": over_steps.steps,
        "beyond": over_steps.beyond,
        "best_of_n": best_of_n.best_of_n,
        "overoptimisation": overoptimisation.overoptimisation,
    }[name]


def held_out(args: argparse.Namespace) -> list[dict]:
    """The problems of an experiment."""
    from aji.data.problems import load_problems
    from aji.evals.pass_at_k import take_evenly

    path = args.problems or Path(args.models[0]).parent / "world/ladder_test.jsonl"
    if not path.is_file():
        raise UserError(f"{path} is not there: give held-out problems with --problems.")
    return take_evenly(load_problems(str(path), args.tasks), args.count)


def load(path: str):
    """A model and its tokenizer, ready to answer."""
    import torch

    from aji.machine import keep_freed_memory, use_all_threads
    from aji.model import load_model
    from aji.tokenizer import load_tokenizer

    use_all_threads()
    keep_freed_memory()
    tokenizer = load_tokenizer(path)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    return load_model(path, dtype="float32").to(device).eval(), tokenizer
