"""Best-of-n: of n replies to a prompt the reward model's favourite is taken. No training, and n times the sampling.

What n replies would give is estimated from N > n samples a prompt without drawing again (Nakano et al. 2021, arXiv
2112.09332, appendix; Gao, Schulman and Hilton 2022, arXiv 2210.10760).
"""

import argparse
from collections.abc import Mapping, Sequence
from math import comb, log
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aji import chatml
from aji.dpo import compare_replies
from aji.errors import UserError
from aji.evals.experiment import load
from aji.evals.intervals import mean, share
from aji.generate import Completion, for_many, generate
from aji.manifest import write_json
from aji.preferences import gold_scores, load_prompts
from aji.report import overoptimisation as pictures
from aji.rlhf import Reward, ids_of


SAMPLES = 256
# Replies of the model itself, apart from the samples, that best-of-n has to win against.
OPPONENTS = 8
TOKENS = 96
# The n whose choices are compared as those of DPO and RLHF are.
COMPARED = 16


def kl_of(n: int) -> float:
    """KL in nats between best-of-n and the policy it draws from, at most (Beirami et al. 2024, arXiv 2401.01879)."""
    return log(n) - (n - 1) / n


def powers_of_two(samples: int) -> list[int]:
    return [2**power for power in range(samples.bit_length()) if 2**power <= samples]


def best_of(proxy: np.ndarray, value: np.ndarray, n: int) -> np.ndarray:
    """The expected value of the best by proxy among n replies, of each prompt (prompts,); unbiased.

    `proxy` and `value` are (prompts, N). Of all ways to draw n of N, C(i - 1, n - 1) have the i-th lowest as the best.
    """
    size = proxy.shape[1]
    if not 1 <= n <= size:
        raise ValueError(f"n is {n}, expected 1 to {size}")
    weights = np.array([comb(place, n - 1) / comb(size, n) for place in range(size)])
    return np.take_along_axis(value, proxy.argsort(axis=1, kind="stable"), axis=1) @ weights


def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Mapping],
    count: int,
    seed: int,
    max_new_tokens: int = TOKENS,
    progress: str | None = None,
) -> list[list[Completion]]:
    """`count` replies to each prompt, at temperature 1."""
    encoded = chatml.encode(tokenizer, [row["prompt"] for row in rows], add_generation_prompt=True)
    ids = [one.input_ids for one in encoded for _ in range(count)]
    settings = {"temperature": 1.0, "seed": seed, "progress": progress}
    flat = generate(model, tokenizer, ids, max_new_tokens, **settings, **for_many(model))
    return [flat[start : start + count] for start in range(0, len(flat), count)]


def golds(rows: Sequence[Mapping], samples: Sequence[Sequence[Completion]]) -> np.ndarray:
    """Gold scores (prompts, N)."""
    return np.array([gold_scores([row] * len(own), own) for row, own in zip(rows, samples, strict=True)])


def proxies(reward: Reward, rows: Sequence[Mapping], samples: Sequence[Sequence[Completion]]) -> np.ndarray:
    """Rewards (prompts, N). Equal replies are scored once; one that broke off gets the lowest of all."""
    asked = {
        (place, *ids_of(one)): (row, one)
        for place, (row, own) in enumerate(zip(rows, samples, strict=True))
        for one in own
    }
    found = reward.of_replies([row for row, _ in asked.values()], [one for _, one in asked.values()])
    lowest = min((value for value in found if value is not None), default=0.0)
    known = {key: lowest if value is None else value for key, value in zip(asked, found, strict=True)}
    return np.array([[known[place, *ids_of(one)] for one in own] for place, own in enumerate(samples)])


def chances(gold: np.ndarray, opponents: np.ndarray) -> np.ndarray:
    """The chance of each reply (prompts, N) to be better than one of the opponents (prompts, M); a tie counts half."""
    better, equal = gold[:, :, None] > opponents[:, None], gold[:, :, None] == opponents[:, None]
    return (better + equal / 2).mean(-1)


def curve(proxy: np.ndarray, gold: np.ndarray, opponents: np.ndarray) -> list[dict[str, float]]:
    """For n = 1, 2, 4 ... N: `kl`, `gold_score`, `reward`, `win_rate` against one reply, with intervals."""
    wins, entries = chances(gold, opponents), []
    for n in powers_of_two(proxy.shape[1]):
        won = best_of(proxy, wins, n)
        entry = {"n": n, "kl": round(kl_of(n), 4)} | mean("gold_score", best_of(proxy, gold, n).tolist())
        entries.append(
            entry | mean("reward", best_of(proxy, proxy, n).tolist()) | share("win_rate", won.sum(), len(won))
        )
    return entries


def choose(proxy: np.ndarray, samples: Sequence[Sequence[Completion]], n: int) -> list[Completion]:
    """The best by proxy of the first n replies to each prompt."""
    return [own[int(values[:n].argmax())] for values, own in zip(proxy, samples, strict=True)]


def best_of_n(args: argparse.Namespace, folder: Path) -> Path:
    """`aji experiment best_of_n MODEL --reward_model FOLDER`: figures in best_of_n.json, and a picture."""
    if not args.reward_model:
        raise UserError("best_of_n needs --reward_model, a folder of recipes/reward.py, or several.")
    prompts = args.prompts or Path(args.models[0]).parent / "world/preference_prompts_test.jsonl"
    rows = load_prompts(str(prompts), args.count)
    model, tokenizer = load(args.models[0])
    reward = Reward.load(args.reward_model, tokenizer)
    drawn = sample(model, tokenizer, rows, args.samples + OPPONENTS, args.seed, progress="replies")
    samples, others = [own[: args.samples] for own in drawn], [own[args.samples :] for own in drawn]
    gold, proxy = golds(rows, samples), proxies(reward, rows, samples)
    entries = curve(proxy, gold, golds(rows, others))
    n = min(COMPARED, args.samples)
    metrics = compare_replies(rows, choose(proxy, samples, n), [own[0] for own in others])
    write_json(folder / "best_of_n.json", {"curve": entries, f"best_of_{n}": metrics})
    for entry in entries:
        print(
            f"n {entry['n']:>4}  KL {entry['kl']:.2f}  gold {entry['gold_score']:.3f}  reward {entry['reward']:.3f}  "
            f"wins {entry['win_rate']:.1f} % ({entry['win_rate_low']:g} to {entry['win_rate_high']:g})"
        )
    return pictures.best_of_n(entries, folder / "best_of_n.png")
