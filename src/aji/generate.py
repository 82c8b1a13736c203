"""Sampling on any device: many prompts at once for exams, one prompt as a stream of whole characters for chat.

`model.generate` keeps computing rows that have already stopped, so a batch costs as much as its longest reply. An exam
has many short replies and a few that babble on; the loop here drops finished rows and takes a quarter of the time.
"""

import copy
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import regex
import torch
from torch import nn
from tqdm import tqdm
from transformers import Cache, DynamicCache, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicLayer

from aji.errors import UserError
from aji.machine import sampling_dtype


# Rows times (prompt + reply) of one batch: bounds the cache of keys and values, whatever the length of the prompts.
TOKENS_PER_BATCH = 65_536
# Tokens of the vocabulary that are added up before one of them is drawn.
BLOCK = 64
# A batch shrinks to these sizes only. The CPU's bf16 kernels are compiled anew for every shape they meet, which costs
# more than it saves when each finished row makes a shape of its own.
SIZES = sorted({1} | {factor << shift for factor in (2, 3) for shift in range(16)})


class RoomyLayer(DynamicLayer):
    """Keys and values of a layer in memory with room for more: upstream's copies all of them for every new token."""

    ROOM = 64  # tokens
    room: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs):
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before = self.get_seq_length()
        after = before + key_states.shape[-2]
        if self.room is None or self.room[0].shape[-2] < after:
            rows, heads, _, width = key_states.shape
            room = tuple(key_states.new_empty(rows, heads, after + self.ROOM, width) for _ in range(2))
            if before:
                room[0][:, :, :before], room[1][:, :, :before] = self.keys, self.values
            self.room = room
        self.room[0][:, :, before:after], self.room[1][:, :, before:after] = key_states, value_states
        self.keys, self.values = (room[:, :, :after] for room in self.room)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        super().batch_select_indices(indices)
        self.room = None


def _cache(model: PreTrainedModel) -> Cache:
    """For models whose layers all see the whole context; others would need upstream's sliding layers."""
    if getattr(model.config.get_text_config(), "sliding_window", None) or hasattr(model.config, "layer_types"):
        return DynamicCache(config=model.config)
    return Cache(layer_class_to_replicate=RoomyLayer)


@dataclass(frozen=True)
class Completion:
    """A reply: its ids and text without the stop token, whether a stop token ended it, and which."""

    ids: list[int]
    text: str
    stopped: bool
    stop_token: int | None = None


def stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The ids that end a reply: the tokenizer's eos and every eos of the model's generation_config."""
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    several = configured if isinstance(configured, list | tuple) else [configured]
    return frozenset(int(token) for token in (tokenizer.eos_token_id, *several) if token is not None)


def sample(
    logits: torch.Tensor, temperature: float = 1.0, top_p: float = 1.0, generator: torch.Generator | None = None
) -> torch.Tensor:
    """One token id per row, drawn from softmax(logits / temperature); temperature 0 takes the likeliest.

    logits: (rows, vocabulary), returns (rows,). `top_p` < 1 draws from the smallest set of tokens whose probability
    reaches it (nucleus sampling, Holtzman et al. 2020).
    """
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits.float()
    if temperature < 0.01:  # the quotients of large logits would be infinite
        logits = logits - logits.amax(-1, keepdim=True)
    probabilities = (logits if temperature == 1 else logits / temperature).softmax(-1)
    if top_p < 1:
        ordered, order = probabilities.sort(-1, descending=True)
        ordered = ordered.masked_fill(ordered.cumsum(-1) - ordered >= top_p, 0.0)
        probabilities = torch.zeros_like(probabilities).scatter(-1, order, ordered)
    # Two random numbers a row, for a block of the vocabulary and for a token of it: torch.multinomial draws one per
    # token, a third of the whole time for a small model, and adding up the whole vocabulary takes a sixth.
    blocks = nn.functional.pad(probabilities, (0, -probabilities.shape[-1] % BLOCK)).unflatten(-1, (-1, BLOCK))
    drawn = torch.rand((2, len(logits), 1), generator=generator, device=logits.device, dtype=_exact(logits.device))
    block = _hit(blocks.sum(-1), drawn[0])
    inside = blocks.gather(1, block[..., None].expand(-1, -1, BLOCK)).squeeze(1)
    return (block * BLOCK + _hit(inside, drawn[1])).squeeze(1)


def _hit(masses: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Where numbers (rows, 1) in [0, 1) fall among masses (rows, count); never on one of 0."""
    sums = masses.cumsum(-1, dtype=drawn.dtype)  # float64 keeps the rarest tokens exact
    last = (sums < sums[:, -1:]).sum(-1, keepdim=True)
    return torch.searchsorted(sums, drawn * sums[:, -1:], right=True).minimum(last)


