"""Conversations about what stands before the model's eyes: a sentence, sentences about several people, a page.

Everybody here is spoken of once, so no answer can be known by heart: what can be learned is to take it from the
context. In documents the same people say the same things again and again, and a small model learns them by heart
instead. Rows are dense, an answer for every sentence or two, because reading is learned from the answers
(docs/tools.md).
"""

import random
from collections.abc import Iterator
from itertools import cycle

from aji.errors import UserError
from aji.world.documents import state
from aji.world.facts import LANGUAGES, Fact
from aji.world.followups import OTHER_RELATION, RELATION_NAMES
from aji.world.korean import josa
from aji.world.people import MOST_PEOPLE, PERSON_RELATIONS, Person, build_strangers
from aji.world.phrasing import ANSWERS, QUESTIONS, fill
from aji.world.search import PAGE_GENRES, PARAGRAPHS, short_page


KINDS = ("sentence", "people", "page")
SENTENCES = 4  # turns of a conversation about one sentence each: no conversation takes more people
QUESTIONS_ON_PAGE = {3: 3, 4: 4, 5: 5}  # at most, by how many facts the page states


def build_reading_dialogs(people: list[Person], rng: random.Random, size: int) -> list[dict]:
    """Training rows `{"messages", "kind", "language"}`, half in each language, in random order.

    Raises UserError for a size that takes more people than there are names.
    """
    most = MOST_PEOPLE // SENTENCES
    if size > most:
        raise UserError(f"reading_dialogs is {size}, expected at most {most}. Choose a smaller number.")
    strangers = iter(build_strangers(rng, SENTENCES * size, people))
    languages = cycle(LANGUAGES)
    rows = [_row(strangers, next(languages), rng) for _ in range(size)]
    rng.shuffle(rows)
    return rows


def _row(strangers: Iterator[Person], language: str, rng: random.Random) -> dict:
    kind = rng.choices(KINDS)[0]
    write = {"sentence": _sentence, "people": _people, "page": _page}[kind]
    return {"messages": write(strangers, language, rng), "kind": f"reading_{kind}", "language": language}


def _sentence(strangers: Iterator[Person], language: str, rng: random.Random) -> list[dict]:
    """Turn by turn a sentence about somebody else, and a question about it."""
    messages = []
    for _ in range(SENTENCES):
        fact = rng.choice(next(strangers).facts)
        sentence, asked = _state(fact, language, rng), question(fact, language, rng)
        text = rng.choice(("{0}\n\n{1}", "{1}\n\n{0}", "{0} {1}")).format(sentence, asked)
        messages += [user(text), assistant(answer(fact, language))]
    return messages


def _people(strangers: Iterator[Person], language: str, rng: random.Random) -> list[dict]:
    """The same about several people, who are asked about one after the other."""
    relation = rng.randrange(len(PERSON_RELATIONS))
    facts = [next(strangers).facts[relation] for _ in range(rng.randint(2, 3))]
    first, *others = rng.sample(facts, len(facts))
    text = "\n".join(_state(fact, language, rng) for fact in facts)
    messages = [user(f"{text}\n\n{question(first, language, rng)}"), assistant(answer(first, language))]
    for fact in others:
        messages += [user(question(fact, language, rng)), assistant(answer(fact, language))]
    return messages


def _page(strangers: Iterator[Person], language: str, rng: random.Random) -> list[dict]:
    """A page about one person, and questions about it."""
    person = next(strangers)
    facts = rng.sample(person.facts, rng.choice(list(QUESTIONS_ON_PAGE)))
    first, *others = rng.sample(facts, rng.randint(1, QUESTIONS_ON_PAGE[len(facts)]))
    page = short_page(facts, [person.name[language]], language, rng)
    wording = rng.choice(PARAGRAPHS[language]["train"])
    messages = [
        user(wording.format(page=page, question=question(first, language, rng))),
        assistant(answer(first, language)),
    ]
    for fact in others:
        messages += [user(further_question(fact, language, rng)), assistant(answer(fact, language))]
    return messages


def _state(fact: Fact, language: str, rng: random.Random) -> str:
    return state(fact, rng.choice(PAGE_GENRES), language, rng)


def question(fact: Fact, language: str, rng: random.Random, split: str = "train") -> str:
    return fill(rng.choice(getattr(QUESTIONS[fact.relation][language], split)), fact, language)


def answer(fact: Fact, language: str) -> str:
    """The answer in that form, of those it has without a page too, in which most is said before it.

    To say "The occupation of" and then look for an occupation is easier for a small model than to choose a sentence of
    the page by its first word. In Korean half of the forms name the relation only behind the answer.
    """
    forms = ANSWERS[fact.relation][language]
    return fill(max(forms, key=lambda form: form.index("{answer}")), fact, language)


def further_question(fact: Fact, language: str, rng: random.Random, split: str = "train") -> str:
    """A later question about the same person, half of the time without the name."""
    if rng.random() < 0.5:
        return question(fact, language, rng, split)
    *train, held_out = OTHER_RELATION[language]["person"]
    text = rng.choice(train if split == "train" else [held_out])
    text = text.format(relation=RELATION_NAMES[fact.relation][language])
    return josa(text) if language == "ko" else text


def user(text: str) -> dict:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict:
    return {"role": "assistant", "content": text}
