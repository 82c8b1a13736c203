"""Rows of a batch that begin alike, read once: a prompt with many replies, a reply that stands in many pairs.

Each token is computed once for all rows that have the same tokens up to it: the rows become tries, which lie side by
side in a few full rows. A node sees itself and what is above it. Nodes stand in the order of a walk through the trie:
what is under a node follows it without a gap, and the mask is two comparisons.
"""

import types
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from aji.model import below_adapter


# Nodes in a row of tries: a narrower one reads more prompts again, a wider one looks at more that is masked.
WIDTH = 160


class Tries(NamedTuple):
    ids: Tensor  # (rows, width)
    depths: Tensor  # (rows, width), the position of each node in its text
    ends: Tensor  # (rows, width), the place in the row at which what is under a node ends
    places: Tensor  # (batch, length), the node of each token among all, 0 for padding

    def mask(self) -> Tensor:
        """(rows, 1, width, width), True where a node sees another: itself, and those above it."""
        own = torch.arange(self.ids.shape[1])
        return ((own <= own[:, None]) & (own[:, None] < self.ends[:, None]))[:, None]


def fold(ids: Tensor, mask: Tensor, width: int = WIDTH) -> Tries:
    """The tries of a batch, (batch, length), padded on the right, where `mask` is 0; two texts fit into a row."""
    lengths = mask.sum(1).numpy()
    width = max(width, 2 * int(lengths.max()))
    tokens = np.where(mask.numpy() > 0, ids.numpy(), -1)
    order = np.lexsort(tokens.T[::-1])
    ordered = tokens[order]
    same = (ordered[1:] == ordered[:-1]) & (ordered[1:] >= 0)
    common = [0, *same.cumprod(1).sum(1)]
    nodes, depths, ends = (np.full((len(order), width), fill) for fill in (0, 0, width))
    places = np.zeros((*tokens.shape, 2), int)  # row and place in it
    row, used, path, widest = -1, width, [], 0
    for text, shared in zip(order, common, strict=True):
        length = int(lengths[text])
        if used + length - shared > width:
            ends[row, path] = used
            row, used, shared, path = row + 1, 0, 0, []
        ends[row, path[shared:]] = used
        new = range(used, used + length - shared)
        nodes[row, used : new.stop], depths[row, used : new.stop] = tokens[text, shared:length], range(shared, length)
        path = [*path[:shared], *new]
        places[text, :length] = [(row, place) for place in path]
        used = new.stop
        widest = max(widest, used)
    ends[row, path] = used
    shaped = (torch.from_numpy(part[: row + 1, :widest]) for part in (nodes, depths, ends))
    return Tries(*shaped, torch.from_numpy(places[..., 0] * widest + places[..., 1]))


def read_once(model: PreTrainedModel) -> PreTrainedModel:
    """On a CPU, let `model` read what the rows of a batch have in common once, with the same values and gradients.

    Where that would not hold the model stays as it is: positions that are not told to it (ALiBi), layers that see a
    window or keep a state. A call with a cache, with positions of its own or without a mask is not changed either.
    """
    body = body_of(model)
    config = body.config.get_text_config()
    whole = set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
    if hasattr(body, "rotary_emb") and whole and not getattr(config, "sliding_window", None):
        body.forward = types.MethodType(_forward, body)
    return model


def neighbours(model: PreTrainedModel, rows: Sequence[Sequence[int]]) -> list[int]:
    """The order of rows of tokens in which `model` reads fastest: together what begins alike, or is of one length."""
    own = vars(body_of(model)).get("forward")
    once = getattr(own, "__func__", None) is _forward and model.device.type == "cpu"
    return sorted(range(len(rows)), key=lambda place: rows[place] if once else len(rows[place]))


def body_of(model: PreTrainedModel) -> PreTrainedModel:
    """The layers below the head, and below an adapter if there is one."""
    return below_adapter(model).base_model


def _forward(self, input_ids=None, attention_mask=None, use_cache=None, **others):
    plain = type(self).forward
    folds = input_ids is not None and use_cache is False and _on_the_right(attention_mask)
    others = {name: value for name, value in others.items() if value is not None}
    if not folds or others or input_ids.device.type != "cpu" or torch.compiler.is_compiling():
        return plain(self, input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache, **others)
    tries = fold(input_ids, attention_mask)
    if tries.ids.numel() > input_ids.numel():  # nothing in common
        return plain(self, input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
    dtype = self.get_input_embeddings().weight.dtype
    seen = torch.zeros((), dtype=dtype).masked_fill(~tries.mask(), torch.finfo(dtype).min)
    found = plain(self, input_ids=tries.ids, attention_mask=seen, position_ids=tries.depths, use_cache=False)
    states = found.last_hidden_state.flatten(0, 1)
    found.last_hidden_state = states.index_select(0, tries.places.flatten()).view(*tries.places.shape, -1)
    return found


def _on_the_right(mask: Tensor | None) -> bool:
    """Whether a mask of tokens has its padding on the right, and no row of padding alone."""
    return mask is not None and mask.ndim == 2 and bool(mask[:, 0].all() and (mask[:, 1:] <= mask[:, :-1]).all())