def _exact(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64


def for_many(model: PreTrainedModel) -> dict:
    """Settings of `generate` for many short replies: the fastest type, and large batches, which ended rows leave."""
    return {"batch_size": 512, "dtype": sampling_dtype(model.device)}


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int | None = None,
    batch_size: int = 256,
    stop: Collection[int] | None = None,
    dtype: torch.dtype | None = None,
    progress: str | None = None,
    decode: bool = True,
) -> list[Completion]:
    """Complete every prompt (token ids); completions come in the order of the prompts.

    A reply ends at a token of `stop` (default: `stop_ids`), after `max_new_tokens`, or where the context is full. Same
    seed, prompts and batch_size: same replies; without a seed torch's global random state is used. `dtype` computes
    with weights in that type (a copy, for this call): bfloat16 is fastest on CPUs with AMX or AVX512-BF16. `progress`
    names a progress bar. Equal prompts are read once and get replies of their own. Without `decode` texts stay empty.
    Raises UserError when a prompt leaves no room in the model's context.
    """
    check_sampling(temperature, top_p, max_new_tokens)
    stop = stop_ids(model, tokenizer) if stop is None else frozenset(stop)
    limits = [_room(model, prompt, max_new_tokens) for prompt in prompts]
    replies: list[tuple[list[int], int | None]] = [([], None)] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), prompts[index]))
    with _ready(model, dtype) as ready, tqdm(total=len(prompts), desc=progress, disable=not progress) as bar:
        generator = _generator(ready.device, seed)
        lengths = [len(prompt) for prompt in prompts]
        for batch in _batches(order, lengths, max_new_tokens, batch_size):
            done = _complete(
                ready,
                [prompts[index] for index in batch],
                [limits[index] for index in batch],
                stop,
                lambda logits: sample(logits, temperature, top_p, generator),
            )
            for index, reply in zip(batch, done, strict=True):
                replies[index] = reply
            bar.update(len(batch))
    texts = [tokenizer.decode(ids, skip_special_tokens=True) if decode else "" for ids, _ in replies]
    return [Completion(ids, text, stop is not None, stop) for (ids, stop), text in zip(replies, texts, strict=True)]


def stream(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt_ids: list[int],
    max_new_tokens: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int | None = None,
    stop: Collection[int] | None = None,
) -> Iterator[str]:
    """Yield the reply to one prompt in pieces of whole characters, as they become certain.

    A character that is spread over several tokens (a Korean syllable, an emoji with joiners, a letter with its
    accents) is shown when the next one begins or the reply ends, never in part. Raises UserError as `generate` does.
    """
    ids: list[int] = []
    shown = 0
    for token in stream_ids(model, tokenizer, prompt_ids, max_new_tokens, temperature, top_p, seed, stop):
        ids.append(token)
        text = tokenizer.decode(ids, skip_special_tokens=True)
        certain = certain_length(text, shown)
        if certain > shown:
            yield text[shown:certain]
            shown = certain
    rest = tokenizer.decode(ids, skip_special_tokens=True)[shown:]
    if rest:
        yield rest


def stream_ids(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt_ids: list[int],
    max_new_tokens: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int | None = None,
    stop: Collection[int] | None = None,
) -> Iterator[int]:
    """Yield the tokens of the reply to one prompt, without the stop token. Raises UserError as `generate` does."""
    check_sampling(temperature, top_p, max_new_tokens)
    stop = stop_ids(model, tokenizer) if stop is None else frozenset(stop)
    limit = _room(model, prompt_ids, max_new_tokens)
    with _ready(model, None) as ready:
        generator = _generator(ready.device, seed)
        cache = _cache(ready)
        inputs, mask, positions = _pad_left([prompt_ids], ready.device)
        for _ in range(limit):
            chosen = sample(_next_logits(ready, inputs, mask, positions, cache), temperature, top_p, generator)
            if chosen.item() in stop:
                return
            yield chosen.item()
            inputs, positions = chosen[None], positions[:, -1:] + 1


def check_sampling(temperature: float, top_p: float, max_new_tokens: int) -> None:
    """Raise UserError when a setting of the sampler makes no sense."""
    if not 0 <= temperature < float("inf"):
        raise UserError(f"temperature is {temperature:g}; expected 0 (greedy) or a positive number such as 0.7.")
    if not 0 < top_p <= 1:
        raise UserError(f"top_p is {top_p:g}; expected a number above 0 and at most 1 (1 keeps every token).")
    if max_new_tokens < 1:
        raise UserError(f"max_new_tokens is {max_new_tokens}; expected 1 or more.")


