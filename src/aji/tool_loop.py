"""A model that calls tools: generate, parse the call, insert the result, go on; for exams, chat and training alike."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aji import chatml
from aji.errors import UserError
from aji.generate import certain_length, context_of, generate, stream_ids
from aji.tools import Tool, call_tool, schemas


# A model that calls more often is told so once, and stopped when it calls again.
MAX_CALLS = 3
NO_MORE_CALLS = "Error: no more calls. Answer now."
# Least tokens of context that an answer after a result must have.
ANSWER_ROOM = 32


@dataclass
class Answer:
    """What the model did with one conversation.

    `text` is the last reply and `stopped` whether it ended by itself, as in `aji.generate.Completion`; it is empty and
    False for a model that was stopped because it went on calling or because the context was full. `messages` are the
    new messages (assistant with `tool_calls`, tool, ..., assistant); `ids` are all new tokens and `said`, of the same
    length, which of them the model said (the others are tool results and the marks around them).
    """

    text: str = ""
    stopped: bool = False
    messages: list[dict] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    said: list[bool] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """How many tool results the model got, errors included."""
        return sum(message["role"] == "tool" for message in self.messages)

    def add(self, ids: list[int], said: bool) -> None:
        self.ids += ids
        self.said += [said] * len(ids)


def answer_with_tools(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[list[dict]],
    tools: Sequence[Tool],
    max_new_tokens: int,
    max_calls: int = MAX_CALLS,
    max_result_tokens: int | None = None,
    **sampling,
) -> list[Answer]:
    """Answer every conversation (messages), in batches, with tools at hand.

    Each reply that calls gets the results as tool messages and another turn, at most `max_calls` times. A result that
    is longer than `max_result_tokens`, or than the context leaves room for, is cut. `max_new_tokens` bounds each turn;
    `sampling` goes to `aji.generate.generate`. Raises UserError for a tokenizer whose calls cannot be told from words.
    """
    check_tools(tokenizer, tools)
    own = schemas(tools)
    encoded = chatml.encode(tokenizer, conversations, True, [own] * len(conversations))
    prompts = [row.input_ids for row in encoded]
    answers = [Answer() for _ in conversations]
    limits = _Limits(max_calls, max_result_tokens, context_of(model))
    going = list(range(len(answers)))
    while going:
        turns = [prompts[index] + answers[index].ids for index in going]
        replies = generate(model, tokenizer, turns, max_new_tokens, **sampling)
        asked, going = zip(going, turns, replies, strict=True), []
        for index, turn, reply in asked:
            if _take(answers[index], turn, reply.ids, reply.stopped, tools, tokenizer, limits):
                going.append(index)
    return answers


def stream_with_tools(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt_ids: list[int],
    tools: Sequence[Tool],
    max_new_tokens: int,
    max_calls: int = MAX_CALLS,
    max_result_tokens: int | None = None,
    answer: Answer | None = None,
    **sampling,
) -> Iterator[tuple[str, str]]:
    """Yield ("text", piece), ("call", name and arguments) and ("result", text) as they come, for one prompt.

    `answer`, if given, is filled as they come, so that it also tells what was said when the reader breaks off;
    `sampling` goes to `aji.generate.stream_ids`. Raises UserError as `answer_with_tools` does.
    """
    check_tools(tokenizer, tools)
    answer = Answer() if answer is None else answer
    limits = _Limits(max_calls, max_result_tokens, context_of(model))
    opening = tokenizer.convert_tokens_to_ids("<|tool_call|>")
    while True:
        turn, ids = prompt_ids + answer.ids, []
        answer.messages.append({"role": "assistant", "content": ""})
        for piece in _pieces(tokenizer, stream_ids(model, tokenizer, turn, max_new_tokens, **sampling), ids, opening):
            answer.messages[-1]["content"] += piece
            yield "text", piece
        answer.messages.pop()
        before = len(answer.messages)
        full = len(ids) == max_new_tokens or (limits.context is not None and len(turn) + len(ids) >= limits.context)
        goes_on = _take(answer, turn, ids, not full, tools, tokenizer, limits)
        for message in answer.messages[before:]:
            for call in message.get("tool_calls", ()):
                yield "call", f"{call['function']['name']}({_compact(call['function']['arguments'])})"
            if message["role"] == "tool":
                yield "result", message["content"]
        if not goes_on:
            return


def check_tools(tokenizer: PreTrainedTokenizerBase, tools: Sequence[Tool]) -> None:
    """Raise UserError when there is no tool, or when the tokenizer does not say how its calls are told from words."""
    if not tools:
        raise UserError("no tool is given. Give at least one, or answer with aji.generate.generate.")
    if not calls_tools(tokenizer):
        raise UserError(
            f"the tokenizer '{tokenizer.name_or_path}' has no response_template, so a call cannot be told from text. "
            "Fine-tune the model with --chat_template chatml, or leave the tools off."
        )


def calls_tools(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the chat template of a tokenizer tells the model of its tools and what it says tells of its calls."""
    template = tokenizer.chat_template or ""
    return "tools" in template and chatml.response_template(tokenizer) is not None


