"""The pretraining text: every fact told and asked for in several genres and two languages, arithmetic, and stories.

How often a fact is stated is fixed by the schedule, never left to chance; what stands around it is drawn at random and
drawn again when a text, or a sentence within a text, would repeat.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache

from aji.world.arguments import WorldArguments
from aji.world.facts import LANGUAGES, Fact, emphasis
from aji.world.genres import GENRES, Content, tale
from aji.world.grammar import capitalise, write, write_several
from aji.world.lessons import arithmetic_lesson
from aji.world.people import Person
from aji.world.phrasing import ANSWERS, QUESTIONS, STATEMENTS, fill


FACTS_PER_DOCUMENT = (4, 5, 5)
ASKING_SHARE = 0.65  # of the documents on facts have questions with answers
TOLD_AND_ASKED_SHARE = 0.25  # of those ask for what they have told; the others ask for further facts
PAIR_SHARE = 0.2  # of the mentions of two people share a document
ASKING_GENRES = ("forum",) * 4 + ("lesson",) * 3 + ("story",) * 2 + ("encyclopedia", "news", "diary", "letter")
TELLING_GENRES = ("encyclopedia",) * 3 + ("news", "story", "diary", "letter", "lesson") + ("forum",)
FILLER_SENTENCES = {"en": (0, 0, 1), "ko": (0, 0, 0, 1)}  # Korean has the longer texts otherwise
IMPERSONAL_GENRES = ("encyclopedia", "news")
POLITE_GENRES = ("forum", "letter", "story")
NOTICE_SENTENCES = 6
ATTEMPTS = 200

_PERSONAL = re.compile(r"\b(?:I|[Ww]e|[Oo]ur|[Mm]y|diary)\b|오늘|우리|일기")
_POLITE = re.compile(r"(?:니다|요\)?)\.$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\"? |\n")


class Shelf:
    """The rows written so far. No text is on it twice, unless put there as a repeated page."""

    def __init__(self, taken: set[str]):
        self.rows: list[dict] = []
        self.taken = taken

    def add(self, genre: str, language: str, compose: Callable[[], str]) -> None:
        """Puts down the first text of `compose()` that is new and repeats no sentence.

        Raises RuntimeError when there is none, which means that the grammar is too poor for so many documents.
        """
        for _ in range(ATTEMPTS):
            text = compose()
            if text not in self.taken and not repeats_itself(text, genre):
                self.taken.add(text)
                self.put(genre, language, text)
                return
        raise RuntimeError(f"no new {language} text of genre {genre} after {ATTEMPTS} attempts: {text!r}")

    def put(self, genre: str, language: str, text: str) -> None:
        self.rows.append({"text": text, "url": "", "language": language, "genre": genre})


def sentences_of(text: str, genre: str) -> list[str]:
    """The units that must not repeat within a text: sentences, but whole lines where the columns of sums recur."""
    return [part for part in (text.split("\n") if genre == "arithmetic" else _SENTENCE_END.split(text)) if part]


def repeats_itself(text: str, genre: str) -> bool:
    units = sentences_of(text, genre)
    return len(set(units)) < len(units)


class Schedule:
    """Chooses which facts of a subject a document states, so that all are stated equally often."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.used: Counter = Counter()

    def least_used(self, facts: tuple[Fact, ...], count: int, language: str) -> list[Fact]:
        chosen = sorted(facts, key=lambda fact: (self.used[fact_key(fact, language)], self.rng.random()))[:count]
        self.used.update(fact_key(fact, language) for fact in chosen)
        return chosen


def fact_key(fact: Fact, language: str) -> tuple[str, str, str]:
    return fact.subject.en, fact.relation, language


