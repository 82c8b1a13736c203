"""ChatML: the one way a conversation becomes token ids, in training, evaluation and chat alike.

transformers can keep message text from forging control tokens (`sanitize_control_tokens=True`), and it can return the
mask of what the assistant said, but not both at once; `encode` does both, for any tokenizer whose template has
`{% generation %}` marks.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain, groupby
from operator import itemgetter

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from aji.errors import UserError


TEMPLATES = ("chatml", "chatml_sep")
# What upstream's `parse_response` and trl's trainers with tools go by; it is saved with the tokenizer.
RESPONSE_TEMPLATE = {
    "defaults": {"role": "assistant"},
    "start_anchor_pattern": r"<\|im_start\|>assistant(?:\n|<\|im_sep\|>)",
    "fields": {
        "reasoning_content": {"open": "<|think|>", "close": "<|/think|>", "content": "text"},
        "tool_calls": {
            "open": "<|tool_call|>",
            "close": "<|/tool_call|>",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"<\|im_end\|>\s*", "content": "text"},
    },
}
# Private-use characters around a control token that stands in message text. They are removed from the text first, so
# that no message can write a mark of its own.
_OPEN, _CLOSE = "\U000f0000", "\U000f0001"


@dataclass(frozen=True)
class Encoded:
    """A conversation in tokens: `input_ids` and, of the same length, `trained`: True where the token carries loss."""

    input_ids: list[int]
    trained: list[bool]

    @property
    def labels(self) -> list[int]:
        """The ids where trained, -100 (ignored by the loss) elsewhere."""
        return [token if trained else -100 for token, trained in zip(self.input_ids, self.trained, strict=True)]


def load_template(name: str) -> str:
    """Return the Jinja source of `chatml` or `chatml_sep`."""
    if name not in TEMPLATES:
        raise UserError(f"chat template '{name}' is not one of {', '.join(TEMPLATES)}. Use --chat_template chatml.")
    return files("aji.chatml").joinpath(f"{name}.jinja").read_text(encoding="utf-8")


def encode(
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[list[dict]],
    add_generation_prompt: bool = False,
    tools: Sequence[list[dict] | str | None] | None = None,
) -> list[Encoded]:
    """Encode conversations (lists of `{"role", "content", ...}`) with the tokenizer's own chat template.

    Text of messages and tools never becomes a control token: "<|im_end|>" typed by a user is encoded as ten ordinary
    characters. The tokens inside `{% generation %}` are the trained ones. `tools` holds, per conversation, a list of
    JSON schemas, its JSON text, or None. Raises UserError when the tokenizer has no template, the template has no
    `{% generation %}` marks, or the template refuses a message.
    """
    template = _template_of(tokenizer)
    control = _control_tokens(tokenizer, template)
    cut = re.compile(f"{_OPEN}({control.pattern}){_CLOSE}|[{_OPEN}{_CLOSE}]")
    chats = []
    for rendered, spans in _render(
        template,
        conversations,
        tools,
        control,
        add_generation_prompt=add_generation_prompt,
        **tokenizer.special_tokens_map,
    ):
        chats.append(list(_segments(rendered, spans, cut)))
    ids_of = _encode_segments(tokenizer, chain.from_iterable(chats))
    encoded = []
    for segments in chats:
        input_ids, trained = [], []
        for (_, _, is_trained), ids in zip(segments, ids_of, strict=False):
            input_ids += ids
            trained += [is_trained] * len(ids)
        encoded.append(Encoded(input_ids, trained))
    return encoded


def render(
    template: str, conversations: Sequence[list[dict]], tools: Sequence[list[dict] | str | None] | None = None
) -> Iterable[str]:
    """The text of each conversation in a chat template. To read, not to encode: message text can forge marks in it.

    `tools` and errors are those of `encode`.
    """
    return map(itemgetter(0), _render(template, conversations, tools, re.compile("(?!)")))


def response_template(tokenizer: PreTrainedTokenizerBase) -> dict | None:
    """How `parse_response` takes a reply apart: the tokenizer's own, or ours for a template that has our marks.

    None when the tokenizer has neither, so that its calls cannot be told from its words.
    """
    own = getattr(tokenizer, "response_template", None)
    return own or (RESPONSE_TEMPLATE if "<|tool_call|>" in (tokenizer.chat_template or "") else None)


def parse_reply(
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[int],
    prompt_ids: Sequence[int] = (),
    tools: list[dict] | None = None,
) -> dict:
    """The message that the assistant said in tokens: `role`, `content`, and where there are any `tool_calls`.

    It is upstream's `parse_response`, but only control tokens are marks: a model that spells "<|tool_call|>" in
    ordinary characters, say because a user asked it to, has called nothing. Raises ValueError for a call that is no
    JSON object with `name` and `arguments`.
    """
    template = response_template(tokenizer)
    control = _control_tokens(tokenizer, tokenizer.chat_template or "")
    text = _unforgeable(tokenizer, ids, control)
    message = _unmark(tokenizer.parse_response(text, template, prefix=_unforgeable(tokenizer, prompt_ids, control)))
    message["content"] = message.get("content") or ""
    for call in message.get("tool_calls", ()):
        function = call.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise ValueError("a call needs a name and arguments")
        function["arguments"] = function.get("arguments") or {}
    return message


def _unforgeable(tokenizer, ids: Sequence[int], control: re.Pattern) -> str:
    """The text of tokens, with a private character inside every control token that was spelt in ordinary tokens."""
    pieces, run = [], []
    added = tokenizer.added_tokens_decoder
    for token in [*ids, None]:
        name = added[token].content if token in added else None
        if token is not None and (name is None or not control.fullmatch(name)):
            run.append(token)
            continue
        text = tokenizer.decode(run, skip_special_tokens=False) if run else ""
        pieces += [control.sub(lambda match: match[0][0] + _OPEN + match[0][1:], text.replace(_OPEN, "")), name or ""]
        run = []
    return "".join(pieces)


def _unmark(value):
    if isinstance(value, str):
        return value.replace(_OPEN, "")
    if isinstance(value, dict):
        return {_unmark(key): _unmark(item) for key, item in value.items()}
    return [_unmark(item) for item in value] if isinstance(value, list) else value


def has_generation_marks(template: str | None) -> bool:
    """Whether a chat template tells with `{% generation %}` what the assistant says."""
    return bool(template and re.search(r"\{%-?\s*generation\s*-?%\}", template))


def _template_of(tokenizer) -> str:
    if not tokenizer.chat_template:
        raise UserError(
            f"the tokenizer '{tokenizer.name_or_path}' has no chat template, so it belongs to a base model. "
            "Give it one with --chat_template chatml."
        )
    template = tokenizer.get_chat_template()
    if not has_generation_marks(template):
        raise UserError(
            f"the chat template of '{tokenizer.name_or_path}' has no {{% generation %}} marks, so what the assistant "
            "says cannot be told from the rest. Replace it with --chat_template chatml."
        )
    return template


def _control_tokens(tokenizer, template: str) -> re.Pattern:
    """A pattern of all tokens that text must not forge: the special ones, and added ones that the template writes."""
    added = tokenizer.added_tokens_decoder.values()
    tokens = [t.content for t in added if t.special or (t.content in template and not t.content.isspace())]
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def _mark(value, control: re.Pattern):
    """Put marks around the control tokens in every string of `value`, the keys of its dicts included."""
    if isinstance(value, str):
        return control.sub(f"{_OPEN}\\g<0>{_CLOSE}", value.replace(_OPEN, "").replace(_CLOSE, ""))
    if isinstance(value, dict):
        # Data sets fill absent fields with None; templates expect them to be absent.
        return {_mark(key, control): _mark(item, control) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_mark(item, control) for item in value]
    return value


def _render(template, conversations, tools, control, **variables):
    """Yield the text of each conversation and the character spans of its generation blocks.

    `variables` are what the template may ask for besides.
    """
    pairs = zip(conversations, tools or [None] * len(conversations), strict=True)
    for own_tools, group in groupby(pairs, key=itemgetter(1)):
        own_tools = json.loads(own_tools) if own_tools and isinstance(own_tools, str) else own_tools
        try:
            texts, spans = render_jinja_template(
                conversations=[_mark(conversation, control) for conversation, _ in group],
                tools=_mark(own_tools, control) or None,
                chat_template=template,
                return_assistant_tokens_mask=True,
                **variables,
            )
        except TemplateError as error:
            reason = str(error).translate({ord(_OPEN): None, ord(_CLOSE): None})
            raise UserError(f"the chat template refuses a conversation: {reason}. Mend that message.") from error
        yield from zip(texts, spans, strict=True)


def _segments(text: str, spans: list[tuple[int, int]], cut: re.Pattern) -> Iterable[tuple[str, bool, bool]]:
    """Cut rendered text into (text, is plain, is trained) at the ends of generation blocks and around marked tokens.

    The cut before an answer is the place where a prompt ends when the model generates, so both see the same tokens.
    """
    edges = [0, *chain.from_iterable(spans), len(text)]
    for index, (start, end) in enumerate(zip(edges, edges[1:], strict=False)):
        # split gives text, marked token, text, ...; the token is None where a template tore a pair of marks apart
        for position, piece in enumerate(cut.split(text[start:end])):
            if piece:
                yield piece, position % 2 == 1, index % 2 == 1


def _encode_segments(tokenizer, segments: Iterable[tuple[str, bool, bool]]) -> Iterable[list[int]]:
    """Yield the ids of each segment, in order; everything but the marked tokens goes to the backend in one batch."""
    segments = list(segments)
    # SentencePiece-like tokenizers put a space before any text; encoding after a newline keeps it away.
    newline = tokenizer.encode("\n", add_special_tokens=False)
    alone = tokenizer.encode("a", add_special_tokens=False)
    prefix = "" if tokenizer.encode("\na", add_special_tokens=False) == newline + alone else "\n"
    texts = [prefix + text for text, is_plain, _ in segments if not is_plain]
    encoded = iter(_encode_batch(tokenizer, texts))
    forged = {text for text, is_plain, _ in segments if is_plain}
    plain = {text: _encode_plain(tokenizer, prefix, text) for text in forged}
    for text, is_plain, _ in segments:
        ids = plain[text] if is_plain else next(encoded)
        yield ids[len(newline) :] if prefix else ids


def _encode_batch(tokenizer, texts: list[str]) -> list[list[int]]:
    if not texts:
        return []
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return tokenizer(texts, add_special_tokens=False)["input_ids"]
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = False
    return [encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=False)]


def _encode_plain(tokenizer, prefix: str, token: str) -> list[int]:
    """Encode the spelling of a control token as ordinary text, past the added vocabulary."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        ids = tokenizer.encode(prefix + token, add_special_tokens=False, split_special_tokens=True)
    else:
        text = backend.normalizer.normalize_str(prefix + token) if backend.normalizer else prefix + token
        splits = backend.pre_tokenizer.pre_tokenize_str(text) if backend.pre_tokenizer else [(text, None)]
        ids = [piece.id for split, _ in splits for piece in backend.model.tokenize(split)]
    if tokenizer.convert_tokens_to_ids(token) in ids:
        raise UserError(
            f"the text {token!r} in a message becomes a control token even as plain text with the tokenizer "
            f"'{tokenizer.name_or_path}'. Remove it from the data, or use another tokenizer."
        )
    return ids
