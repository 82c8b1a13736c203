"""Published forms of conversations, each as the canonical one, and the one line for what is wrong in a row."""

import json

import pytest

from aji.data.formats import check_columns, to_conversation
from aji.errors import UserError


WHERE = "data/train.jsonl row 17"
USER = {"role": "user", "content": "1 + 1?"}
REPLY = {"role": "assistant", "content": "2"}
CALL = {"type": "function", "function": {"name": "add", "arguments": '{"a": 1, "글": "두"}'}}
CALL_TEXT = '{"name": "add", "arguments": {"a": 1, "글": "두"}}'


def turn(role, content):
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"messages": [USER, REPLY]}, [USER, REPLY]),
        ({"messages": [turn("system", "Be short."), USER, REPLY]}, [turn("system", "Be short."), USER, REPLY]),
        ({"messages": [USER | {"name": None, "tool_calls": None}, REPLY | {"id": 3}]}, [USER, REPLY]),
        ({"messages": json.dumps([USER, REPLY])}, [USER, REPLY]),  # a cell of CSV
        ({"messages": [USER, REPLY], "prompt": "1 + 1?", "completion": "3"}, [USER, REPLY]),
        ({"messages": [USER, REPLY | {"reasoning_content": "hm"}]}, [USER, REPLY | {"reasoning_content": "hm"}]),
        ({"conversations": [{"from": "human", "value": "1 + 1?"}, {"from": "gpt", "value": "2"}]}, [USER, REPLY]),
        ({"conversations": [USER, REPLY]}, [USER, REPLY]),
        (
            {
                "conversations": [{"from": "human", "value": "1 + 1?"}, {"from": "gpt", "value": "2"}],
                "system": "Be kind.",
            },
            [turn("system", "Be kind."), USER, REPLY],
        ),
        ({"messages": [turn("system", "own"), USER, REPLY], "system": "other"}, [turn("system", "own"), USER, REPLY]),
        ({"prompt": "1 + 1?", "completion": "2"}, [USER, REPLY]),
        ({"prompt": "1 + 1?", "response": "2"}, [USER, REPLY]),
        ({"prompt": [turn("system", "s"), USER], "completion": [REPLY]}, [turn("system", "s"), USER, REPLY]),
        ({"instruction": "1 + 1?", "output": "2"}, [USER, REPLY]),
        ({"instruction": "1 + 1?", "input": " ", "output": "2"}, [USER, REPLY]),
        ({"instruction": "1 + 1?", "input": None, "response": "2"}, [USER, REPLY]),
        ({"instruction": "Add", "input": "1, 1", "output": "2"}, [turn("user", "Add\n\n1, 1"), REPLY]),
        (
            {"instruction": "1 + 1?", "output": "2", "history": [["Hi", "Hello"]]},
            [turn("user", "Hi"), turn("assistant", "Hello"), USER, REPLY],
        ),
        (
            {"instruction": "Add", "instances": [{"input": "1, 1", "output": "2"}, {"input": "2, 2", "output": "4"}]},
            [turn("user", "Add\n\n1, 1"), REPLY],
        ),
        ({"question": "1 + 1?", "answer": "2"}, [USER, REPLY]),
        ({"Q": "1 + 1?", "A": "2", "label": "0"}, [USER, REPLY]),
        ({"Question": "1 + 1?", "Answer": "2"}, [USER, REPLY]),
        ({"query": "1 + 1?", "response": "2"}, [USER, REPLY]),
    ],
)
def test_forms(row, messages):
    assert to_conversation(row, WHERE) == {"messages": messages, "tools": None}


@pytest.mark.parametrize(
    ("row", "columns", "messages"),
    [
        ({"ask": "1 + 1?", "say": "2"}, {"user": "ask", "assistant": "say"}, [USER, REPLY]),
        (
            {"ask": "1 + 1?", "say": "2", "rule": "s"},
            {"user": "ask", "assistant": "say", "system": "rule"},
            [turn("system", "s"), USER, REPLY],
        ),
        ({"dialog": [USER, REPLY]}, {"messages": "dialog"}, [USER, REPLY]),
        # The mapping wins over a known form.
        (
            {"question": "1 + 1?", "answer": "3", "right": "2"},
            {"user": "question", "assistant": "right"},
            [USER, REPLY],
        ),
    ],
)
def test_columns(row, columns, messages):
    assert to_conversation(row, WHERE, columns)["messages"] == messages


def test_roles():
    row = {"messages": [turn("customer", "1 + 1?"), turn("bot", "2")]}
    assert to_conversation(row, WHERE, roles={"customer": "user", "bot": "assistant"})["messages"] == [USER, REPLY]