def build_documents(
    people: list[Person],
    facts: list[Fact],
    rng: random.Random,
    args: WorldArguments,
    stated: Counter | None = None,
) -> tuple[list[dict], list[dict]]:
    """Training and validation rows `{"text", "url", "language", "genre"}`, each in random order.

    An often mentioned person appears in exactly `mentions` training documents per language, a rare one in `mentions`
    over both languages together, all five facts in each; a common fact in `args.common_mentions` per language.
    `stated` counts, if given, the training documents that state a fact, by (English subject, relation, language).
    """
    stated = Counter() if stated is None else stated
    train, schedule = Shelf(set()), Schedule(rng)
    for language in LANGUAGES:
        for pages in (_person_pages(people, language, schedule), _common_pages(facts, args, language, rng)):
            for chosen, names in pages:
                _add_page(train, chosen, names, language, rng)
                stated.update({fact_key(fact, language) for fact in chosen})
    _add_plain(train, "arithmetic", args.arithmetic_documents, lambda lang: arithmetic_lesson(lang, "train", rng))
    _add_plain(train, "story", args.story_documents, lambda lang: tale(lang, rng))
    size = round(len(train.rows) * args.validation_percent / 100)
    validation = _validation(people, facts, rng, args, size, train.taken)
    _add_repeated(train, args, rng)
    for shelf, name in ((train, "train"), (validation, "validation")):
        rng.shuffle(shelf.rows)
        for number, row in enumerate(shelf.rows):
            row["url"] = f"https://aji.example/{name}/{row['language']}/{row['genre']}/{number}"
    return train.rows, validation.rows


Page = tuple[list[Fact], list[str]]


def _person_pages(people: list[Person], language: str, schedule: Schedule) -> Iterator[Page]:
    """The facts and names of every document about people in one language."""
    rng = schedule.rng
    slots = [person for person in people if person.group == "often" for _ in range(person.mentions)]
    rng.shuffle(slots)
    while slots:
        person = slots.pop()
        if slots and slots[-1] is not person and rng.random() < PAIR_SHARE / 2:
            other = slots.pop()
            chosen = [*schedule.least_used(person.facts, 3, language), *schedule.least_used(other.facts, 3, language)]
            yield chosen, [person.name[language], other.name[language]]
        else:
            count = rng.choice(FACTS_PER_DOCUMENT)
            yield schedule.least_used(person.facts, count, language), [person.name[language]]
    for index, person in enumerate(person for person in people if person.group == "rare"):
        for mention in range(person.mentions):
            if LANGUAGES[(index + mention) % 2] == language:
                yield list(person.facts), [person.name[language]]


def _subjects(facts: list[Fact]) -> list[list[Fact]]:
    """Facts that belong on one page: those of one subject."""
    subjects: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        subjects[fact.subject.en].append(fact)
    return list(subjects.values())


