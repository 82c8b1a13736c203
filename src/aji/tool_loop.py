"""A model that calls tools: generate, parse the call, insert the result, go on; for exams, chat and training alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aji.tools import Tool


MAX_CALLS = 3


@dataclass
class Answer:
    """What the model did with one conversation.

    `text` is the last reply and `stopped` whether it ended by itself, as in `aji.generate.Completion`; `messages` are
    the new messages (assistant with `tool_calls`, tool, ..., assistant); `ids` are all new tokens and `said`, of the
    same length, which of them the model said (the others are tool results and the marks around them).
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
    """Answer every conversation, tools at hand; `sampling` goes to `aji.generate.generate`."""
    raise NotImplementedError


def stream_with_tools(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict],
    tools: Sequence[Tool],
    max_new_tokens: int,
    max_calls: int = MAX_CALLS,
    max_result_tokens: int | None = None,
    **sampling,
) -> Iterator[tuple[str, str]]:
    """Yield ("text", piece), ("call", text of a call) and ("result", text) as they come, for one conversation."""
    raise NotImplementedError