def context_of(model: PreTrainedModel) -> int | None:
    """The number of tokens that the model can see at once, None when its config does not bound it."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def fits(model: PreTrainedModel, prompt: Sequence[int]) -> bool:
    """Whether the model can see the whole prompt and reply with a token or more."""
    context = context_of(model)
    return context is None or len(prompt) < context


def certain_length(text: str, shown: int) -> int:
    """The length of the part of `text` that no further token can change, at least `shown`."""
    # Bytes that are not (yet) a character decode to U+FFFD.
    clusters = regex.findall(r"\X", text[shown:].rstrip("\ufffd"))
    return shown + sum(map(len, clusters[:-1]))


def _room(model: PreTrainedModel, prompt: list[int], max_new_tokens: int) -> int:
    if not prompt:
        raise ValueError("an empty prompt: begin with the tokenizer's bos_token_id")
    context = context_of(model)
    if not fits(model, prompt):
        raise UserError(
            f"a prompt has {len(prompt)} tokens, and the model sees {context}, reply included: shorten the prompt."
        )
    return max_new_tokens if context is None else min(max_new_tokens, context - len(prompt))


def _generator(device: torch.device, seed: int | None) -> torch.Generator | None:
    return None if seed is None else torch.Generator(device).manual_seed(seed)


@contextmanager
def _ready(model: PreTrainedModel, dtype: torch.dtype | None) -> Iterator[PreTrainedModel]:
    """The model in eval mode, not compiled (every new length would compile again), as a copy in `dtype` if given."""
    plain = getattr(model, "_orig_mod", model)
    modes = [(module, module.training) for module in plain.modules()]
    plain.eval()
    try:
        if dtype not in (None, plain.dtype):
            plain = copy.deepcopy(plain)
            # Not plain.to(dtype): it would round the rotary frequencies too, which must stay float32.
            for parameter in plain.parameters():
                parameter.data = parameter.data.to(dtype)
        yield plain
    finally:
        for module, mode in modes:
            module.training = mode


def _batches(order: list[int], lengths: list[int], max_new_tokens: int, batch_size: int) -> Iterator[list[int]]:
    """Cut `order` (shortest prompt first) into batches of at most `batch_size` prompts and TOKENS_PER_BATCH tokens."""
    batch: list[int] = []
    for index in order:
        tokens = (len(batch) + 1) * (lengths[index] + max_new_tokens)
        if batch and (len(batch) == batch_size or tokens > TOKENS_PER_BATCH):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


@torch.inference_mode()
def _next_logits(model, inputs, mask, positions, cache) -> torch.Tensor:
    """(rows, vocabulary) in float32: the scores of the token after the last of `inputs`."""
    output = model(
        input_ids=inputs,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return output.logits[:, -1].float()


def _pad_left(
    prompts: Sequence[Sequence[int]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """(ids, mask, positions), each (rows, longest); no mask when all prompts are of one length (faster)."""
    longest = max(map(len, prompts))
    # The id of the padding is never looked at: the mask hides it.
    ids = torch.tensor([[*[0] * (longest - len(prompt)), *prompt] for prompt in prompts], device=device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    positions = torch.arange(longest, device=device)[None] - (longest - lengths)[:, None]
    mask = None if bool((lengths == longest).all()) else (positions >= 0).long()
    return ids, mask, positions.clamp(min=0)


@torch.inference_mode()
def _complete(model, prompts, limits, stop, choose) -> list[tuple[list[int], int | None]]:
    """Complete one batch. Rows that have ended leave it when enough of them have, down to the next of SIZES."""
    replies: list[list[int]] = [[] for _ in limits]
    stopped: list[int | None] = [None] * len(limits)
    rows: list[int | None] = list(range(len(limits)))  # the reply of each row, None for a row that has ended
    different = {prompt: place for place, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    inputs, mask, positions = _pad_left([*different], model.device)
    cache = _cache(model)
    logits = _next_logits(model, inputs, mask, positions, cache)
    if len(different) < len(prompts):
        own = torch.tensor([different[tuple(prompt)] for prompt in prompts], device=inputs.device)
        cache.batch_select_indices(own)
        logits, positions, mask = logits[own], positions[own], None if mask is None else mask[own]
    while True:
        chosen = choose(logits)
        for slot, token in enumerate(chosen.tolist()):
            row = rows[slot]
            if row is None:
                continue
            if token in stop:
                stopped[row], rows[slot] = token, None
                continue
            replies[row].append(token)
            if len(replies[row]) == limits[row]:
                rows[slot] = None
        going = [slot for slot, row in enumerate(rows) if row is not None]
        if not going:
            return list(zip(replies, stopped, strict=True))
        inputs, positions = chosen[:, None], positions[:, -1:] + 1
        size = next((size for size in SIZES if size >= len(going)), len(rows))
        if size < len(rows):
            ended = [slot for slot, row in enumerate(rows) if row is None]
            keep = sorted(going + ended[: size - len(going)])
            rows = [rows[slot] for slot in keep]
            kept = torch.tensor(keep, device=inputs.device)
            cache.batch_select_indices(kept)
            inputs, positions = inputs[kept], positions[kept]
            mask = None if mask is None else mask[kept]
        if mask is not None:
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        logits = _next_logits(model, inputs, mask, positions, cache)
