"""A Llama from numbers, and the sums about it that fit on paper: parameters, FLOPs, memory."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate import PartialState
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from aji.errors import UserError
from aji.manifest import MANIFEST
from aji.tokenizer import load_tokenizer


if TYPE_CHECKING:  # peft takes a second to import
    from peft import LoraConfig
    from trl import ModelConfig


VOCABULARY_MULTIPLE = 64
BASE_RECIPES = ("pretrain",)
# Of heads that look back: the common part of the embeddings against the rest, and how much the quickest plane of the
# rotary positions prefers the place looked at, in nats (the slower ones less, as they turn less).
COMMON = 2.0
SHARPNESS = 6.0


@dataclass
class ModelArguments:
    """The shape of a Llama, under the names that `LlamaConfig` gives its parts."""

    hidden_size: int = field(default=256, metadata={"help": "Width of the residual stream."})
    num_hidden_layers: int = field(default=4, metadata={"help": "Number of layers."})
    num_attention_heads: int = field(default=4, metadata={"help": "Number of query heads."})
    num_key_value_heads: int | None = field(
        default=None, metadata={"help": "Number of key and value heads (grouped-query attention). Default: all."}
    )
    intermediate_size: int | None = field(
        default=None, metadata={"help": "Width of the feed-forward part. Default: 8/3 of the hidden size."}
    )
    max_position_embeddings: int = field(default=256, metadata={"help": "Context: tokens the model can see at once."})
    rope_theta: float = field(default=10000.0, metadata={"help": "Base of the rotary position embedding."})
    tie_word_embeddings: bool = field(default=True, metadata={"help": "One matrix embeds tokens and scores them."})
    attn_implementation: str = field(
        default="sdpa", metadata={"help": "Attention kernel: sdpa, eager, flex_attention, flash_attention_2 ..."}
    )
    previous_token_heads: int = field(
        default=0,
        metadata={"help": "Heads of the first layer that begin by looking 1, 2, 3 ... tokens back. 0: none."},
    )


def round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def build_model(args: ModelArguments, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """A Llama with random weights in float32 for this tokenizer's vocabulary, rounded up to a multiple of 64."""
    heads, kv_heads = args.num_attention_heads, args.num_key_value_heads or args.num_attention_heads
    if args.hidden_size % heads:
        raise UserError(
            f"hidden_size {args.hidden_size} cannot be shared by num_attention_heads {heads}: "
            f"give a multiple, for instance --hidden_size {round_up(args.hidden_size, heads)}."
        )
    if (args.hidden_size // heads) % 2:
        raise UserError(
            f"hidden_size {args.hidden_size} over num_attention_heads {heads} makes heads of odd width, which rotary "
            f"positions cannot turn: give --hidden_size {2 * heads * max(1, args.hidden_size // heads // 2)}."
        )
    if heads % kv_heads:
        raise UserError(f"num_key_value_heads {kv_heads} must divide num_attention_heads {heads}.")
    if not 0 <= args.previous_token_heads <= heads:
        raise UserError(f"previous_token_heads is {args.previous_token_heads}, expected 0 to {heads}, all heads.")
    config = LlamaConfig(
        vocab_size=round_up(len(tokenizer), VOCABULARY_MULTIPLE),
        hidden_size=args.hidden_size,
        intermediate_size=args.intermediate_size or round_up(args.hidden_size * 8 // 3, VOCABULARY_MULTIPLE),
        num_hidden_layers=args.num_hidden_layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=args.max_position_embeddings,
        rope_parameters={"rope_type": "default", "rope_theta": args.rope_theta},
        tie_word_embeddings=args.tie_word_embeddings,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM._from_config(config, attn_implementation=args.attn_implementation)
    look_back(model, args.previous_token_heads)
    return model


@torch.no_grad()
def look_back(model: LlamaForCausalLM, heads: int) -> None:
    """Let the first `heads` heads of the first layer attend to the token 1, 2, 3 ... places before, whatever it says.

    What a token follows is the first thing that a model learns about it, and a short run spends much of its time on
    finding out how to look (docs/pretrain.md). Every embedding gets a common part, which no softmax over a tied
    vocabulary notices; the keys of these heads are made of it alone, and so are their queries, turned by rotary
    positions' own angles to where they are to look. Only a start: training goes on from there as from random weights.
    In the spirit of Trockman and Kolter 2023 (arXiv 2305.09828), who begin with the attention that training ends with.
    """
    if not heads:
        return
    config, attention = model.config, model.model.layers[0].self_attn
    width = config.head_dim
    embeddings = model.get_input_embeddings().weight
    common = torch.nn.functional.normalize(torch.randn(config.hidden_size), dim=0)
    size = config.initializer_range * math.sqrt(config.hidden_size)  # the length of a random embedding
    embeddings += COMMON * size * common
    # What is left of the common part, of length 1, in a normalized state of length sqrt(hidden_size).
    read = common * math.sqrt(1 + COMMON**2) / (COMMON * math.sqrt(config.hidden_size))
    angles = config.rope_parameters["rope_theta"] ** (-torch.arange(0, width, 2) / width)  # per place, of each plane
    plane = (SHARPNESS * math.sqrt(width) * angles).sqrt()  # quick planes tell neighbours apart
    for head in range(heads):
        turned = (head + 1) * angles
        query = torch.cat([plane * turned.cos(), -plane * turned.sin()])
        own = slice(head * width, (head + 1) * width)
        attention.q_proj.weight[own] = torch.outer(query, read)
        nn.init.orthogonal_(attention.o_proj.weight[:, own], gain=config.initializer_range)
    keys = -(-heads * config.num_key_value_heads // config.num_attention_heads)
    key = torch.cat([plane, torch.zeros_like(plane)])
    attention.k_proj.weight[: keys * width] = torch.outer(key, read).repeat(keys, 1)
    nn.init.orthogonal_(attention.v_proj.weight[: keys * width])


def load_model(path: str, **kwargs) -> PreTrainedModel:
    """The causal language model of a run folder or of the Hub, an adapter on its base included.

    Raises:
        UserError: when a local folder holds no model.
    """
    folder = Path(path)
    if folder.is_dir() and not any((folder / name).exists() for name in ("config.json", "adapter_config.json")):
        raise UserError(f"{path} holds no model: neither config.json nor adapter_config.json is there.")
    if not folder.exists() and (path.startswith((".", "/", "~")) or path.count("/") != 1):
        raise UserError(f"{path} is not there: give the folder of a run, or a model of the Hub as owner/name.")
    try:
        return AutoModelForCausalLM.from_pretrained(path, **kwargs)
    except OSError as error:
        raise UserError(f"{path} cannot be loaded as a model: {str(error).splitlines()[0]}") from error


def load_chat_model(args: "ModelConfig") -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The chat model of `args.model_name_or_path` and its tokenizer, for a stage that lets it answer.

    Raises:
        UserError: for a base model, and for one without stop token, whose answers would never end.
    """
    tokenizer = load_tokenizer(args.model_name_or_path)
    if is_base(args.model_name_or_path, tokenizer):
        raise UserError(
            f"{args.model_name_or_path} is a base model: it goes on with text and never stops. Fine-tune it first "
            "(recipes/sft.py), and give that model as model_name_or_path."
        )
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"the tokenizer of {args.model_name_or_path} has no stop token (eos_token), so no answer would ever end. "
            "Set it to the token that ends a turn, <|im_end|> in ChatML."
        )
    model = load_model(
        args.model_name_or_path,
        dtype=args.dtype,
        revision=args.model_revision,
        attn_implementation=args.attn_implementation,
    )
    return model.to(PartialState().device), tokenizer


def is_base(run: str, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the model of a run only continues text: its manifest says pretrain, or without one, no chat template.

    A tokenizer carries its template from the start, so the template alone does not tell. Raises UserError when the
    manifest names a chat stage and there is no template.
    """
    folder = Path(run)
    beside = [folder, folder.parent] if folder.name.startswith("checkpoint-") else [folder]
    manifest = next((path / MANIFEST for path in beside if (path / MANIFEST).is_file()), None)
    try:
        recipe = json.loads(manifest.read_text(encoding="utf-8")).get("recipe") if manifest else None
    except (ValueError, AttributeError) as error:
        reason = error if isinstance(error, json.JSONDecodeError) else "it is not an object"
        raise UserError(f"{manifest} is not a stage manifest ({reason}): make that stage again.") from error
    if recipe is None:
        return not tokenizer.chat_template
    if recipe not in BASE_RECIPES and not tokenizer.chat_template:
        raise UserError(
            f"{run} is a model of the stage {recipe}, but its tokenizer has no chat template: "
            f"put the chat_template.jinja that it was trained with into {run}."
        )
    return recipe in BASE_RECIPES


def keep_new_tokens(model: PreTrainedModel, lora: "LoraConfig", folder: Path) -> PreTrainedModel:
    """Prepare LoRA on a model whose embedding has just got new tokens: their rows are trained whole, and kept.

    An adapter alone could not be loaded again, since its base lacks those rows. So the base as it is now goes to
    `folder`, and the adapter will name that.
    """
    tied = model.config.tie_word_embeddings
    lora.modules_to_save = ["embed_tokens"] if tied else ["embed_tokens", "lm_head"]
    lora.ensure_weight_tying = tied
    model.save_pretrained(folder)
    return load_model(str(folder.resolve()), dtype=model.dtype)


def below_adapter(model: nn.Module) -> nn.Module:
    """The model of transformers, whose layers hold the adapter if there is one."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


# What some models do to their logits; where ours are computed apart, that would be missing.
LOGIT_CHANGES = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "lm_head_multiplier",
    "output_multiplier",
    "output_router_logits",
)


def changes_logits(model: PreTrainedModel) -> bool:
    """Whether a model does more to its states than its output matrix: scales or caps, or is a mixture of experts."""
    config = model.config.get_text_config()
    return any(getattr(config, name, None) for name in LOGIT_CHANGES)


def count_parameters(model: PreTrainedModel) -> int:
    """Number of weights, a shared matrix counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def flops_per_token(model: PreTrainedModel, context: int) -> float:
    """Floating-point operations that training spends on one token, forward and backward.

    6 N for the matrices (an embedding that is only looked up does not count) plus 12 L d T for the attention
    scores (PaLM, Chowdhery et al. 2022, appendix B).
    """
    config = model.config
    matrices = sum(p.numel() for n, p in model.named_parameters() if p.ndim == 2 and "embed_tokens" not in n)
    if config.tie_word_embeddings:
        matrices += config.vocab_size * config.hidden_size
    return 6 * matrices + 12 * config.num_hidden_layers * config.hidden_size * context


def describe(model: PreTrainedModel, context: int) -> str:
    """The model in one line: shape, parameters, cost of a token, memory that training takes at least."""
    config = model.config
    parameters = count_parameters(model)
    # fp32: the weight, its gradient and two moments
    return (
        f"{type(model).__name__}: {parameters / 1e6:.2f} M parameters, {config.num_hidden_layers} layers, "
        f"{config.hidden_size} wide, {config.num_attention_heads} heads, vocabulary {config.vocab_size:,}, "
        f"context {context}; {flops_per_token(model, context) / 1e6:.0f} MFLOPs per token, "
        f"{16 * parameters / 1e9:.2f} GB of weights and optimizer state"
    )
