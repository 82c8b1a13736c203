"""The gate: nothing is fine-tuned before its rows, its tokenizer and its embedding are proven to fit one another.

Each refusal is a mistake that trains without an error and shows only later: a model that never stops, that answers
with the user's next question, or that learns from nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.text import Text
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aji.chatml import RESPONSE_TEMPLATE, Encoded, encode, has_generation_marks, load_template, response_template
from aji.errors import UserError
from aji.tokenizer import SPECIAL_TOKENS


# Controls other than tab and newline as their visible pictures: text of a data set must not steer the terminal.
PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
# Two tokens that were never met have all but the same row; any two that were met differ.
NEVER_MET = 0.95


@dataclass(frozen=True)
class GateReport:
    """What passed the gate. `example` is one row as (text, carries loss) pieces."""

    rows: int
    tokens: int
    trained_tokens: int
    answers: int
    longest: int
    example: list[tuple[str, bool]]

    @property
    def trained_share(self) -> float:
        """Share of tokens that carry loss."""
        return self.trained_tokens / self.tokens


def check(
    tokenizer: PreTrainedTokenizerBase,
    model_vocab_size: int,
    rows: Iterable[Encoded | Mapping],
    max_length: int | None = None,
    eos_token_ids: Iterable[int] = (),
) -> GateReport:
    """Prove that `rows` teach the assistant's words and its stop token, and nothing else.

    Args:
        tokenizer: with chat template; its eos is the stop token.
        model_vocab_size: rows of the model's embedding.
        rows: `Encoded`, or mappings with `input_ids` and either `labels` (-100 where untrained) or `trained`.
        max_length: the trainer's context; longer rows would be cut by it anywhere.
        eos_token_ids: further ids at which generation stops (of the model's generation config).

    Raises:
        UserError: naming the first row that is wrong, why, and what to do.
    """
    check_tokens(tokenizer, model_vocab_size, eos_token_ids)
    _check_template(tokenizer)
    header = np.asarray(_answer_header(tokenizer))
    count = tokens = trained_tokens = answers = longest = 0
    example = None
    for number, row in enumerate(rows):
        ids, trained = _arrays(row, number)
        answers += _check_row(number, ids, trained, tokenizer, header, max_length)
        count, tokens, trained_tokens = count + 1, tokens + len(ids), trained_tokens + int(trained.sum())
        longest = max(longest, len(ids))
        example = example or _pieces(tokenizer, ids, trained)
    if not count:
        raise UserError(
            "there are no conversations to train on. Look at the path, and at what was dropped on the way."
        )
    return GateReport(count, tokens, trained_tokens, answers, longest, example)


def show(report: GateReport, console: Console | None = None) -> None:
    """Print one rendered example with the loss-carrying tokens coloured, and the share of tokens that carry loss."""
    console = console or Console()
    # Without colours (a log file), brackets say the same.
    opening, closing = ("", "") if console.is_terminal and not console.no_color else ("[[", "]]")
    text = Text()
    for piece, trained in report.example:
        piece = piece.translate(PICTURES)
        text.append(f"{opening}{piece}{closing}" if trained else piece, "black on green" if trained else "dim")
    mark = "green" if not opening else "in [[ ]]"
    console.rule(f"one row as the model sees it; what carries loss is {mark}", style="dim")
    console.print(text, soft_wrap=True)
    console.rule(style="dim")
    console.print(
        f"gate passed: {report.rows:,} rows, {report.answers:,} answers, {report.tokens:,} tokens, "
        f"{100 * report.trained_share:.1f} % of them carry loss; the longest row has {report.longest:,} tokens",
        highlight=False,
        soft_wrap=True,
    )


def fit_to(encoded: Encoded, max_length: int, stop_id: int) -> Encoded | None:
    """Cut a conversation that is longer than `max_length` tokens after its last whole answer that fits.

    Returns the same object when it is short enough, None when not even the first answer fits with its stop token.
    """
    if len(encoded.input_ids) <= max_length:
        return encoded
    for end in range(max_length, 0, -1):
        if (
            encoded.input_ids[end - 1] == stop_id
            and encoded.trained[end - 1]
            and encoded.trained[end : end + 1] != [True]
        ):
            return Encoded(encoded.input_ids[:end], encoded.trained[:end])
    return None


def prepare(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, template: str | None = None) -> list[int]:
    """Make tokenizer and model ready for conversations, in place; return the ids of the tokens that are new.

    `template` is `chatml` or `chatml_sep`; None keeps the tokenizer's own where it has `{% generation %}` marks.
    """
    own = tokenizer.get_chat_template() if tokenizer.chat_template else None
    if template is None and has_generation_marks(own):
        tokenizer.response_template = response_template(tokenizer)
        warm_start(tokenizer, model)
        return []
    return with_chatml(tokenizer, model, template or "chatml")


@torch.no_grad()
def warm_start(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> bool:
    """Give ChatML's marks rows to start from, if pretraining never met them; return whether that was so.

    Tokens that never occur are pushed away from every context, all in one direction: a stop token was seen to begin at
    24 nats, and fine-tuning first has to mend that. A turn begins like a line and ends like a document, so
    `<|im_start|>` takes the row of the newline and `<|im_end|>` that of the document end: 4 nats.
    """
    known, end = tokenizer.get_vocab(), tokenizer.bos_token_id
    start, stop = known.get("<|im_start|>"), known.get("<|im_end|>")
    if None in (start, stop, end) or has_met(tokenizer, model, "<|im_start|>", "<|im_end|>"):
        return False
    newline = tokenizer.encode("\n", add_special_tokens=False)[-1]
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        layer.weight[start], layer.weight[stop] = layer.weight[newline].clone(), layer.weight[end].clone()
    return True


def has_met(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, first: str, second: str) -> bool:
    """Whether a model was trained on two tokens: the rows of those that it never met are all but the same."""
    known, rows = tokenizer.get_vocab(), model.get_input_embeddings().weight
    if first not in known or second not in known:
        return False
    return bool(torch.cosine_similarity(rows[known[first]], rows[known[second]], dim=0) < NEVER_MET)


def with_chatml(
    tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel | None = None, template: str = "chatml"
) -> list[int]:
    """Teach a foreign tokenizer (and model) the ChatML template, in place; return the ids of the tokens that are new.

    Adds the template's control tokens that are missing, sets eos to `<|im_end|>` and, where pad is missing or equals
    an eos, pad to `<|pad|>`. The embedding grows to a multiple of 64 when the ids need it; new rows start around the
    mean row.
    """
    source = load_template(template)
    stops = {tokenizer.eos_token_id, *_stops_of(model)}
    known = tokenizer.get_vocab()
    needed = [token for token in SPECIAL_TOKENS if token in source]
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in {*stops, known.get("<|im_end|>")}:
        needed.append("<|pad|>")
        tokenizer.pad_token = "<|pad|>"
    missing = [token for token in needed if token not in known]
    tokenizer.add_tokens(needed, special_tokens=True)
    tokenizer.eos_token = "<|im_end|>"
    tokenizer.chat_template, tokenizer.response_template = source, RESPONSE_TEMPLATE
    new_ids = tokenizer.convert_tokens_to_ids(missing)
    if model is not None:
        _grow_embedding(model, highest_id(tokenizer) + 1, new_ids)
        for config in (model.config, model.generation_config):
            if config is not None:
                config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    return new_ids


def highest_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The highest id that the tokenizer can emit; `len(tokenizer)` misses it when ids have gaps."""
    return max(tokenizer.get_vocab().values())


def _stops_of(model: PreTrainedModel | None) -> set[int]:
    configs = (model.config, model.generation_config) if model is not None else ()
    stops = set()
    for config in configs:
        eos = getattr(config, "eos_token_id", None)
        stops.update(eos if isinstance(eos, list) else [eos])
    return stops


@torch.no_grad()
def _grow_embedding(model: PreTrainedModel, needed: int, new_ids: list[int]) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    if needed > rows:
        model.resize_token_embeddings(needed, pad_to_multiple_of=64)
    # Ids that fall on rows the model already had in reserve: those were never trained.
    reserved = [token for token in new_ids if token < rows]
    if not reserved:
        return
    used = torch.ones(rows, dtype=torch.bool)
    used[reserved] = False
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        if layer is not None:
            mean = layer.weight[:rows][used.to(layer.weight.device)].float().mean(0)
            layer.weight[reserved] = mean.to(layer.weight.dtype)


def check_tokens(tokenizer, model_vocab_size: int, eos_token_ids: Iterable[int] = ()) -> None:
    """Raise UserError when eos or pad is missing, pad is an eos, or an id is outside the embedding."""
    if tokenizer.eos_token_id is None:
        raise UserError("the tokenizer has no eos token, so an answer could never end. Use --chat_template chatml.")
    if tokenizer.pad_token_id is None:
        raise UserError("the tokenizer has no pad token. Use --chat_template chatml, which adds <|pad|>.")
    if tokenizer.pad_token_id in {tokenizer.eos_token_id, *eos_token_ids}:
        raise UserError(
            f"pad is {tokenizer.pad_token!r}, the same as an eos: every stop token would be masked as padding and the "
            "model would never learn to stop. Use --chat_template chatml, which adds <|pad|>."
        )
    highest = highest_id(tokenizer)
    if highest >= model_vocab_size:
        raise UserError(
            f"the tokenizer has ids up to {highest}, but the model's embedding has {model_vocab_size} rows. They do "
            "not belong together: give the tokenizer the model was trained with, or resize the embedding."
        )


def _check_template(tokenizer) -> None:
    """Render a probe: only the assistant's words may be trained, and eos with them."""
    user, assistant = "7 apples", "9 pears"
    chat = [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    probe = encode(tokenizer, [chat])[0]
    said = tokenizer.decode([token for token, trained in zip(probe.input_ids, probe.trained, strict=True) if trained])
    if user in said:
        raise UserError(
            "a user token is trained: the chat template has the user's text inside {% generation %}. "
            "Use --chat_template chatml."
        )
    if assistant not in said:
        raise UserError(
            "no assistant token is trained: the chat template has the assistant's text outside {% generation %}. "
            "Use --chat_template chatml."
        )
    if not any(t and i == tokenizer.eos_token_id for i, t in zip(probe.input_ids, probe.trained, strict=True)):
        raise UserError(
            f"the stop token {tokenizer.eos_token!r} (eos of the tokenizer) is not trained: the chat template has "
            "none inside {% generation %}, so the model would never stop. Use --chat_template chatml, which sets eos "
            "to <|im_end|>."
        )


def _answer_header(tokenizer) -> list[int]:
    """The ids that stand before every answer, as the model is prompted with them."""
    chat = [{"role": "user", "content": "a"}]
    closed, opened = encode(tokenizer, [chat])[0], encode(tokenizer, [chat], add_generation_prompt=True)[0]
    return opened.input_ids[len(closed.input_ids) :]


def _arrays(row: Encoded | Mapping, number: int) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(row, Encoded):
        return np.asarray(row.input_ids), np.asarray(row.trained, dtype=bool)
    ids = np.asarray(row["input_ids"])
    trained = np.asarray(row["trained"], dtype=bool) if "trained" in row else np.asarray(row["labels"]) != -100
    if len(trained) != len(ids):
        raise UserError(f"row {number} has {len(ids)} ids but {len(trained)} labels. Encode it again.")
    return ids, trained


def _check_row(number, ids, trained, tokenizer, header, max_length) -> int:
    """Check one row; return how many answers it trains."""
    if max_length is not None and len(ids) > max_length:
        raise UserError(
            f"row {number} has {len(ids)} tokens, max_length is {max_length}: the trainer would cut it in the "
            "middle of an answer. Raise --max_length, or cut it with aji.chatml.gate.fit_to."
        )
    edges = np.flatnonzero(np.diff(trained, prepend=False, append=False))
    if not len(edges):
        raise UserError(f"row {number} has no trained token: it holds no assistant message. Remove it from the data.")
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        stops = np.flatnonzero(ids[start:end] == tokenizer.eos_token_id)
        if start < len(header) or not np.array_equal(ids[start - len(header) : start], header):
            raise _not_the_assistants(number, ids[start : start + 12], tokenizer)
        if len(stops) and stops[0] != end - start - 1:
            after = start + stops[0] + 1
            raise _not_the_assistants(number, ids[after : min(end, after + 12)], tokenizer)
        if not len(stops):
            cut = end == len(ids) and max_length is not None and len(ids) == max_length
            raise UserError(
                f"row {number} was cut to {max_length} tokens without the stop token {tokenizer.eos_token!r} of its "
                "last answer, so the model would learn not to stop. Cut whole answers with aji.chatml.gate.fit_to."
                if cut
                else f"row {number}: the stop token {tokenizer.eos_token!r} is not trained after the answer that ends "
                f"{tokenizer.decode(ids[max(start, end - 12) : end])!r}, so the model would never stop. "
                "Encode it with aji.chatml.encode."
            )
    return len(edges) // 2


def _not_the_assistants(number: int, ids: np.ndarray, tokenizer) -> UserError:
    return UserError(
        f"row {number}: a user token is trained, or another that the assistant does not say: "
        f"{tokenizer.decode(ids)!r}. Train the assistant's turns only: encode with aji.chatml.encode."
    )


def _pieces(tokenizer, ids: np.ndarray, trained: np.ndarray) -> list[tuple[str, bool]]:
    """The row as text, cut where loss begins and ends."""
    edges = [0, *(np.flatnonzero(np.diff(trained)) + 1).tolist(), len(ids)]
    return [(tokenizer.decode(ids[a:b]), bool(trained[a])) for a, b in zip(edges, edges[1:], strict=False) if a < b]
