"""Reinforcement learning from a reward model: the reward, what gets none, and how far the policy went for it."""

from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev

import torch
from accelerate import PartialState
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aji import chatml, rollout
from aji.data.files import find_files, read_rows
from aji.errors import UserError
from aji.evals.intervals import mean
from aji.generate import Completion
from aji.prefixes import logits_at, neighbours
from aji.replay import Replays
from aji.reward_model import check_same_tokenizer, load_reward_model, score


class Reward:
    """One reward model, or several that must agree, as a reward function of trl's trainers.

    Several give the mean of their rewards less `ensemble_penalty` times their standard deviation: where they differ,
    none of them was taught, and a high mean is likely an error of one (Coste et al. 2023, arXiv 2310.02743).
    In training each token of a reply costs `length_penalty`, since reward models take length for quality (Singhal et
    al. 2023, arXiv 2310.03716); what `score` tells is without it.
    """

    __name__ = "reward_model"  # in trl's logs

    def __init__(
        self,
        models: Sequence[PreTrainedModel],
        tokenizer: PreTrainedTokenizerBase,
        ensemble_penalty: float = 1.0,
        length_penalty: float = 0.0,
    ):
        self.models, self.tokenizer = models, tokenizer
        self.ensemble_penalty, self.length_penalty = ensemble_penalty, length_penalty
        self._encoded: dict[str, list[int]] = {}

    @classmethod
    def load(
        cls,
        paths: Sequence[str],
        policy: PreTrainedTokenizerBase,
        ensemble_penalty: float = 1.0,
        length_penalty: float = 0.0,
    ) -> "Reward":
        """Reward models of recipes/reward.py. Raises UserError for one not trained, or with another tokenizer."""
        if not paths:
            raise UserError("found no reward_model, expected a folder of recipes/reward.py, or several.")
        models = []
        for path in paths:
            model, tokenizer = load_reward_model(path)
            check_same_tokenizer(policy, tokenizer)
            models.append(model.to(PartialState().device).requires_grad_(False))
        return cls(models, policy, ensemble_penalty, length_penalty)

    def __call__(self, prompts, completions, completion_ids, **_) -> list[float]:
        """For trl: the rewards of a batch, less what length costs. What broke off gets the lowest of the others."""
        costs = [self.length_penalty * len(ids) for ids in completion_ids]
        scores = self.score(prompts, completion_ids)
        rewards = [None if one is None else one - cost for one, cost in zip(scores, costs, strict=True)]
        lowest = min((reward for reward in rewards if reward is not None), default=0.0)
        return [lowest if reward is None else reward for reward in rewards]

    def score(self, prompts: Sequence[list[dict]], completion_ids: Sequence[list[int]]) -> list[float | None]:
        """The reward of each completion (ids with their stop token); None for one that broke off."""
        conversations = [ask + reply for ask, reply in zip(self.prompt_ids(prompts), completion_ids, strict=True)]
        several = [score(model, self.tokenizer, conversations) for model in self.models]
        return [self.together(rewards) for rewards in zip(*several, strict=True)]

    def together(self, rewards: Sequence[float | None]) -> float | None:
        """One reward from those of all models for one completion."""
        if None in rewards:
            return None
        return fmean(rewards) - self.ensemble_penalty * pstdev(rewards)

    def of_replies(self, rows: Sequence[Mapping], replies: Sequence[Completion]) -> list[float | None]:
        return self.score([row["prompt"] for row in rows], [ids_of(reply) for reply in replies])

    def prompt_ids(self, prompts: Sequence[list[dict]]) -> list[list[int]]:
        new = {key: prompt for prompt in prompts if (key := repr(prompt)) not in self._encoded}
        encoded = chatml.encode(self.tokenizer, list(new.values()), add_generation_prompt=True) if new else []
        self._encoded |= dict(zip(new, (prompt.input_ids for prompt in encoded), strict=True))
        return [self._encoded[repr(prompt)] for prompt in prompts]


def ids_of(reply: Completion) -> list[int]:
    """The tokens of a reply, the stop token included."""
    return reply.ids + ([reply.stop_token] if reply.stopped else [])


