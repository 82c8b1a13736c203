"""How a reward model is gamed: gold and proxy reward over the distance from the start, for best-of-n and for RL.

The lab of Gao, Schulman and Hilton 2022 (arXiv 2210.10760) with reward models of several sizes, taught by several
amounts of labels, and an ensemble as a remedy (Coste et al. 2023, arXiv 2310.02743). RL runs to its end here, without
KL in the reward; where the early stop of recipes/rlhf.py would have ended it is worked out from the labels alone.
"""

import argparse
import os
import random
import signal
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from datasets import Dataset, disable_progress_bars
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback, set_seed
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging
from trl import RewardConfig, RewardTrainer, RLOOConfig

from aji.config import machine_defaults
from aji.data.files import read_rows
from aji.data.preferences import PreferenceArguments, encode_preferences, load_preference_splits
from aji.early_stop import EarlyStopArguments, Labels, frozen_copy
from aji.errors import UserError
from aji.evals import best_of_n
from aji.evals.pairs import pair_metrics
from aji.evals.proxy_curves import fit_best_of_n, fit_rl, table, together
from aji.machine import keep_freed_memory
from aji.manifest import write_json
from aji.model import load_model
from aji.preferences import gold_scores, load_prompts, reply, token_rows, whole_conversations
from aji.report import overoptimisation as pictures
from aji.reward_model import build_reward_model, score_pairs
from aji.rlhf import Reward, RLOOTrainer, load_any_prompts
from aji.tokenizer import load_tokenizer


@dataclass(frozen=True)
class Lab:
    """What all runs of the lab share."""

    model: str
    prompts: Path  # a folder with preference_prompts_{train,validation,test}.jsonl
    preferences: Path  # a folder with pairs: train.jsonl and validation.jsonl
    kinds: tuple[str, ...] | None = None  # of prompts: those that the pairs are about; None: all
    count: int = 200  # test prompts, at most
    best_of_n_count: int = 12  # of them, the first, for best-of-n: it turns late, so few prompts get many replies
    samples: int = 1024  # to each of these
    steps: int = 18
    looks: int = 9  # of RL at gold, proxy, KL and labels
    labels: int = 160  # at each look
    learning_rate: float = 1e-4  # of RL
    completions: int = 80  # of RL in a step
    held_out_pairs: int = 400
    max_length: int = 256

    def rows(self, split: str, count: int) -> list[dict]:
        return load_prompts(str(self.prompts / f"preference_prompts_{split}.jsonl"), count, self.kinds)

    def test_rows(self) -> list[dict]:
        return self.rows("test", self.count)


@dataclass(frozen=True)
class Kind:
    """A reward model: how many layers of the chat model it keeps (None: all), how many labels it sees, how many of
    its like must agree."""

    name: str
    labels: int | None = None
    layers: int | None = None
    members: int = 1


KINDS = (
    Kind("250 labels", 250),
    Kind("1000 labels", 1000),
    Kind("4000 labels", 4000),
    Kind("1000 labels, 2 layers", 1000, 2),
    Kind("250 labels, 3 models", 250, members=3),
)
# Few labels are seen several times, so that the head is taught at all.
LEAST_STEPS = 24


# Reward models


def train_reward_models(lab: Lab, kind: Kind, seed: int, folder: Path) -> dict:
    """Train the members of a kind on the same labels, with different heads; returns where they are and how good."""
    files = (str(lab.preferences / f"{split}.jsonl") for split in ("train", "validation"))
    pairs, held_out, _ = load_preference_splits(PreferenceArguments(*files))
    random.Random(f"{seed} held out").shuffle(held_out)
    chosen = random.Random(f"{seed} labels").sample(pairs, min(kind.labels or len(pairs), len(pairs)))
    paths = [str(folder / f"{kind.name.replace(' ', '_')}-{seed}-{member}") for member in range(kind.members)]
    accuracy = [
        train_reward_model(lab, kind, chosen, held_out[: lab.held_out_pairs], 1000 * seed + member, path)
        for member, path in enumerate(paths)
    ]
    known = {key: fmean(one[key] for one in accuracy) for key in ("accuracy", "ceiling") if key in accuracy[0]}
    return {"paths": paths} | known


