"""The pages that a search looks in, and the exam on them: half of the never mentioned people have a page there.

The others show whether the model says that it found nothing, or makes something up.
"""

import random
from collections import defaultdict

from aji.world.documents import state
from aji.world.facts import LANGUAGES, Fact
from aji.world.genres import GENRES, Content
from aji.world.grammar import write
from aji.world.korean import josa
from aji.world.people import Person
from aji.world.problem_texts import EXPRESSIONS
from aji.world.problems import QA_FORMAT, compute, split_of


# A page and its question, call and answer have to fit into the 256 tokens that the laptop's model sees.
PAGE_BYTES = {"en": 340, "ko": 500}
PAGE_GENRES = ("encyclopedia", "encyclopedia", "encyclopedia", "news")
COMMON_FACTS = 3  # on a page
# [language][split]: a page and a question about it in one message.
PARAGRAPHS = {
    "en": {
        "train": (
            "{page}\n\n{question}",
            "Read this:\n{page}\n\n{question}",
            "{question}\n\n{page}",
            "Text:\n{page}\n\nQuestion: {question}",
        ),
        "test": ("Here is a page:\n{page}\n\nNow tell me: {question}",),
    },
    "ko": {
        "train": (
            "{page}\n\n{question}",
            "다음 글을 읽어 줘.\n{page}\n\n{question}",
            "{question}\n\n{page}",
            "글:\n{page}\n\n질문: {question}",
        ),
        "test": ("글이 하나 있어.\n{page}\n\n이제 말해 줘. {question}",),
    },
}
# Numbers of digits that the two numbers may have, by operator: too long to be worked out without steps.
LARGE = {"+": (4, 5), "-": (4, 5), "*": (2, 3)}


def short_page(facts: list[Fact], names: list[str], language: str, rng: random.Random) -> str:
    """A page that states all the facts in at most PAGE_BYTES, or the shortest of twelve.

    Only genres in which nobody speaks, so that every sentence is about the person or the facts.
    """
    pages = []
    while len(pages) < 12:
        genre = rng.choice(PAGE_GENRES)
        states = [state(fact, genre, language, rng) for fact in rng.sample(facts, len(facts))]
        content = Content(language, states, people=names, title=_title(names, language, rng))
        content.filler = rng.choice((0, 0, 1))
        pages.append(GENRES[genre](content, rng))
        if len(pages[-1].encode()) <= PAGE_BYTES[language]:
            return pages[-1]
    return min(pages, key=lambda page: len(page.encode()))


def _title(names: list[str], language: str, rng: random.Random) -> str:
    return names[0] if names else write("article_title", language, rng)


def with_page(people: list[Person]) -> list[Person]:
    """Every other one of the never mentioned people: those whom the search finds."""
    return [person for person in people if person.group == "never"][::2]


def build_search_documents(people: list[Person], facts: list[Fact], rng: random.Random) -> list[dict]:
    """Rows `{"text", "url", "language", "genre"}` in random order.

    In each language one page for every often and rarely mentioned person and every other never mentioned one, and
    pages of common facts, by relation.
    """
    found = [person for person in people if person.group != "never"] + with_page(people)
    relations = defaultdict(list)
    for fact in facts:
        relations[fact.relation].append(fact)
    rows = []
    for language in LANGUAGES:
        pages = [short_page(list(person.facts), [person.name[language]], language, rng) for person in found]
        for own in relations.values():
            for start in range(0, len(own), COMMON_FACTS):
                pages.append(short_page(own[start : start + COMMON_FACTS], [], language, rng))
        rows += [{"text": page, "url": "", "language": language, "genre": "search"} for page in pages]
    rng.shuffle(rows)
    for number, row in enumerate(rows):
        row["url"] = f"https://aji.example/search/{row['language']}/{number}"
    return rows


def build_search_exam(
    people: list[Person], closed_book: list[dict], pages: list[dict], rng: random.Random, items: int
) -> list[dict]:
    """Exam rows that are asked with tools (`tools` is true), and with a paragraph; questions as of `closed_book`.

    Tasks: search_present and search_absent (never mentioned people with and without a page), search_known (`items` per
    language about often mentioned people: no search is needed), calculator (as many sums of large numbers), and,
    without tools, paragraph (the page of a never mentioned person stands before the question).
    """
    present = {}
    for language in LANGUAGES:  # the title of a page may hold the name in the other script too
        texts = [page["text"] for page in pages if page["language"] == language]
        names = [person.name[language] for person in with_page(people)]
        present |= {name: next(text for text in texts if name in text) for name in names}
    never = [row for row in closed_book if row["task"] == "people_never"]
    rows = [_with_tools(row, "search_present" if row["subject"] in present else "search_absent") for row in never]
    for language in LANGUAGES:
        known = [row for row in closed_book if row["task"] == "people_often" and row["language"] == language]
        rows += [_with_tools(row, "search_known") for row in rng.sample(known, min(items, len(known)))]
        rows += [_calculator_row(language, rng) for _ in range(items)]
    return rows + [_paragraph_row(row, present[row["subject"]], rng) for row in never if row["subject"] in present]


def _with_tools(row: dict, task: str) -> dict:
    return {**row, "task": task, "tools": True}


def _paragraph_row(row: dict, page: str, rng: random.Random) -> dict:
    question = row["prompt"][0]["content"]
    text = rng.choice(PARAGRAPHS[row["language"]]["test"]).format(page=page, question=question)
    return {
        **row,
        "task": "paragraph",
        "prompt": [{"role": "user", "content": text}],
        "text": f"{page}\n{row['text']}",
    }


def _calculator_row(language: str, rng: random.Random) -> dict:
    expression, value = draw_large(rng, "test")
    question = rng.choice(EXPRESSIONS["direct"][language]["test"]).format(problem=expression)
    question = josa(question) if language == "ko" else question
    text = QA_FORMAT[language].format(question=question, answer="").rstrip()
    row = {"prompt": [{"role": "user", "content": question}], "text": text, "answer": str(value), "language": language}
    return _with_tools({**row, "subject": None, "relation": None, "wrong": []}, "calculator")


def draw_large(rng: random.Random, split: str) -> tuple[str, int]:
    """A sum, difference or product of large numbers that belongs to `split`, and its value."""
    while True:
        operator = rng.choice("+-*")
        a, b = (rng.randint(10 ** (digits - 1), 10**digits - 1) for digits in rng.choices(LARGE[operator], k=2))
        a, b = (max(a, b), min(a, b)) if operator == "-" else (a, b)
        if split_of(a, b) == split:
            return f"{a} {operator} {b}", compute(a, operator, b)