class NothingForTruncated:
    """A completion that broke off never gains, whatever its neighbours got and however close it is to the reference.

    It has the lowest reward of the batch. That alone would not do: RLOO takes the KL from the reward, so one that
    broke off could still be better than its group. Its advantage is therefore cut at 0.
    """

    def _generate_and_score_completions(self, inputs):
        batch = super()._generate_and_score_completions(inputs)
        stops = torch.tensor([*self.eos_token_ids], device=batch["completion_ids"].device)
        broke_off = ~torch.isin(batch["completion_ids"], stops).any(1)
        batch["advantages"][broke_off] = batch["advantages"][broke_off].clamp(max=0)
        return batch


class GRPOTrainer(NothingForTruncated, Replays, rollout.GRPOTrainer):
    """GRPO against a reward model."""


class RLOOTrainer(NothingForTruncated, Replays, rollout.RLOOTrainer):
    """RLOO against a reward model."""


ALGORITHMS = {"grpo": GRPOTrainer, "rloo": RLOOTrainer}


def load_any_prompts(source: str, max_rows: int | None = None, kinds: Sequence[str] | None = None) -> list[dict]:
    """Rows `prompt` (messages) and `task`, their language where known; `kinds` takes those of some kinds only.

    Raises UserError with file and row.
    """
    rows = []
    for path in find_files(source):
        for where, row in read_rows(path):
            prompt = row.get("prompt")
            prompt = [{"role": "user", "content": prompt}] if isinstance(prompt, str) and prompt.strip() else prompt
            if not isinstance(prompt, list) or not prompt or prompt[-1].get("role") != "user":
                raise UserError(
                    f"{where}: found prompt {str(row.get('prompt'))[:60]!r}, expected a text, or messages of which "
                    "the last one is the user's."
                )
            if kinds is None or row.get("kind") in kinds:
                rows.append({"prompt": prompt, "task": row.get("language") or "replies"})
    if not rows:
        which = f" of kind {' or '.join(kinds)}" if kinds else ""
        raise UserError(f"{source}: found no prompts{which}. Make them with recipes/world.py, or correct the path")
    return rows[:max_rows]


@torch.no_grad()
def reply_kl(
    policy: PreTrainedModel,
    reference: PreTrainedModel,
    prompts: Sequence[list[int]],
    replies: Sequence[Completion],
    temperature: float = 1.0,
    batch_size: int = 128,
) -> list[float]:
    """KL(policy || reference) in nats along each reply that the policy sampled; their mean estimates that of replies.

    Summed over its tokens is the KL between both distributions of the next token, which has the same mean as the sum
    of log-ratios of the sampled tokens and a smaller variance.
    """
    rows = [[*prompt, *ids_of(reply)] for prompt, reply in zip(prompts, replies, strict=True)]
    order = neighbours(policy, rows)
    found = [0.0] * len(rows)
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        lengths, asked = [len(rows[place]) for place in places], [len(prompts[place]) for place in places]
        longest = max(lengths)
        ids = torch.tensor([[*rows[place], *[0] * (longest - len(rows[place]))] for place in places])
        counted = torch.arange(longest) < torch.tensor(lengths)[:, None]
        spoken = counted & (torch.arange(longest) >= torch.tensor(asked)[:, None])
        ids, counted, spoken = (part.to(policy.device) for part in (ids, counted.long(), spoken))
        before = torch.nn.functional.pad(spoken[:, 1:], (0, 1))
        several = (logits_at(model, before, ids, counted) for model in (policy, reference))
        ours, theirs = (logits[which].float().div(temperature).log_softmax(-1) for logits, which in several)
        each = (ours.exp() * (ours - theirs)).sum(-1)
        sums = torch.zeros(len(places), device=each.device).index_add_(0, spoken.nonzero()[:, 0], each)
        for place, value in zip(places, sums.tolist(), strict=True):
            found[place] = value
    return found


def reward_metrics(name: str, rewards: Sequence[float | None]) -> dict[str, float]:
    """The mean reward of the replies that did not break off."""
    return mean(name, [reward for reward in rewards if reward is not None])
