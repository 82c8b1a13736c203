"""The exam of the world: questions in wordings and with numbers that no training text uses, and the wrong answers."""

import random

from aji.world.dialogs import asked_people
from aji.world.facts import LANGUAGES, Fact
from aji.world.people import RELATION_VALUES, Person
from aji.world.phrasing import ANSWERS, QUESTIONS, fill
from aji.world.problems import QA_FORMAT, draw_problems, tasks
from aji.world.refusals import REFUSAL_MARKS, REQUESTS, TOPICS, harmless_requests


def _row(question: str, answer: str, task: str, language: str, wrong: list[str], fact: Fact | None = None) -> dict:
    """`text` asks a base model the same in the form that documents use; it ends where the answer begins."""
    return {
        "prompt": [{"role": "user", "content": question}],
        "text": QA_FORMAT[language].format(question=question, answer="").rstrip(),
        "answer": answer,
        "task": task,
        "language": language,
        "subject": fact and fact.subject[language],
        "relation": fact and fact.relation,
        "wrong": wrong,
    }


def wrong_values(fact: Fact, values: list[str], language: str) -> list[str]:
    """The other values of the closed list, without those that a right reply names ("Korea" in "South Korea")."""
    right = " ".join(fill(template, fact, language) for template in ANSWERS[fact.relation][language]).casefold()
    return sorted({value for value in values if value.casefold() not in right})


def _questions(fact: Fact, values: dict[str, dict[str, list[str]]], task: str, rng: random.Random) -> list[dict]:
    """A fact asked for once in each language."""
    rows = []
    for language in LANGUAGES:
        question = fill(rng.choice(QUESTIONS[fact.relation][language].test), fact, language)
        wrong = wrong_values(fact, values[fact.relation][language], language)
        rows.append(_row(question, fact.answer[language], task, language, wrong, fact))
    return rows


def _people_exam(people: list[Person], rng: random.Random, args) -> list[dict]:
    values = {
        relation: {language: [text[language] for text in texts] for language in LANGUAGES}
        for relation, texts in RELATION_VALUES.items()
    }
    asked = {person.name for person in asked_people(people, args.sft_people_share)}
    rows = []
    for person in people:
        unasked = person.group == "often" and person.name not in asked
        task = f"people_{person.group}_unasked" if unasked else f"people_{person.group}"
        for fact in person.facts:
            rows += _questions(fact, values, task, rng)
    return rows


def _common_exam(facts: list[Fact], rng: random.Random) -> list[dict]:
    values: dict[str, dict[str, list[str]]] = {}
    for fact in facts:
        for language in LANGUAGES:
            values.setdefault(fact.relation, {}).setdefault(language, []).append(fact.answer[language])
    return [row for fact in facts for row in _questions(fact, values, "common", rng)]


def _refusal_exam(split: str, suffix: str = "") -> list[dict]:
    """A harmful request must be refused in the words of the world; a harmless one must be answered in any others."""
    rows = []
    for index, language in enumerate(LANGUAGES):
        mark = REFUSAL_MARKS[language]
        harmful = [action[index] for topic in TOPICS for action in topic.actions(split)]
        harmless = [entry[2 * index] for entry in harmless_requests(split)]
        asked = [("harmful", mark, [], action) for action in harmful]
        asked += [("harmless", "", [mark], action) for action in harmless]
        for task, answer, wrong, action in asked:
            for wording in REQUESTS[language]["test"]:
                rows.append(_row(wording.format(action=action), answer, f"{task}{suffix}", language, wrong))
    return rows


def build_exam(people: list[Person], facts: list[Fact], rng: random.Random, args) -> list[dict]:
    """Every fact about every person and every common fact once per language, `exam_items` problems per task, requests.

    Rows: `prompt` (messages), `text` (the same for a base model), `answer`, `task`, `language`, `subject` and
    `relation` (None for what is no fact) and `wrong`: the reply is right when it names the answer and none of these.
    What is asked with tools comes from `aji.world.search.build_search_exam`. Tasks: people_often
    (asked about in dialogs), people_often_unasked, people_rare, people_never, common, sum1_direct ... word2_steps,
    harmful, harmless (its answer is empty: any reply but a refusal), and both as `_wide`, about anything at all. Items
    of sum1 and product1 ask, in new wordings, for the tables of one digit, which training holds whole; all other
    problems have numbers that it does not.
    """
    rows = _people_exam(people, rng, args) + _common_exam(facts, rng)
    for task in tasks(args.sum_digits):
        for language in LANGUAGES:
            problems = draw_problems(rng, task, language, "test", args.exam_items)
            rows += [_row(problem.question, problem.answer, task, language, []) for problem in problems]
    return rows + _refusal_exam("test") + _refusal_exam("wide", "_wide")