def test_function_calls_of_sharegpt():
    row = {
        "conversations": [
            {"from": "human", "value": "1 + 1?"},
            {"from": "function_call", "value": CALL_TEXT},
            {"from": "observation", "value": "2"},
            {"from": "gpt", "value": "2"},
        ],
        "tools": '[{"name": "add"}]',
    }
    assert to_conversation(row, WHERE) == {
        "messages": [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}, turn("tool", "2"), REPLY],
        "tools": '[{"name": "add"}]',
    }


@pytest.mark.parametrize(
    "calls", [[CALL], [{"function": {"name": "add", "arguments": {"a": 1, "글": "두"}}}], json.dumps([CALL])]
)
def test_function_calls_of_openai(calls):
    row = {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": calls}]}
    assert to_conversation(row, WHERE)["messages"][1] == {"role": "assistant", "content": "", "tool_calls": [CALL]}


@pytest.mark.parametrize(
    ("tools", "expected"),
    [("[]", None), ("", None), (None, None), ([], None), ([{"name": "더하기"}], '[{"name": "더하기"}]')],
)
def test_tools(tools, expected):
    assert to_conversation({"messages": [USER, REPLY], "tools": tools}, WHERE)["tools"] == expected


SYSTEM = turn("system", "s")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"messages": [USER, turn("bot", "2")]},
            "role 'bot' is not one of system, user, assistant, tool. Rename it, or map it with "
            "--roles '{bot: assistant}'",
        ),
        ({"messages": [turn("human", "hi"), REPLY]}, "role 'human' is not one of system, user, assistant, tool."),
        ({"messages": [SYSTEM, SYSTEM, USER, REPLY]}, "found two system messages (1 and 2), expected at most one"),
        ({"messages": [USER, SYSTEM, REPLY]}, "the system message is message 2, expected it first"),
        ({"messages": []}, "found an empty conversation, expected a user's and an assistant's turn"),
        ({"messages": [SYSTEM, USER]}, "found no assistant turn (only system, user), so nothing to learn"),
        ({"messages": [USER, turn("assistant", 2)]}, "content of message 2 (assistant) is of type int, expected a"),
        ({"messages": [USER, turn("assistant", [{"text": "2"}])]}, "content of message 2 (assistant) is of type list"),
        ({"messages": [USER, turn("assistant", None)]}, "content of message 2 (assistant) is missing, expected a"),
        ({"messages": [{"text": "hi"}, REPLY]}, "message 1 has text, expected role and content"),
        ({"messages": [{}, REPLY]}, "message 1 has no keys, expected role and content"),
        ({"messages": "hi"}, "messages is not a list of messages, expected [{'role': ..., 'content': ...}, ...]"),
        ({"messages": ["hi"]}, "messages is not a list of messages"),
        ({"prompt": 3, "completion": "2"}, "content of message 1 (user) is of type int, expected a string"),
        ({"instruction": "Add", "input": 3, "output": "2"}, "input is int, expected a string"),
        (
            {"messages": [USER, REPLY], "tools": "{"},
            "tools is not a list, expected a JSON list of function descriptions",
        ),
        (
            {"conversations": [{"from": "human", "value": "?"}, {"from": "function_call", "value": "add(1)"}]},
            'message 2 is no function call, expected JSON like {"name": "search"',
        ),
        (
            {"ask": "1 + 1?", "say": "2"},
            "found the columns ask, say, expected one of: messages; conversations; prompt with completion or "
            "response; instruction with output or response; question with answer. Say which column is which: "
            "--columns '{user: COLUMN, assistant: COLUMN}'",
        ),
        ({"prompt": "1 + 1?", "completion": None}, "found the columns prompt, expected one of: messages;"),
        ({}, "found the columns (none), expected one of: messages;"),
    ],
)
def test_mistakes_are_named(row, message):
    with pytest.raises(UserError) as error:
        to_conversation(row, WHERE)
    assert str(error.value).startswith(f"{WHERE}: {message}")
    assert "\n" not in str(error.value)


def test_mapped_column_that_is_not_there():
    with pytest.raises(UserError) as error:
        to_conversation({"a": "x", "b": "y"}, WHERE, {"user": "a", "assistant": "c"})
    assert str(error.value) == (
        f"{WHERE}: found no column 'c' but a, b, and --columns names it for 'assistant'. Correct --columns"
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"human": "a", "assistant": "b"}, "columns: found key 'human', expected some of messages, system, user,"),
        ({"user": "a"}, "columns: found user, expected messages, or both user and assistant"),
    ],
)
def test_check_columns(columns, message):
    with pytest.raises(UserError) as error:
        check_columns(columns)
    assert str(error.value).startswith(message)
