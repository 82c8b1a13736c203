"""Reward models: a chat model whose head gives one number, trained on comparisons, used only if it was trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.reward_trainer import suppress_seqcls_warning

from aji.errors import UserError
from aji.generate import context_of
from aji.manifest import MANIFEST, METRICS, read_json
from aji.model import load_model
from aji.prefixes import neighbours, read_once
from aji.tokenizer import load_tokenizer
from aji.upstream import ExactHead


HOW = "Train one with recipes/reward.py"


def build_reward_model(path: str, tokenizer: PreTrainedTokenizerBase, **kwargs) -> PreTrainedModel:
    """The chat model of `path` with a new head for one number, to be trained. Raises UserError where there is none."""
    load_model(path, **kwargs)  # for its errors: a folder without model, a name that is none
    with suppress_seqcls_warning():
        model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=1, **kwargs)
    # The score is read at the last token that is not padding.
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return ExactHead.of(read_once(model))


def load_reward_model(path: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A trained reward model in float32 and eval mode, and its tokenizer.

    Raises:
        UserError: for a chat model, whose head upstream would draw at random without a word; for weights without head;
            for one that orders held-out pairs no better than chance.
    """
    tokenizer = load_tokenizer(path)
    folder = Path(path)
    adapter = (folder / "adapter_config.json").is_file()
    if adapter:
        kind = read_json(folder / "adapter_config.json").get("task_type")
        trained = kind == "SEQ_CLS"
    else:
        kind = ", ".join(_config(path).architectures or ["no architecture"])
        trained = "ForSequenceClassification" in kind
    if not trained:
        raise UserError(
            f"{path} is no reward model ({kind}): its head would be random, and so would be every reward. {HOW}."
        )
    model, info = AutoModelForSequenceClassification.from_pretrained(
        path, num_labels=1, dtype=torch.float32, output_loading_info=True
    )
    if not adapter and any("score" in key for key in info["missing_keys"]):
        raise UserError(f"{path} holds no weights of a reward head (score.weight), so rewards would be random. {HOW}.")
    if not all(torch.isfinite(weight).all() for weight in model.score.parameters()):
        raise UserError(f"{path}: the reward head holds numbers that are none. {HOW} again, at a lower learning rate.")
    _check_it_learnt(folder)
    if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
        raise UserError(f"the tokenizer of {path} has no pad token or no stop token. {HOW} from a chat model.")
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return ExactHead.of(read_once(model)).eval(), tokenizer


def _config(path: str):
    try:
        return AutoConfig.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be loaded as a reward model: {str(error).splitlines()[0]}") from error


def _check_it_learnt(folder: Path) -> None:
    """Refuse a model of recipes/reward.py that did not beat a coin on its held-out pairs."""
    if not (folder / MANIFEST).is_file() or not (folder / METRICS).is_file():
        return
    metrics = read_json(folder / METRICS)
    accuracy, low = metrics.get("accuracy"), metrics.get("accuracy_low")
    if accuracy is not None and low <= 50:
        raise UserError(
            f"{folder} orders {accuracy:g} % of {metrics['accuracy_n']} held-out pairs as people do (at least {low:g} "
            "% with 95 % confidence), which a coin does too: it learnt nothing. Train it longer, or "
            "on more pairs."
        )


def check_same_tokenizer(policy: PreTrainedTokenizerBase, reward: PreTrainedTokenizerBase) -> None:
    """Raise UserError when a reward model would read other tokens, or another template, than the policy writes."""
    if policy.get_vocab() != reward.get_vocab():
        mine, yours = policy.get_vocab(), reward.get_vocab()
        other = sum(mine.get(token) != number for token, number in yours.items()) or abs(len(mine) - len(yours))
        found = f"{other:,} of its {len(yours):,} tokens have other ids"
    elif policy.eos_token_id != reward.eos_token_id:
        found = f"it stops at {reward.eos_token!r}, the policy at {policy.eos_token!r}"
    elif policy.chat_template != reward.chat_template:
        found = "its chat template is another one"
    else:
        return
    raise UserError(
        f"the reward model's tokenizer is not the policy's: {found}, so its rewards would be of another text. Train "
        "the reward model from this policy, or from one with the same tokenizer."
    )


@torch.inference_mode()
def score(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[list[int]],
    batch_size: int = 64,
    progress: str | None = None,
) -> list[float | None]:
    """The reward of each conversation in tokens, computed in float32 with padding on the right.

    A conversation must end with the stop token, as those of training do. One that does not, since its last reply broke
    off at the limit, gets None, and so does one that is longer than the context: they cannot be judged. One that is
    there several times, as in all pairs of a ranking, is read once.
    """
    room = context_of(model) or float("inf")
    rewards: dict[tuple[int, ...], float] = {}
    different = list(dict.fromkeys(map(tuple, conversations)))
    different = [one for one in different if one[-1:] == (tokenizer.eos_token_id,) and len(one) <= room]
    order = [different[place] for place in neighbours(model, different)]
    modes = model.training
    model.eval()
    with tqdm(total=len(order), desc=progress, disable=not progress) as bar:
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            rewards |= zip(batch, _batch(model, tokenizer, batch), strict=True)
            bar.update(len(batch))
    model.train(modes)
    return [rewards.get(tuple(one)) for one in conversations]


def score_pairs(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Mapping]
) -> tuple[list[float | None], list[float | None]]:
    """The rewards of `chosen_ids` and of `rejected_ids`, which begin with the prompt."""
    rewards = score(model, tokenizer, [row[side] for side in ("chosen_ids", "rejected_ids") for row in rows])
    return rewards[: len(rows)], rewards[len(rows) :]


def _batch(model, tokenizer, rows: Sequence[tuple[int, ...]]) -> list[float]:
    longest = max(map(len, rows))
    pad = tokenizer.pad_token_id
    ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=model.device)
    with torch.autocast(model.device.type, enabled=False):
        return model(input_ids=ids, attention_mask=mask, use_cache=False).logits.squeeze(-1).float().tolist()
