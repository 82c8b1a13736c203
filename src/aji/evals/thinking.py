"""Models need tokens to think: the budget of a reply, the order of answer and work, and words seen in pieces."""

import argparse
import random
from pathlib import Path

from aji import chatml
from aji.evals.experiment import held_out, load
from aji.evals.intervals import share
from aji.evals.pass_at_k import try_problems
from aji.generate import for_many, generate
from aji.manifest import write_json
from aji.report import trial
from aji.rewards import is_right, readable
from aji.world.facts import LANGUAGES
from aji.world.korean import josa
from aji.world.ladder import REQUESTS, draw_exercises


BUDGETS = (2, 4, 8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 128)
SPELLED = {"en": "{question} The letters: {letters}.", "ko": "{question} 글자: {letters}."}


def budget(args: argparse.Namespace, folder: Path) -> Path:
    """Accuracy of greedy replies that are broken off after so many tokens."""
    series = {}
    for path in args.models:
        model, tokenizer = load(path)
        rows = held_out(args)
        encoded = chatml.encode(tokenizer, [row["prompt"] for row in rows], add_generation_prompt=True)
        replies = generate(
            model, tokenizer, [row.input_ids for row in encoded], max(BUDGETS), decode=False, **for_many(model)
        )
        series[path] = []
        for tokens in BUDGETS:
            texts = readable(tokenizer, [reply.ids[:tokens] for reply in replies])
            right = sum(is_right(text, row) for text, row in zip(texts, rows, strict=True))
            series[path].append({"tokens": tokens, **share("right", right, len(rows))})
    write_json(folder / "budget.json", series)
    labels = {"xlabel": "tokens that a reply may have", "ylabel": "right, percent", "title": ", ".join(args.tasks)}
    return trial.curves(series, "tokens", "right", labels, folder / "budget.png")


def order(args: argparse.Namespace, folder: Path) -> Path:
    """The same problems with the work first, the answer first, and the answer alone."""
    model, tokenizer = load(args.models[0])
    styles = {"steps": "work, then answer", "first": "answer, then work", "direct": "answer alone"}
    figures = {}
    for style, label in styles.items():
        rows = [row for task in args.tasks for row in asked(task, style, args.count, args.seed)]
        tried = try_problems(model, tokenizer, rows, 1, max(BUDGETS), temperature=0.0, **for_many(model))
        figures[label] = share("right", sum(own.right[0] for own in tried), len(tried))
    write_json(folder / "order.json", figures)
    labels = {"ylabel": "right, percent", "title": f"{', '.join(args.tasks)}: each token is only so much computation"}
    return trial.bars(figures, "right", labels, folder / "order.png")


def spelling(args: argparse.Namespace, folder: Path) -> Path:
    """Counting letters of a word that the model sees in pieces: at once, spelled by itself, spelled by a tool."""
    model, tokenizer = load(args.models[0])
    kinds = {
        "at once": asked("letters", "direct", args.count, args.seed),
        "spelling it\nfirst": asked("letters", "steps", args.count, args.seed),
        "a tool spells\nit, at once": asked("letters", "direct", args.count, args.seed, spelled=True),
        "a tool spells\nit, with work": asked("letters", "steps", args.count, args.seed, spelled=True),
    }
    figures = {}
    for label, rows in kinds.items():
        tried = try_problems(model, tokenizer, rows, 1, max(BUDGETS), temperature=0.0, **for_many(model))
        figures[label] = share("right", sum(own.right[0] for own in tried), len(tried))
    write_json(folder / "spelling.json", figures)
    labels = {"ylabel": "right, percent", "title": "How often is a letter in a word?"}
    return trial.bars(figures, "right", labels, folder / "spelling.png")


def asked(task: str, style: str, count: int, seed: int, spelled: bool = False) -> list[dict]:
    """Held-out exercises, the same for every style, each asked for in that style; half in each language."""
    rows = []
    for language in LANGUAGES:
        rng = random.Random(f"{seed} {task} {language}")
        for exercise in draw_exercises(rng, task, language, "test", count // 2):
            question = exercise.question
            if spelled:
                letters = exercise.work.check.rstrip(".")
                question = SPELLED[language].format(question=question, letters=letters)
            question = REQUESTS[style][language]["test"][0].format(question=question)
            row = exercise.row()
            row["prompt"] = [{"role": "user", "content": josa(question) if language == "ko" else question}]
            rows.append(row)
    return rows
