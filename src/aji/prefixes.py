"""Rows of a batch that begin alike, read once: a prompt with many replies, a reply that stands in many pairs.

And nothing is computed that nobody looks at: the last layer and the head only where a label or a reward is.

Each token is computed once for all rows that have the same tokens up to it: the rows become tries, which lie side by
side in a few full rows. A node sees itself and what is above it. Nodes stand in the order of a walk through the trie:
what is under a node follows it without a gap, and the mask is two comparisons.
"""

import functools
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GenericForSequenceClassification
from transformers.modeling_outputs import BaseModelOutputWithPast

from aji.model import below_adapter, changes_logits
from aji.rms_norm import lighten_norms


# Nodes in a row of tries: a narrower one reads more prompts again, a wider one looks at more that is masked.
WIDTH = 160
# Parts of a layer that see no other token than their own.
OF_ONE_TOKEN = ("self_attn.q_proj", "self_attn.o_proj", "mlp")


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
        one_number = isinstance(below_adapter(model), GenericForSequenceClassification) and body.config is model.config
        body.forward = types.MethodType(_forward_to_the_end if one_number else _forward, body)
        lighten_norms(body)
    return model


def states_at(
    model: PreTrainedModel, read: Tensor, input_ids: Tensor, attention_mask: Tensor | None = None, **others
) -> tuple[Tensor, Tensor]:
    """What a language model's head is given at the tokens where `read` (batch, length) is true.

    Returns:
        The states, (states, width), those of equal beginnings once if the model reads once; and which of them each of
        these tokens has, (tokens,).
    """
    body = body_of(model)
    tries = _tries(input_ids, attention_mask, others) if _reads_once(body) else None
    if tries is None:
        places = read.flatten().nonzero().squeeze(1)
        which = torch.arange(len(places), device=places.device)
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, **others}
    else:
        places, which = tries.places[read].unique(return_inverse=True)
    with last_layer_at(body, places):
        found = _plain(body)(**inputs, use_cache=False) if tries is None else _read(body, tries)
    return found.last_hidden_state.flatten(0, 1).index_select(0, places), which


def logits_at(model: PreTrainedModel, read: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
    """The logits of a language model there, (states, vocabulary), and which of them each token has: `states_at`."""
    base = below_adapter(model)
    if changes_logits(base):
        logits = model(*args, **kwargs, use_cache=False).logits[read]
        return logits, torch.arange(len(logits), device=logits.device)
    states, which = states_at(base, read, *args, **kwargs)
    return base.get_output_embeddings()(states), which


def score(logits: Tensor, which: Tensor, ids: Tensor, with_entropy: bool = False) -> tuple[Tensor, Tensor | None]:
    """What tokens get: their log-probability, (tokens,), and the entropy of the distribution they come from, in nats.

    Args:
        logits: (states, vocabulary), in float32.
        which: the state before each token, (tokens,).
        ids: the tokens, (tokens,).
    """
    log_probs = logits.log_softmax(-1)
    chosen = log_probs.flatten().index_select(0, which * logits.shape[-1] + ids)
    if not with_entropy:
        return chosen, None
    with torch.no_grad():
        return chosen, -(log_probs.exp().mul_(log_probs)).sum(-1)[which]


def neighbours(model: PreTrainedModel, rows: Sequence[Sequence[int]]) -> list[int]:
    """The order of rows of tokens in which `model` reads fastest: together what begins alike, or is of one length."""
    once = _reads_once(body_of(model)) and model.device.type == "cpu"
    return sorted(range(len(rows)), key=lambda place: rows[place] if once else len(rows[place]))


def body_of(model: PreTrainedModel) -> PreTrainedModel:
    """The layers below the head, and below an adapter if there is one."""
    return below_adapter(model).base_model


def _reads_once(body: PreTrainedModel) -> bool:
    return getattr(vars(body).get("forward"), "__func__", None) in (_forward, _forward_to_the_end)


def _plain(body: PreTrainedModel) -> Callable:
    return functools.partial(type(body).forward, body) if _reads_once(body) else body


def _tries(input_ids: Tensor | None, attention_mask: Tensor | None, others: Mapping) -> Tries | None:
    """The tries of a batch; None where it is to be read as it is."""
    told = any(value is not None for value in others.values())
    if input_ids is None or told or input_ids.device.type != "cpu" or torch.compiler.is_compiling():
        return None
    tries = fold(input_ids, attention_mask) if _on_the_right(attention_mask) else None
    return tries if tries and tries.ids.numel() <= input_ids.numel() else None  # more: nothing is in common


def _read(body: PreTrainedModel, tries: Tries):
    """What the layers give for tries; with such masks the plain kernel is a tenth faster than the fused one."""
    dtype = body.get_input_embeddings().weight.dtype
    seen = torch.zeros((), dtype=dtype).masked_fill(~tries.mask(), torch.finfo(dtype).min)
    inputs = {"input_ids": tries.ids, "attention_mask": seen, "position_ids": tries.depths, "use_cache": False}
    config, kernel = body.config, body.config._attn_implementation
    again = any(getattr(layer, "gradient_checkpointing", False) for layer in getattr(body, "layers", ()))
    try:
        if kernel == "sdpa" and not again:  # what is computed again for the gradient would meet the other kernel
            config._attn_implementation = "eager"
        return _plain(body)(**inputs)
    finally:
        config._attn_implementation = kernel


def _forward(self, input_ids=None, attention_mask=None, use_cache=None, **others):
    tries = _tries(input_ids, attention_mask, others) if use_cache is False else None
    if tries is None:
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "use_cache": use_cache, **others}
        return _plain(self)(**inputs)
    found = _read(self, tries)
    states = found.last_hidden_state.flatten(0, 1)
    found.last_hidden_state = states.index_select(0, tries.places.flatten()).view(*tries.places.shape, -1)
    return found


