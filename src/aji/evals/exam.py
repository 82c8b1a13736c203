"""The exam: questions with known answers, asked greedily, judged against the truth, counted by task and language."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aji import chatml
from aji.data.files import find_files, read_rows
from aji.errors import UserError
from aji.evals.answers import is_right
from aji.evals.intervals import mean, share
from aji.evals.truthful import truthful
from aji.generate import Completion, context_of, fits, generate
from aji.tool_loop import Answer, answer_with_tools
from aji.tools import Tool
from aji.world.abstentions import is_abstention


COLUMNS = ("prompt", "answer", "task", "language")


def load_exam(source: str, max_questions: int | None = None, with_tools: bool = False) -> list[dict]:
    """Questions of a file: rows `prompt` (messages, or the text of one question), `answer`, `task`, `language`.

    Optional: `wrong` (values that must not stand beside the answer; with these alone any other reply is right),
    `text` (the question as a base model is asked) and `tools` (true: asked with tools at hand).

    Args:
        max_questions: take only the first so many of each task and language.
        with_tools: take also the questions that are asked with tools.

    Raises:
        UserError: naming the row that lacks a column.
    """
    files = find_files(source)
    if not files:
        raise UserError(f"{source} is not there: give a file of questions.")
    rows, taken = [], Counter()
    for place, row in (pair for path in files for pair in read_rows(Path(path))):
        missing = [
            name for name in COLUMNS if row.get(name) in (None, "", []) and not (name == "answer" and row.get("wrong"))
        ]
        if missing:
            raise UserError(f"{place}: found no {missing[0]}, expected {', '.join(COLUMNS)} in every question.")
        if row.get("tools") and not with_tools:
            continue
        group = (row["task"], row["language"])
        taken[group] += 1
        if max_questions is not None and taken[group] > max_questions:
            continue
        rows.append(complete(row))
    return rows


def complete(row: dict) -> dict:
    """A question with all its columns: messages as `prompt`, no `wrong` values, a `text` for base models."""
    prompt = row["prompt"]
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    question = messages[-1]["content"]
    return {"wrong": [], "text": f"Q: {question}\nA:", **row, "prompt": messages, "answer": str(row["answer"])}


def ask(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: list[dict],
    chat: bool,
    max_new_tokens: int,
    tools: Sequence[Tool] = (),
) -> list[Completion | Answer]:
    """One greedy reply a row: in chat form, or for a base model as the continuation of a written question.

    Rows with `tools` are answered with the given tools at hand. To a question that is longer than the model's context
    the reply is empty and did not stop.
    """
    plain = [row for row in rows if not row.get("tools")]
    if chat:
        encoded = chatml.encode(tokenizer, [row["prompt"] for row in plain], add_generation_prompt=True)
        prompts = [row.input_ids for row in encoded]
    else:
        prompts = [tokenizer.encode(row["text"], add_special_tokens=False) for row in plain]
    completions = iter(_complete_what_fits(model, tokenizer, prompts, max_new_tokens))
    asked = [row["prompt"] for row in rows if row.get("tools")]
    answers = iter(answer_with_tools(model, tokenizer, asked, tools, max_new_tokens) if asked else ())
    return [next(answers) if row.get("tools") else next(completions) for row in rows]


def _complete_what_fits(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]], max_new_tokens: int
) -> list[Completion]:
    kept = [prompt for prompt in prompts if fits(model, prompt)]
    if left_out := len(prompts) - len(kept):
        limit = f"the model's {context_of(model)} tokens"
        print(f"{left_out} of {len(prompts)} questions are longer than {limit}: unanswered")
    replies = iter(generate(model, tokenizer, kept, max_new_tokens))
    return [next(replies) if fits(model, prompt) else Completion([], "", False) for prompt in prompts]


def first_line(text: str) -> str:
    """What a base model says to a question: it goes on with other text after the line."""
    return text.strip().split("\n")[0]


def score(rows: list[dict], completions: list[Completion], chat: bool) -> tuple[dict[str, float], list[dict]]:
    """Judge the replies.

    Returns:
        Flat metrics: for each task `TASK`, `TASK_LANGUAGE` (percent right), for those on facts and for what is asked
        with tools also `TASK_abstained` and `TASK_made_up` (percent that assert something false), with tools also
        `TASK_calls` (mean number), and `stopped` (percent of replies that end by themselves), each with `_low`,
        `_high`, `_n`. And the judged rows: `task`, `language`, `question`, `reply`, `answer`, `right`, `abstained`,
        `stopped`, and with tools the `messages` that came before the reply.
    """
    judged = []
    for row, completion in zip(rows, completions, strict=True):
        reply = completion.text if chat else first_line(completion.text)
        judged.append(
            {
                "task": row["task"],
                "language": row["language"],
                "question": row["prompt"][-1]["content"],
                "reply": reply,
                "answer": row["answer"],
                "right": is_right(reply, row["answer"], row["wrong"]),
                "abstained": is_abstention(reply),
                "stopped": completion.stopped,
            }
            | ({"messages": completion.messages[:-1]} if isinstance(completion, Answer) else {})
        )
    metrics = {}
    for task in dict.fromkeys(row["task"] for row in judged):
        of_task = [row for row in judged if row["task"] == task]
        metrics |= _right(task, of_task)
        for language in sorted({row["language"] for row in of_task}):
            metrics |= _right(f"{task}_{language}", [row for row in of_task if row["language"] == language])
        metrics |= truthful(task, of_task)
        if "messages" in of_task[0]:
            calls = [sum(message["role"] == "tool" for message in row["messages"]) for row in of_task]
            metrics |= mean(f"{task}_calls", calls)
    if chat:
        metrics |= share("stopped", Counter(row["stopped"] for row in judged)[True], len(judged))
    return metrics, judged


def _right(name: str, rows: list[dict]) -> dict[str, float]:
    return share(name, sum(row["right"] for row in rows), len(rows))
