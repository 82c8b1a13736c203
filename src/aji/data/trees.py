"""Message trees of Open Assistant: a prompt, replies of several people, replies to those, ranked by readers.

A tree is a message (`text`, `role` prompter or assistant, `replies`, `rank` from 0, the best) whose replies are
messages again: Köpf et al. 2023, arXiv 2304.07327. The same messages one to a row, with `parent_id`, become trees by
`plant`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from aji.errors import UserError


ROLES = {"prompter": "user", "assistant": "assistant"}


def is_tree(row: Mapping[str, Any]) -> bool:
    """Whether a row is a message tree: a `prompt` that is a message itself."""
    return isinstance(row.get("prompt"), Mapping) and "text" in row["prompt"]


def is_message(row: Mapping[str, Any]) -> bool:
    """Whether a row is one message of a tree."""
    return "message_id" in row and "parent_id" in row and "text" in row


def rankings(row: Mapping[str, Any], where: str) -> Iterator[tuple[list[dict], list[str], list[float]]]:
    """Each place of a tree where several replies were ranked: the conversation so far, the replies, their ranks."""
    stack = [([_message(row["prompt"], where)], row["prompt"])]
    while stack:
        before, message = stack.pop()
        replies = [reply for reply in message.get("replies") or [] if not reply.get("deleted")]
        stack += [([*before, _message(reply, where)], reply) for reply in reversed(replies)]
        ranked = [r for r in replies if r.get("rank") is not None and ROLES.get(r.get("role")) == "assistant"]
        if len(ranked) > 1:
            yield before, [reply["text"] for reply in ranked], [float(reply["rank"]) for reply in ranked]


def best_conversation(row: Mapping[str, Any], where: str) -> list[dict]:
    """The conversation along the best reply each time (where none is ranked, the first), up to the last answer."""
    message, turns = row["prompt"], []
    while message:
        turns.append(_message(message, where))
        replies = [reply for reply in message.get("replies") or [] if not reply.get("deleted")]
        message = min(replies, key=lambda reply: reply.get("rank") or 0, default=None)
    while turns and turns[-1]["role"] != "assistant":
        turns.pop()
    return turns


def plant(messages: list[Mapping[str, Any]]) -> list[dict]:
    """Trees from single messages (`message_id`, `parent_id`), in the order of their roots."""
    nodes = {row["message_id"]: {**row, "replies": []} for row in messages}
    for row in messages:
        if row["parent_id"] in nodes:
            nodes[row["parent_id"]]["replies"].append(nodes[row["message_id"]])
    return [{"prompt": nodes[row["message_id"]]} for row in messages if row["parent_id"] is None]


def _message(message: Mapping[str, Any], where: str) -> dict:
    role = ROLES.get(message.get("role"))
    if role is None:
        raise UserError(f"{where}: role {message.get('role')!r} of a message tree, expected prompter or assistant")
    if not isinstance(message.get("text"), str):
        raise UserError(f"{where}: text of a message of the tree is missing, expected a string")
    return {"role": role, "content": message["text"]}
