"""A Llama from numbers, and the sums about it that fit on paper: parameters, FLOPs, memory."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from accelerate import PartialState
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from aji.errors import UserError
from aji.manifest import MANIFEST
from aji.tokenizer import load_tokenizer


if TYPE_CHECKING:  # peft takes a second to import
    from peft import LoraConfig
    from trl import ModelConfig


VOCABULARY_MULTIPLE = 64
BASE_RECIPES = ("pretrain",)


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
    return LlamaForCausalLM._from_config(config, attn_implementation=args.attn_implementation)


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