def train_reward_model(lab: Lab, kind: Kind, pairs: list, held_out: list, seed: int, path: str) -> dict:
    set_seed(seed)
    tokenizer = load_tokenizer(lab.model)
    changes = {} if kind.layers is None else {"num_hidden_layers": kind.layers}
    model = build_reward_model(lab.model, tokenizer, dtype="float32", **changes)
    rows, others = (
        whole_conversations(encode_preferences(part, tokenizer, lab.max_length, {})) for part in (pairs, held_out)
    )
    steps = len(rows) // 32
    args = RewardConfig(
        **{"output_dir": path, "seed": seed, "max_length": lab.max_length, "center_rewards_coefficient": 0.01},
        **{"learning_rate": 1e-3, "adam_beta2": 0.95, "lr_scheduler_type": "linear", "warmup_steps": 0.1},
        **{"per_device_train_batch_size": 32, "num_train_epochs": max(1, -(-LEAST_STEPS // max(1, steps)))},
        **{"train_sampling_strategy": "group_by_length", "remove_unused_columns": False},
        **settings_of_all(),
    )
    data = token_rows(rows, "chosen_ids", "rejected_ids")
    trainer = RewardTrainer(model=model, args=args, train_dataset=data, processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.save_model(path)
    return pair_metrics(others, *score_pairs(model, tokenizer, others))


def settings_of_all() -> dict:
    """What every trainer of the lab is told: the machine's precision, and silence."""
    quiet = {"report_to": "none", "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}
    return {**machine_defaults({}), **quiet}


# Best-of-n


def draw(lab: Lab, places: Sequence[int], seed: int) -> tuple[np.ndarray, list]:
    """Gold scores and replies of the start to the test prompts at these places."""
    model, tokenizer = load_start(lab.model)
    rows = [lab.test_rows()[place] for place in places]
    samples = best_of_n.sample(model, tokenizer, rows, lab.samples, seed)
    return best_of_n.golds(rows, samples), samples


def press_by_choice(lab: Lab, paths: Sequence[str], gold: np.ndarray, samples: list) -> dict:
    """Best-of-n against one reward (of one model or several): the curve, and what the start's replies get."""
    reward = Reward.load(paths, load_tokenizer(lab.model))
    proxy = best_of_n.proxies(reward, lab.test_rows()[: len(samples)], samples)
    points = [
        {
            "d": best_of_n.kl_of(n) ** 0.5,
            "gold_score": float(best_of_n.best_of(proxy, gold, n).mean()),
            "reward": float(best_of_n.best_of(proxy, proxy, n).mean()),
        }
        for n in best_of_n.powers_of_two(lab.samples)
    ]
    return {"start": spread_of(gold, proxy), "points": points}


def spread_of(golds: np.ndarray | list[float], rewards: np.ndarray | list[float]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of what replies get."""
    return {name: (float(np.mean(one)), float(np.std(one))) for name, one in (("gold", golds), ("proxy", rewards))}


# Reinforcement learning


class Curve(TrainerCallback):
    """Gold score and proxy reward on the test prompts, and a look by labelers with its KL, every so many steps."""

    def __init__(self, trainer, lab: Lab, start: PreTrainedModel, reward: Reward, seed: int, longest: int):
        self.trainer, self.reward = trainer, reward
        self.every = max(1, round(lab.steps / lab.looks))
        self.rows = lab.test_rows()
        self.asked = [row["prompt"] for row in self.rows]
        self.sampling = {"max_new_tokens": longest, "temperature": 1.0, "seed": seed}
        noise = EarlyStopArguments.label_noise
        fresh = lab.rows("validation", lab.labels)
        self.labels = Labels(start, trainer.processing_class, fresh, self.sampling, noise)
        self.points: list[dict] = []
        self.of_start: dict[str, tuple[float, float]] = {}

    def on_train_begin(self, args, state, control, **kwargs):
        self._add(self.labels.first())

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step % self.every == 0:
            with torch.random.fork_rng():
                self._add(self.labels.look(self.trainer.policy(), state.global_step))

    def _add(self, look: dict) -> None:
        replies = reply(self.trainer.policy(), self.trainer.processing_class, self.asked, **self.sampling)
        golds = gold_scores(self.rows, replies)
        rewards = [one for one in self.reward.of_replies(self.rows, replies) if one is not None] or [float("nan")]
        if not self.points:
            self.of_start = spread_of(golds, rewards)
        found = {"d": max(0.0, look["reply_kl"]) ** 0.5, "gold_score": fmean(golds), "reward": fmean(rewards)}
        self.points.append(found | {"tokens": fmean(len(one.ids) for one in replies), "look": look})


def press_by_learning(lab: Lab, paths: Sequence[str], seed: int) -> dict:
    """RLOO against a reward, without KL in it and without early stop: the curve, and what the start's replies get."""
    set_seed(seed)
    model, tokenizer = load_start(lab.model)
    reward = Reward.load(paths, tokenizer)
    rows = load_any_prompts(str(lab.prompts / "preference_prompts_train.jsonl"), kinds=lab.kinds)
    with tempfile.TemporaryDirectory() as folder:
        args = RLOOConfig(
            **{"output_dir": folder, "seed": seed, "max_steps": lab.steps, "max_completion_length": best_of_n.TOKENS},
            **{"learning_rate": lab.learning_rate, "adam_beta2": 0.99, "lr_scheduler_type": "constant_with_warmup"},
            **{"warmup_steps": 2, "beta": 0.0, "num_generations": 8, "per_device_train_batch_size": lab.completions},
            **settings_of_all(),
        )
        start = frozen_copy(model, args.bf16)
        data = Dataset.from_list(rows)
        trainer = RLOOTrainer(
            model=model, reward_funcs=reward, args=args, train_dataset=data, processing_class=tokenizer
        )
        curve = Curve(trainer, lab, start, reward, seed, best_of_n.TOKENS)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(curve)
        trainer.train()
    return {"start": curve.of_start, "points": curve.points}


# The whole


def load_start(path: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The chat model on this machine's device, with no more threads than this process was given."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    return load_model(path, dtype="float32").to(device).eval(), load_tokenizer(path)


def _quietly() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that waits for these ends them
    torch.set_num_threads(1)  # a process for each core
    keep_freed_memory()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()


@contextmanager
def workers() -> Iterator[Executor]:
    """A process for each core. After an error or Ctrl-C nobody waits for what they do, nor for what is queued."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool = ProcessPoolExecutor(cores, get_context("spawn"), initializer=_quietly)
    try:
        yield pool
    except BaseException:
        for process in active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def run_lab(lab: Lab, kinds: Sequence[Kind], seeds: Sequence[int], pool: Executor, folder: Path) -> dict:
    """All reward models, and both ways to press each of them; what `together` gives, by method and kind."""
    few = range(min(lab.best_of_n_count, lab.count))
    chunks = [few[start : start + 3] for start in range(0, len(few), 3)]
    drawn = [pool.submit(draw, lab, chunk, chunk[0]) for chunk in chunks]
    trained = {
        (kind, seed): pool.submit(train_reward_models, lab, kind, seed, folder) for kind in kinds for seed in seeds
    }
    parts = [future.result() for future in drawn]
    gold = np.concatenate([scores for scores, _ in parts])
    samples = [own for _, several in parts for own in several]
    chosen, learnt = {}, {}
    for run, future in trained.items():
        paths = future.result()["paths"]
        chosen[run] = pool.submit(press_by_choice, lab, paths, gold, samples)
        learnt[run] = pool.submit(press_by_learning, lab, paths, run[1])
        print(f"reward model {run[0].name}, seed {run[1]}: {future.result()['accuracy']:.1f} % of pairs", flush=True)
    groups: dict = {"best-of-n": {}, "RL": {}}
    for kind in kinds:
        quality = {key: [trained[kind, seed].result().get(key) for seed in seeds] for key in ("accuracy", "ceiling")}
        for method, pressed, fit in (("best-of-n", chosen, fit_best_of_n), ("RL", learnt, fit_rl)):
            runs = [pressed[kind, seed].result() for seed in seeds]
            groups[method][kind.name] = together([(run["points"], run["start"]) for run in runs], fit) | quality
        print(f"{kind.name}: done", flush=True)
    return groups


def overoptimisation(args: argparse.Namespace, folder: Path) -> Path:
    """`aji experiment overoptimisation MODEL`: overoptimisation.{json,md,png}."""
    beside = Path(args.models[0]).parent
    world = args.prompts.parent if args.prompts else beside / "world"
    pairs = (args.preferences or beside / "preferences") / "train.jsonl"
    if not pairs.is_file():
        raise UserError(f"{pairs.parent} holds no pairs (train.jsonl): make them with recipes/preferences.py.")
    kinds = {row.get("kind") for _, row in read_rows(pairs)}
    lab = Lab(
        **{"model": args.models[0], "prompts": world, "preferences": pairs.parent},
        **{"count": args.count, "samples": args.samples, "steps": args.steps},
        kinds=None if None in kinds else tuple(sorted(kinds)),
    )
    with tempfile.TemporaryDirectory() as models, workers() as pool:
        groups = run_lab(lab, KINDS, range(args.seeds), pool, Path(models))
    write_json(folder / "overoptimisation.json", groups)
    text = table(groups)
    (folder / "overoptimisation.md").write_text(text, encoding="utf-8")
    print(text)
    return pictures.lab(groups, folder / "overoptimisation.png")