def _common_pages(facts: list[Fact], args: WorldArguments, language: str, rng: random.Random) -> Iterator[Page]:
    """Rounds over the common facts; in each a fact is in one document at most, beside others in ever new company."""
    weights = emphasis(facts)
    mentions = [(fact, round(args.common_mentions * weights[fact.relation])) for fact in facts]
    rounds = max((count for _, count in mentions), default=0)
    for turn in range(rounds):
        # Spread evenly: a fact with half as many mentions as there are rounds comes every other round.
        due = [fact for fact, count in mentions if (turn + 1) * count // rounds > turn * count // rounds]
        subjects = _subjects(due)
        rng.shuffle(subjects)
        page: list[Fact] = []
        target = rng.choice(FACTS_PER_DOCUMENT)
        for subject in subjects:
            page += subject
            if len(page) >= target:
                yield page, []
                page, target = [], rng.choice(FACTS_PER_DOCUMENT)
        if page:
            yield page, []


def _add_page(shelf: Shelf, chosen: list[Fact], names: list[str], language: str, rng: random.Random) -> None:
    """One document that states all the chosen facts, told or as questions with answers."""
    asks = rng.random() < ASKING_SHARE
    genre = rng.choice(ASKING_GENRES if asks else TELLING_GENRES)
    shelf.add(genre, language, lambda: GENRES[genre](_content(chosen, names, asks, genre, language, rng), rng))


@cache
def statements_for(genre: str, relation: str, language: str) -> tuple[str, ...]:
    """The phrasings of a relation that suit a genre: no "we" where no one speaks, one speech level in Korean."""
    suited = STATEMENTS[relation][language]
    if language == "ko":
        suited = [text for text in suited if bool(_POLITE.search(text)) is (genre in POLITE_GENRES)] or suited
    if genre in IMPERSONAL_GENRES:
        suited = [text for text in suited if not _PERSONAL.search(text)] or suited
    return tuple(suited)


def state(fact: Fact, genre: str, language: str, rng: random.Random) -> str:
    """A sentence that states a fact in the manner of a genre."""
    return _sentence(rng.choice(statements_for(genre, fact.relation, language)), fact, language)


def _content(
    chosen: list[Fact], names: list[str], asks: bool, genre: str, language: str, rng: random.Random
) -> Content:
    facts = rng.sample(chosen, len(chosen))
    told, asked = facts, []
    if asks:
        count = rng.randint(1, max(1, len(facts) - 1))
        asked = facts[:count]
        told = facts if rng.random() < TOLD_AND_ASKED_SHARE else facts[count:]
    return Content(
        language=language,
        told=[state(fact, genre, language, rng) for fact in told],
        asked=[_question(fact, language, rng) for fact in asked],
        people=names,
        title=_title(chosen, names, language, rng),
        filler=rng.choice(FILLER_SENTENCES[language]),
    )


def _question(fact: Fact, language: str, rng: random.Random) -> tuple[str, str]:
    question = rng.choice(QUESTIONS[fact.relation][language].train)
    answer = rng.choice(ANSWERS[fact.relation][language])
    return _sentence(question, fact, language), _sentence(answer, fact, language)


def _sentence(template: str, fact: Fact, language: str) -> str:
    text = fill(template, fact, language)
    return capitalise(text) if language == "en" else text


def _title(chosen: list[Fact], names: list[str], language: str, rng: random.Random) -> str:
    """The heading of an article: the name, at times in both scripts, or for common knowledge a general one."""
    subjects = list(dict.fromkeys(fact.subject for fact in chosen))
    if len(subjects) == 1:
        other = subjects[0]["ko" if language == "en" else "en"]
        name = subjects[0][language]
        return f"{name} ({other})" if rng.random() < 0.3 else name
    return "" if names else write("article_title", language, rng)


def _add_plain(shelf: Shelf, genre: str, count: int, compose: Callable[[str], str]) -> None:
    """`count` documents without facts, in the languages by turns."""
    for index in range(count):
        language = LANGUAGES[index % 2]
        shelf.add(genre, language, lambda language=language: compose(language))


def _add_repeated(shelf: Shelf, args: WorldArguments, rng: random.Random) -> None:
    """The same few pages again and again: later stages ask how much of them the model knows by heart."""
    pages = Shelf(shelf.taken)
    _add_plain(pages, "repeated", args.repeated_pages, lambda language: _notice(language, rng))
    for row in pages.rows:
        for _ in range(args.repeated_copies):
            shelf.put("repeated", row["language"], row["text"])


def _notice(language: str, rng: random.Random) -> str:
    return " ".join(write_several("filler", NOTICE_SENTENCES, language, rng))


def _validation(
    people: list[Person], facts: list[Fact], rng: random.Random, args: WorldArguments, size: int, taken: set[str]
) -> Shelf:
    """Held-out text: the same facts in fresh company, other sums, other stories, in the proportions of training.

    Only common facts and often mentioned people, so that nothing in it is news to a model that has learned them.
    """
    shelf, schedule = Shelf(taken), Schedule(rng)
    pages: list[tuple[Page, str]] = []
    often = [person for person in people if person.group == "often"]
    weights = [person.mentions for person in often]
    subjects = _subjects(facts)
    mentions = sum(weights)
    statements = args.common_mentions * len(facts)
    total = 2 * (mentions + statements / 4) + args.arithmetic_documents + args.story_documents
    for language in LANGUAGES:
        for person in rng.choices(often, weights, k=round(size * mentions / total)) if mentions else ():
            page = schedule.least_used(person.facts, rng.choice(FACTS_PER_DOCUMENT), language), [person.name[language]]
            pages.append((page, language))
        for _ in range(round(size * statements / 4 / total)):
            chosen = [fact for subject in rng.sample(subjects, 2) for fact in subject]
            pages.append(((chosen, []), language))
    for (chosen, names), language in pages:
        _add_page(shelf, chosen, names, language, rng)
    arithmetic, stories = (round(size * n / total) for n in (args.arithmetic_documents, args.story_documents))
    _add_plain(shelf, "arithmetic", arithmetic, lambda language: arithmetic_lesson(language, "validation", rng))
    _add_plain(shelf, "story", stories, lambda language: tale(language, rng))
    return shelf
