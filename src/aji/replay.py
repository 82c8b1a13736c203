"""Keeping what a model can while it learns from preferences: its own replies to other prompts, learnt again.

What preferences teach about jokes also moves everything else: facts, sums, refusals. InstructGPT mixed pretraining
into its RL for that (PPO-ptx, Ouyang et al. 2022). Here the model replies, before training, to prompts of what it is
to keep, and every step adds the negative log-likelihood of some of these replies. So it keeps also what no file
says: what it learnt by trial.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aji import chatml
from aji.data.load import open_rows
from aji.data.packing import IGNORED, pack_conversations, packed_collator
from aji.data.weights import check_weights, draw_places
from aji.errors import UserError
from aji.generate import context_of, fits, for_many, generate
from aji.upstream import labelled_loss


@dataclass
class ReplayArguments:
    """What is to stay as it is."""

    replay: dict[str, float] | None = field(
        default=None,
        metadata={
            "help": "Files of prompts or conversations, each with the share of its rows: the model's replies to their "
            "first questions (with tools, to what stands before each reply), before training, are learnt again on the "
            "way. Default: none."
        },
    )
    replay_weight: float = field(default=1.0, metadata={"help": "Weight of their loss, in nats a token."})
    replay_batch_size: int = field(
        default=16, metadata={"help": "Such replies in each step of each device, on average."}
    )
    replay_max_new_tokens: int = field(default=128, metadata={"help": "Longest such reply; longer ones are left out."})

    def __post_init__(self):
        check_weights("replay", self.replay or {})
        for name in ("replay_batch_size", "replay_max_new_tokens"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if self.replay_weight <= 0:
            raise UserError(
                f"replay_weight is {self.replay_weight:g}, expected more than 0; leave out replay for none"
            )

    @property
    def sources(self) -> list[str]:
        return list(self.replay or {})


def load_prompts(source: str, share: float) -> list[dict]:
    """What stands before the first reply in a random share of the rows: `{"messages", "tools"}`.

    Of a conversation with `tools` also what stands before every later reply: what a tool found is read there.

    Raises UserError for rows that have neither `prompt` nor `messages`, and when nothing is left.
    """
    rows = []
    for where, row in open_rows(source):
        found = row.get("prompt") or row.get("messages")
        messages = [{"role": "user", "content": found}] if isinstance(found, str) else found
        if not isinstance(messages, list) or not messages:
            raise UserError(f"{where}: found neither prompt nor messages, which a row of replay must have")
        tools = row.get("tools")
        replies = [place for place, one in enumerate(messages) if one.get("role") == "assistant"] or [len(messages)]
        befores = [messages[:place] for place in (replies if tools else replies[:1])]
        rows.append(
            [{"messages": one, "tools": tools} for one in befores if one and one[-1].get("role") in ("user", "tool")]
        )
    rows = [row for row in rows if row]
    places = draw_places(len(rows), share)
    if not places:
        raise UserError(f"replay: {share:g} of the {len(rows)} prompts in {source} is none. Give a larger share")
    return [prompt for place in places for prompt in rows[place]]


def build_replay(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, args: ReplayArguments, seed: int
) -> "Replay | None":
    """The likeliest replies of the model as it is now; None where nothing is to be kept."""
    if not args.replay:
        return None
    prompts = [prompt for source, share in args.replay.items() for prompt in load_prompts(source, share)]
    conversations, tools = ([prompt[key] for prompt in prompts] for key in ("messages", "tools"))
    ids = [row.input_ids for row in chatml.encode(tokenizer, conversations, True, tools)]
    fitting = [prompt for prompt in ids if fits(model, prompt)]
    if left_out := len(ids) - len(fitting):
        limit = f"the model's {context_of(model)} tokens"
        print(f"replay: {left_out} of {len(ids)} prompts are left out: longer than {limit}, reply included")
    if not fitting:
        raise UserError("replay: no prompt fits into the model's context. Give shorter conversations")
    replies = generate(model, tokenizer, fitting, args.replay_max_new_tokens, progress="replay", **for_many(model))
    rows = [
        {"prompt": prompt, "reply": [*reply.ids, reply.stop_token]}
        for prompt, reply in zip(fitting, replies, strict=True)
        if reply.stopped
    ]
    if not rows:
        raise UserError("replay: the model ended none of its replies. Raise replay_max_new_tokens")
    return Replay(rows, args, seed)


class Replay:
    """Replies to be kept, some for each step; the same ones when a run is taken up again.

    They differ much in length, so they lie side by side in rows as long as the longest: `replay_batch_size` replies
    are as many rows as that makes on average.
    """

    def __init__(self, rows: Sequence[Mapping[str, list[int]]], args: ReplayArguments, seed: int = 0):
        whole = [
            {
                "input_ids": [*row["prompt"], *row["reply"]],
                "labels": [*[IGNORED] * len(row["prompt"]), *row["reply"]],
            }
            for row in rows
        ]
        longest = max(len(row["input_ids"]) for row in whole)
        self.rows = list(pack_conversations(whole, longest))
        random.Random(seed).shuffle(self.rows)
        self.collate = packed_collator(longest, pad_token_id=0)
        self.weight, self.size = args.replay_weight, max(1, round(args.replay_batch_size * len(self.rows) / len(rows)))

    def loss(self, model: torch.nn.Module, place: int) -> torch.Tensor:
        """`weight` times the negative log-likelihood of the replies of batch `place`, in nats a token."""
        batch = self.collate([self.rows[(place * self.size + index) % len(self.rows)] for index in range(self.size)])
        device = next(model.parameters()).device
        return self.weight * labelled_loss(model, **{key: value.to(device) for key, value in batch.items()})


class Replays:
    """Laid over a trainer: adds the loss of `replay`, where that is set, to every training step."""

    replay: Replay | None = None

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if self.replay is None or not model.training:
            return found
        place = self.state.global_step * self.accelerator.num_processes + self.accelerator.process_index
        with self.compute_loss_context_manager():
            more = self.replay.loss(model, place)
        return (found[0] + more, found[1]) if return_outputs else found + more
