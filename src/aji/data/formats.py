"""The forms in which conversations are published, each as the canonical one: `messages`, and `tools` where given.

Known forms: `messages`; sharegpt (`conversations` of from/value); `prompt` with `completion` or `response`; alpaca
(`instruction`, `input`, `output`); self-instruct (`instruction`, `instances`); question and answer; message trees of
Open Assistant, along the best replies. Any other by a mapping of columns.
"""

import json
from collections.abc import Mapping
from typing import Any

from aji.data import trees
from aji.errors import UserError


ROLES = ("system", "user", "assistant", "tool")
# The speakers of sharegpt and of LLaMA-Factory's tool data.
SPEAKERS = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "function_response": "tool",
}
# Columns of a question and of its answer, compared without case, the first that is there.
PAIRS = (("question", "answer"), ("q", "a"), ("query", "answer"), ("query", "response"), ("question", "response"))
MAPPED = ("messages", "system", "user", "assistant", "tools")
FORMS = (
    "messages; conversations; prompt with completion or response; instruction with output or response; "
    "question with answer"
)


def to_conversation(
    row: Mapping[str, Any],
    where: str,
    columns: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """`{"messages": [{"role", "content", ...}], "tools": JSON text or None}` from a row in any known form.

    A call of a function becomes `tool_calls` of an assistant message, its arguments as JSON text (their keys differ
    from call to call, and those of a column must not). `columns` maps `messages`, or `user` and `assistant`, (and
    `system`, `tools`) to columns of the row; `roles` maps speakers to roles. A `UserError` begins with `where`.
    """
    row = {key: value for key, value in row.items() if value is not None}  # how Arrow tells a key that a row lacks
    if columns:
        row = _rename(row, where, columns)
    turns = _turns(row, where)
    system = row.get("system")
    if system and not any(_speaker(turn) == "system" for turn in turns):
        turns = [{"role": "system", "content": system}, *turns]
    messages = [_message(turn, number, where, roles or {}) for number, turn in enumerate(turns, start=1)]
    _check_order(messages, where)
    return {"messages": messages, "tools": _tools(row.get("tools"), where)}


def check_columns(columns: Mapping[str, str]) -> None:
    """Raise `UserError` when `columns` maps something that a conversation does not have, or too little."""
    unknown = [key for key in columns if key not in MAPPED]
    if unknown:
        raise UserError(f"columns: found key {unknown[0]!r}, expected some of {', '.join(MAPPED)}")
    if "messages" not in columns and not {"user", "assistant"} <= columns.keys():
        raise UserError(f"columns: found {', '.join(columns)}, expected messages, or both user and assistant")


def _rename(row: Mapping[str, Any], where: str, columns: Mapping[str, str]) -> dict[str, Any]:
    for key in ("messages",) if "messages" in columns else ("user", "assistant"):
        if columns[key] not in row:
            raise UserError(
                f"{where}: found no column {columns[key]!r} but {', '.join(row)}, and --columns names it for {key!r}. "
                "Correct --columns"
            )
    renamed = {key: row[column] for key, column in columns.items() if column in row}
    if "messages" in renamed:
        return renamed
    return {"prompt": renamed.pop("user"), "completion": renamed.pop("assistant"), **renamed}


def _turns(row: dict[str, Any], where: str) -> list[dict]:
    """The turns of the conversation, not yet checked."""
    if trees.is_tree(row):
        return trees.best_conversation(row, where)
    for column in ("messages", "conversations", "conversation"):
        if column in row:
            return _list(row[column], column, where)
    reply = next((row[column] for column in ("completion", "response", "output") if column in row), None)
    if "prompt" in row and reply is not None:
        return _as_turns(row["prompt"], "user", where) + _as_turns(reply, "assistant", where)
    if "instruction" in row and reply is not None:
        return _history(row) + _pair(_join(row["instruction"], row.get("input"), where), reply)
    if "instruction" in row and row.get("instances"):
        # Several instances are one task on several inputs: the first stands for it, like upstream's seeds (one each).
        instance = _list(row["instances"], "instances", where)[0]
        return _pair(_join(row["instruction"], instance.get("input"), where), instance.get("output"))
    lower = {key.lower(): key for key in row}
    for question, answer in PAIRS:
        if question in lower and answer in lower:
            return _pair(row[lower[question]], row[lower[answer]])
    raise UserError(
        f"{where}: found the columns {', '.join(row) or '(none)'}, expected one of: {FORMS}. "
        "Say which column is which: --columns '{user: COLUMN, assistant: COLUMN}'"
    )


def _list(value: Any, column: str, where: str) -> list[dict]:
    if isinstance(value, str):  # lists in CSV, and in some data sets of the Hub, are JSON text
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        raise UserError(
            f"{where}: {column} is not a list of messages, expected [{{'role': ..., 'content': ...}}, ...]"
        )
    if not value:
        raise UserError(f"{where}: found an empty conversation, expected a user's and an assistant's turn. Remove it")
    return value


def _as_turns(value: Any, role: str, where: str) -> list[dict]:
    return _list(value, role, where) if isinstance(value, list) else [{"role": role, "content": value}]


def _pair(question: Any, answer: Any) -> list[dict]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _history(row: dict[str, Any]) -> list[dict]:
    return [turn for question, answer in row.get("history") or () for turn in _pair(question, answer)]


def _join(instruction: Any, given: Any, where: str) -> Any:
    if not given:
        return instruction
    if not isinstance(given, str):
        raise UserError(f"{where}: input is {type(given).__name__}, expected a string")
    return f"{instruction}\n\n{given}" if given.strip() else instruction


def _speaker(turn: Mapping[str, Any]) -> Any:
    return turn.get("role", turn.get("from"))


def _message(turn: Mapping[str, Any], number: int, where: str, roles: Mapping[str, str]) -> dict[str, Any]:
    name = _speaker(turn)
    if name is None:
        raise UserError(f"{where}: message {number} has {', '.join(turn) or 'no keys'}, expected role and content")
    role = roles.get(name) or (SPEAKERS.get(name, name) if "role" not in turn else name)
    if role not in ROLES:
        raise UserError(
            f"{where}: role {name!r} is not one of {', '.join(ROLES)}. Rename it, or map it with "
            f"--roles '{{{name}: assistant}}'"
        )
    content = turn.get("content", turn.get("value"))
    if name == "function_call":
        return {"role": role, "content": "", "tool_calls": _calls(content, number, where)}
    calls = _calls(turn["tool_calls"], number, where) if turn.get("tool_calls") else None
    if content is None and calls:
        content = ""
    if not isinstance(content, str):
        found = "missing" if content is None else f"of type {type(content).__name__}"
        raise UserError(f"{where}: content of message {number} ({role}) is {found}, expected a string")
    message = {"role": role, "content": content}
    if isinstance(turn.get("reasoning_content"), str):
        message["reasoning_content"] = turn["reasoning_content"]
    return message | ({"tool_calls": calls} if calls else {})


def _calls(value: Any, number: int, where: str) -> list[dict]:
    """OpenAI's form of tool calls, from it or from `{"name", "arguments"}` as JSON text."""
    try:
        value = json.loads(value) if isinstance(value, str) else value
        calls = [call.get("function") or call for call in (value if isinstance(value, list) else [value])]
        named = [(call["name"], call.get("arguments") or {}) for call in calls]
    except (ValueError, TypeError, AttributeError, KeyError):
        raise UserError(
            f"{where}: message {number} is no function call, expected JSON like "
            '{"name": "search", "arguments": {"query": "..."}}'
        ) from None
    return [
        {
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else _json_text(given)},
        }
        for name, given in named
    ]


def _tools(value: Any, where: str) -> str | None:
    """The tools of a conversation as JSON text, None when there are none."""
    try:
        tools = json.loads(value) if isinstance(value, str) and value.strip() else value or []
    except ValueError:
        tools = None
    if not isinstance(tools, list):
        raise UserError(f"{where}: tools is not a list, expected a JSON list of function descriptions")
    return _json_text(tools) if tools else None


def _json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _check_order(messages: list[dict], where: str) -> None:
    systems = [number for number, message in enumerate(messages, start=1) if message["role"] == "system"]
    if len(systems) > 1:
        numbers = " and ".join(map(str, systems[:2]))
        raise UserError(f"{where}: found two system messages ({numbers}), expected at most one. Join them")
    if systems and systems[0] != 1:
        raise UserError(
            f"{where}: the system message is message {systems[0]}, expected it first. Move it to the front"
        )
    if not any(message["role"] == "assistant" for message in messages):
        roles = ", ".join(dict.fromkeys(message["role"] for message in messages))
        raise UserError(
            f"{where}: found no assistant turn (only {roles}), so nothing to learn. Add one or remove the row"
        )