@dataclass(frozen=True)
class _Limits:
    max_calls: int
    max_result_tokens: int | None
    context: int | None


def _take(answer: Answer, turn: list[int], ids: list[int], stopped: bool, tools, tokenizer, limits: _Limits) -> bool:
    """Put one reply and the results of its calls down in `answer`; return whether the model has another turn."""
    try:
        message = chatml.parse_reply(tokenizer, ids, turn)
        broken = ""
    except ValueError:
        message = {"role": "assistant", "content": tokenizer.decode(ids, skip_special_tokens=True)}
        broken = 'Error: the call is not JSON like {"name": "search", "arguments": {"query": "..."}}.'
    calls = message.get("tool_calls", [])
    answer.add(ids, said=True)
    answer.messages.append(message)
    if not stopped or not (calls or broken):
        answer.text, answer.stopped = ("" if calls or broken else message["content"]), stopped
        return False
    answer.add([tokenizer.eos_token_id], said=True)
    left = limits.max_calls - answer.calls
    if left < 0:  # it was told already
        return False
    called = [(call["function"]["name"], call["function"]["arguments"]) for call in calls]
    results = [(name, call_tool(tools, name, arguments)) for name, arguments in called[:left]]
    results += [(name, NO_MORE_CALLS) for name, _ in called[left:]]
    if broken:
        results = [("", broken if left else NO_MORE_CALLS)]
    return _insert(answer, len(turn) + len(ids) + 1, results, tokenizer, limits)


def _insert(answer: Answer, used: int, results: list[tuple[str, str]], tokenizer, limits: _Limits) -> bool:
    """Put the results behind the call, cut to the room that there is; False when there is none."""
    frame = len(_result_ids(tokenizer, [""] * len(results)))
    room = limits.max_result_tokens
    if limits.context is not None:
        left = (limits.context - used - frame - ANSWER_ROOM) // len(results)
        if left < 1:
            return False
        room = left if room is None else min(room, left)
    texts = [_shorten(tokenizer, text, room) for _, text in results]
    answer.messages += [
        {"role": "tool", "content": text} | ({"name": name} if name else {})
        for (name, _), text in zip(results, texts, strict=True)
    ]
    answer.add(_result_ids(tokenizer, texts), said=False)
    return True


def _result_ids(tokenizer, texts: list[str]) -> list[int]:
    """The tokens from the end of a calling reply to the beginning of the next, by the tokenizer's own template."""
    call = {"type": "function", "function": {"name": "search", "arguments": {}}}
    conversation = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "", "tool_calls": [call] * len(texts)},
        *({"role": "tool", "name": "search", "content": text} for text in texts),
    ]
    encoded = chatml.encode(tokenizer, [conversation], add_generation_prompt=True)[0]
    end = len(encoded.trained) - encoded.trained[::-1].index(True)
    return encoded.input_ids[end:]


def _shorten(tokenizer, text: str, most_tokens: int | None) -> str:
    ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    if most_tokens is None or len(ids) <= most_tokens:
        return text
    return tokenizer.decode(ids[:most_tokens], skip_special_tokens=False).rstrip("\ufffd")


def _pieces(tokenizer, tokens: Iterator[int], ids: list[int], opening: int | None) -> Iterator[str]:
    """The text of a reply before its first call, in pieces of whole characters; every token is put into `ids`."""
    shown, called = 0, False
    for token in tokens:
        ids.append(token)
        called = called or token == opening
        if not called:
            text = tokenizer.decode(ids, skip_special_tokens=True)
            certain = certain_length(text, shown)
            if certain > shown:
                yield text[shown:certain]
                shown = certain
    words = ids[: ids.index(opening)] if called else ids
    rest = tokenizer.decode(words, skip_special_tokens=True)[shown:]
    if rest:
        yield rest


def _compact(arguments) -> str:
    """`query="..."` of a dict of arguments, JSON of anything else."""
    if not isinstance(arguments, dict):
        return json.dumps(arguments, ensure_ascii=False)
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())
