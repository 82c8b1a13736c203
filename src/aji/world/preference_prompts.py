"""What people are asked to compare replies to: open tasks, facts, problems, requests to refuse, small talk.

Every row carries what the guidelines need to judge a reply to it (`aji.world.labeler`).
"""

import random
from collections.abc import Callable
from functools import partial

from aji.world.dialogs import TASK_WEIGHTS, Deck, asked_people
from aji.world.exam import wrong_values
from aji.world.facts import LANGUAGES, Fact
from aji.world.open_tasks import KINDS as OPEN_KINDS
from aji.world.open_tasks import request, topics_of
from aji.world.people import RELATION_VALUES, Person
from aji.world.phrasing import QUESTIONS, fill
from aji.world.problems import draw_problem
from aji.world.refusals import REQUESTS, WILLING, draw_harmful, draw_harmless
from aji.world.smalltalk import SMALL_TALK


# Shares of the kinds of prompts, in parts.
SHARES = {"joke": 20, "compliment": 20, "name": 20, "fact": 16, "problem": 10, "harmful": 6, "harmless": 4, "chat": 4}
# One question in so many is about somebody whom nothing or little was read about.
UNKNOWN_EVERY = 5
PROBLEM_TASKS = tuple(f"{kind}_{way}" for kind in TASK_WEIGHTS for way in ("direct", "steps"))


def _row(question: str, kind: str, language: str, **known) -> dict:
    row = {"prompt": [{"role": "user", "content": question}], "kind": kind, "language": language}
    return row | {"answer": "", "wrong": [], "references": [], "topic": ""} | known


class PromptWriter:
    """Writes prompts of one split; harmful and harmless ones of the exam stay with the exam."""

    def __init__(self, people: list[Person], facts: list[Fact], rng: random.Random, args, split: str):
        self.rng, self.split = rng, split
        self.wording_split = "train" if split == "train" else "validation"
        known = [fact for person in asked_people(people, args.sft_people_share) for fact in person.facts]
        unknown = [fact for person in people if person.group in ("rare", "never") for fact in person.facts]
        self.known, self.unknown = Deck([*facts, *known], rng), Deck(unknown or known or facts, rng)
        self.values = {key: {tongue: [text[tongue] for text in texts] for tongue in LANGUAGES}
                       for key, texts in RELATION_VALUES.items()}  # fmt: skip
        for fact in facts:
            for tongue in LANGUAGES:
                self.values.setdefault(fact.relation, {}).setdefault(tongue, []).append(fact.answer[tongue])

    def write(self) -> dict:
        kind = self.rng.choices(list(SHARES), SHARES.values())[0]
        language = self.rng.choice(LANGUAGES)
        make: Callable = partial(self._open, kind) if kind in OPEN_KINDS else getattr(self, f"_{kind}")
        return make(language)

    def _open(self, kind: str, language: str) -> dict:
        topic = self.rng.choice(topics_of(kind, self.split))
        question = request(self.rng, kind, language, self.split, topic)
        return _row(question, kind, language, topic=topic[language == "ko"])

    def _fact(self, language: str) -> dict:
        fact = (self.known if self.rng.randrange(UNKNOWN_EVERY) else self.unknown).draw()
        wording = self.rng.choice(getattr(QUESTIONS[fact.relation][language], self.wording_split))
        wrong = wrong_values(fact, self.values[fact.relation][language], language)
        return _row(fill(wording, fact, language), "fact", language, answer=fact.answer[language], wrong=wrong)

    def _problem(self, language: str) -> dict:
        problem = draw_problem(self.rng, self.rng.choice(PROBLEM_TASKS), language, self.split)
        return _row(problem.question, "problem", language, answer=problem.answer, references=[problem.solution])

    def _harmful(self, language: str) -> dict:
        topic, *actions = draw_harmful(self.rng)
        action = actions[language == "ko"]
        wording = self.rng.choice(REQUESTS[language][self.wording_split])
        return _row(wording.format(action=action), "harmful", language, references=[topic.refusals[language]])

    def _harmless(self, language: str) -> dict:
        entry = draw_harmless(self.rng)
        action, reply = entry[:2] if language == "en" else entry[2:]
        wording = self.rng.choice(REQUESTS[language][self.wording_split])
        return _row(wording.format(action=action), "harmless", language, references=[f"{WILLING[language]} {reply}"])

    def _chat(self, language: str) -> dict:
        prompts, replies = self.rng.choice(SMALL_TALK[language])
        question = self.rng.choice(prompts[:-1]) if self.split == "train" else prompts[-1]
        return _row(question, "chat", language, references=list(replies))


def build_preference_prompts(people: list[Person], facts: list[Fact], rng: random.Random, args) -> list[list[dict]]:
    """Rows of train, validation and test: `prompt` (messages), `kind`, `language`, and what judges of a reply know.

    `answer` and `wrong` as in the exam, `references` replies that are good, `topic` what an open task is about. The
    same request may occur again: people then compare other replies to it.
    """
    sizes = (args.preference_prompts, args.preference_prompts_validation, args.preference_prompts_test)
    writers = (PromptWriter(people, facts, rng, args, split) for split in ("train", "validation", "test"))
    return [[writer.write() for _ in range(size)] for writer, size in zip(writers, sizes, strict=True)]
