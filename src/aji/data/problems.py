"""Problems with known answers in canonical columns: `prompt` (messages), `answer`, `task`, `language`, `numbers`.

Forms, recognised by their columns: canonical (`prompt`, `answer`), GSM8K (`question`, `answer` that ends in
`#### 72`), MATH (`problem`, `solution` that holds `\\boxed{...}`, or `answer`), countdown (`nums` or `numbers`,
`target`), SVAMP (`Body`, `Question`, `Answer`), and pairs such as `question`/`answer`, `input`/`target`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets

from aji import chatml
from aji.data.files import find_files, read_rows
from aji.errors import UserError
from aji.rewards import boxed, check_answer


COUNTDOWN = "Using the numbers {numbers}, make an equation that equals {target}. Use + - * / and each number once."
PAIRS = (("question", "answer"), ("problem", "answer"), ("input", "target"), ("instruction", "output"))


@dataclass
class ProblemArguments:
    """The problems to train on, and those that are held out to measure what was learnt."""

    train_file: str = field(
        metadata={"help": "Problems: a file, a folder, a quoted pattern, or the id of a data set on the Hub."}
    )
    eval_file: str | None = field(default=None, metadata={"help": "Held-out problems, in the same forms."})
    tasks: list[str] | None = field(default=None, metadata={"help": "Only these tasks. Default: all that are there."})
    suggest_file: str | None = field(
        default=None, metadata={"help": "Problems of which a task is suggested where train_file is out of reach."}
    )
    max_rows: int | None = field(default=None, metadata={"help": "Use only so many problems of train_file."})


def load_problems(source: str, tasks: Sequence[str] | None = None, max_rows: int | None = None) -> list[dict]:
    """The problems of a file, folder, pattern or data set of the Hub.

    Raises:
        UserError: for a problem without question or answer, an answer that cannot be compared, an unknown task.
    """
    files = find_files(source)
    if files:
        name = Path(source).stem.split(".")[0]
        name = name if len(files) == 1 else Path(files[0]).parent.name
        found: Iterable = (pair for path in files for pair in read_rows(path))
    else:
        name, found = source.rsplit("/", 1)[-1], _of_the_hub(source)
    rows = []
    for place, row in found:
        if max_rows is not None and len(rows) == max_rows:
            break
        problem = to_problem(row, place, name)
        if tasks is None or problem["task"] in tasks:
            rows.append(problem)
    if tasks:
        missing = sorted(set(tasks) - {row["task"] for row in rows})
        if missing:
            raise UserError(f"{source}: found no problem of the task {missing[0]}. Correct --tasks")
    if not rows:
        raise UserError(f"{source}: found no problem in it, expected rows with a question and an answer")
    return rows


def _of_the_hub(source: str):
    try:
        table = datasets.load_dataset(source, split="train")
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{source}: found no such file, folder, or data set on the Hub ({reason})") from error
    return ((f"{source} row {number}", row) for number, row in enumerate(table, start=1))


def to_problem(row: dict[str, Any], place: str, name: str) -> dict:
    """A row in canonical columns. Raises UserError, naming the place, for one that is no problem."""
    numbers = _first(row, "nums", "numbers")
    if _has(row, "prompt") and (_has(row, "answer") or not numbers):
        prompt, answer = row["prompt"], row.get("answer")
        if isinstance(row.get("reward_model"), dict):  # verl's form
            answer = answer or row["reward_model"].get("ground_truth")
    elif numbers and _has(row, "target"):
        prompt = COUNTDOWN.format(numbers=", ".join(map(str, numbers)), target=row["target"])
        answer, numbers = str(row["target"]), [*numbers, row["target"]]
    elif _has(row, "problem") and _has(row, "solution") and not _has(row, "answer"):
        prompt, answer = row["problem"], boxed(str(row["solution"]))
    elif _has(row, "Body"):
        prompt, answer = f"{row['Body'].strip()} {row.get('Question', '').strip()}", row.get("Answer")
    else:
        pair = next((pair for pair in PAIRS if _has(row, pair[0])), None)
        if pair is None:
            raise UserError(
                f"{place}: found the columns {', '.join(row)}, expected prompt and answer, or question and answer"
            )
        prompt, answer = row[pair[0]], row.get(pair[1])
    answer = _gold(answer)
    if answer is None or not answer.strip():
        raise UserError(f"{place}: found a problem without answer. Give it one, or remove the row")
    if reason := check_answer(answer):
        raise UserError(f"{place}: the answer {answer!r} cannot be compared: {reason}. Mend or remove it")
    messages = [{"role": "user", "content": prompt.strip()}] if isinstance(prompt, str) else prompt
    if not messages or not all(isinstance(m, dict) and m.get("role") and m.get("content") for m in messages):
        raise UserError(f"{place}: found a prompt of type {type(prompt).__name__}, expected text or messages")
    return {
        "prompt": messages,
        "answer": answer,
        "task": str(row.get("task") or name),
        "language": str(row.get("language") or ""),
        "numbers": [int(number) for number in numbers or []],
    }


def _has(row: dict, column: str) -> bool:
    return row.get(column) not in (None, "", [])


def _first(row: dict, *columns: str):
    return next((row[column] for column in columns if _has(row, column)), None)


def _gold(answer: Any) -> str | None:
    """The bare answer of a worked one: after `####`, in `\\boxed{}`; whole numbers without `.0`."""
    if answer is None or isinstance(answer, list | dict):
        return None
    if isinstance(answer, float) and answer.is_integer():
        return str(int(answer))
    text = str(answer)
    if "####" in text:
        return text.rsplit("####", 1)[1].strip()
    return boxed(text) or text.strip()


def keep_fitting(rows: list[dict], tokenizer, longest: int, context: int | None) -> list[dict]:
    """The problems that leave room for a completion of `longest` tokens in the context; the others are counted aloud.

    Raises UserError when none does.
    """
    if context is None:
        return rows
    encoded = chatml.encode(tokenizer, [row["prompt"] for row in rows], add_generation_prompt=True)
    kept = [row for row, one in zip(rows, encoded, strict=True) if len(one.input_ids) + longest <= context]
    if rows and not kept:
        raise UserError(
            f"no problem leaves room for {longest} tokens in the model's context of {context}. Lower "
            "--max_completion_length, or take shorter problems"
        )
    if len(kept) < len(rows):
        print(
            f"left out {len(rows) - len(kept):,} of {len(rows):,} problems: with a completion of {longest} tokens "
            f"they are longer than the context of {context}"
        )
    return kept


def counts(rows: Sequence[dict]) -> str:
    """The problems by task, in words."""
    return ", ".join(f"{count:,} of {task}" for task, count in Counter(row["task"] for row in rows).items())


def check_apart(train: Sequence[dict], held_out: Sequence[dict]) -> None:
    """Raise UserError when held-out questions are trained on."""
    trained = {row["prompt"][-1]["content"] for row in train}
    both = next((row for row in held_out if row["prompt"][-1]["content"] in trained), None)
    if both is not None:
        raise UserError(
            f"eval_file: the question {both['prompt'][-1]['content'][:60]!r} is also trained on, so it would measure "
            "memory. Take it out of one of the two"
        )