def _forward_to_the_end(self, input_ids=None, attention_mask=None, use_cache=None, **others):
    """Of a reward model, which looks at the last token of a row that is no padding: elsewhere there are zeros."""
    pad = self.config.get_text_config().pad_token_id
    known = input_ids is not None and input_ids.device.type == "cpu" and pad is not None and use_cache is False
    if not known or any(value is not None for value in others.values()) or torch.compiler.is_compiling():
        return _forward(self, input_ids, attention_mask, use_cache, **others)
    order = torch.arange(input_ids.shape[1], device=input_ids.device)
    read = order == (order * (input_ids != pad)).argmax(1, keepdim=True)
    states, which = states_at(self, read, input_ids, attention_mask)
    whole = states.new_zeros(read.numel(), states.shape[-1])
    whole = whole.index_copy(0, read.flatten().nonzero().squeeze(1), states.index_select(0, which))
    return BaseModelOutputWithPast(last_hidden_state=whole.view(*read.shape, -1))


def _on_the_right(mask: Tensor | None) -> bool:
    """Whether a mask of tokens has its padding on the right, and no row of padding alone."""
    return mask is not None and mask.ndim == 2 and bool(mask[:, 0].all() and (mask[:, 1:] <= mask[:, :-1]).all())


@contextmanager
def last_layer_at(body: PreTrainedModel, places: Tensor) -> Iterator[None]:
    """On a CPU, compute the last layer only for the tokens at these places of a flat batch, (places,).

    Of the others it needs keys and values alone; what stands there afterwards means nothing. Where its parts are not
    known it computes all. (A fifth of the work of four layers.)
    """
    layer = body.layers[-1] if hasattr(body, "layers") else None
    repeated = getattr(layer, "gradient_checkpointing", False)  # the layer is then computed again, without this
    here = places.device.type == "cpu" and not torch.compiler.is_compiling()
    known = layer is not None and not repeated and not hasattr(getattr(layer, "mlp", None), "experts")
    parts = dict(layer.named_modules()) if here and known else {}
    shapes: list[torch.Size] = []

    def take(module: nn.Module, args: tuple) -> tuple:
        shapes.append(args[0].shape[:-1])
        return (args[0].flatten(0, 1).index_select(0, places)[None], *args[1:])

    def put_back(module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        shape = shapes.pop()
        whole = output.new_zeros(shape.numel(), output.shape[-1])
        return whole.index_copy(0, places, output[0]).view(*shape, -1)

    hooks = []
    try:
        for part in (parts[name] for name in OF_ONE_TOKEN if name in parts):
            hooks += [part.register_forward_pre_hook(take), part.register_forward_hook(put_back)]
        yield
    finally:
        for hook in hooks:
            hook.remove()
