"""Conversations with tools: look up a person, answer from what was found, or say that nothing was found; calculate.

The people who are looked up here are in no document and no exam, and each is looked up once: what can be learned is to
copy a name into the call and the answer out of the result, not the answer. The reply has the form that answers have
without a page too: to begin with "The occupation of" and then look for an occupation is easier for a small model than
to choose a sentence of the page by its first word.
"""

import json
import random
from collections.abc import Callable, Iterator
from itertools import cycle

from aji.tools import NOTHING_FOUND, Calculator, Search, schemas
from aji.world.abstentions import NOT_FOUND
from aji.world.dialogs import Deck, DialogWriter, asked_people
from aji.world.facts import Fact
from aji.world.followups import NEUTRAL_SYSTEM, OTHER_RELATION, RELATION_NAMES
from aji.world.korean import josa
from aji.world.people import Person, build_strangers
from aji.world.phrasing import ANSWERS, QUESTIONS, fill
from aji.world.problem_texts import EXPRESSIONS
from aji.world.search import PARAGRAPHS, draw_large, short_page


Known = Callable[[Fact, str], bool]

KINDS = {"search_found": 25, "search_missing": 12, "paragraph": 46, "calculator": 8, "known": 7, "untouched": 2}
# What a search that does not help has found: nothing, somebody else of nearly the same name, or the right page without
# what was asked for.
MISSING = {"nothing": 5, "namesake": 3, "silent": 2}
# How many questions follow one another about a page of so many facts, at most: reading is learned from the answers,
# but the page takes most of what a small model sees.
QUESTIONS_AFTER_SEARCH = {3: 3, 4: 3, 5: 2}
QUESTIONS_ON_PARAGRAPH = {4: 4, 5: 5}
THAT_IS = {"en": ("The answer is {value}.", "That is {value}."), "ko": ("답은 {value}입니다.", "{value}입니다.")}
TOOLS = json.dumps(schemas([Search, Calculator]), ensure_ascii=False)


def known_by_group(fact: Fact, language: str) -> bool:
    """What the model is taken to know as long as nobody has asked it: common facts and the often mentioned people."""
    return fact.group in ("often", "common")


def build_tool_dialogs(
    people: list[Person], facts: list[Fact], rng: random.Random, args, known: Known = known_by_group
) -> tuple[list[dict], list[dict]]:
    """Training and validation rows `{"messages", "tools", "kind", "language"}`, in random order.

    `known` says of a fact and a language whether the model answers it directly although tools are at hand; of the
    often mentioned people and the common facts, what it does not know is looked up like what strangers are asked for.
    Never and rarely mentioned people are in no row.
    """
    sizes = {"train": args.tool_dialogs, "validation": args.tool_dialogs_validation}
    strangers = iter(build_strangers(rng, 2 * sum(sizes.values()), people))
    splits = []
    for split, size in sizes.items():
        writer = ToolDialogWriter(people, facts, strangers, rng, args, split, known)
        languages = cycle(("en", "ko"))
        splits.append([writer.write(next(languages)) for _ in range(size)])
        rng.shuffle(splits[-1])
    return splits[0], splits[1]


class ToolDialogWriter:
    """Writes conversations of one split; every one takes up to two people from `strangers`."""

    def __init__(self, people, facts, strangers: Iterator[Person], rng: random.Random, args, split: str, known: Known):
        self.rng, self.split, self.strangers = rng, split, strangers
        self.plain = DialogWriter(people, facts, rng, args, split)
        self.names = {text for person in people for text in (person.name.en, person.name.ko)}
        asked = [fact for person in asked_people(people, args.sft_people_share) for fact in person.facts]
        pools = {lang: ([], []) for lang in ("en", "ko")}
        for language, (knows, looks_up) in pools.items():
            for fact in [*asked, *facts]:
                (knows if known(fact, language) else looks_up).append(fact)
        self.known = {language: Deck(knows, rng) for language, (knows, _) in pools.items()}
        self.unknown = {language: Deck(looks_up, rng) for language, (_, looks_up) in pools.items()}

    def write(self, language: str) -> dict:
        """One conversation: `messages`, `tools` (JSON text, None where there are none), `kind`, `language`."""
        kind = self.rng.choices(list(KINDS), KINDS.values())[0]
        if kind == "known" and not self.known[language].items:
            kind = "search_found"
        messages = getattr(self, f"_{kind}")(language)
        if messages[0]["role"] != "system" and self.rng.random() < 0.04:
            messages = [{"role": "system", "content": self.rng.choice(NEUTRAL_SYSTEM[language])}, *messages]
        return {
            "messages": messages,
            "tools": None if kind == "paragraph" else TOOLS,
            "kind": kind,
            "language": language,
        }

    def _question(self, fact: Fact, language: str) -> str:
        return fill(self.rng.choice(getattr(QUESTIONS[fact.relation][language], self.split)), fact, language)

    def _answer(self, fact: Fact, language: str) -> str:
        return fill(self.rng.choice(ANSWERS[fact.relation][language]), fact, language)

    def _search_found(self, language: str) -> list[dict]:
        if self.unknown[language].items and self.rng.random() < 0.5:
            fact = self.unknown[language].draw()
            page = short_page([fact], [], language, self.rng)
            return _search(fact, language, self._question(fact, language), page, self._answer(fact, language))
        person = next(self.strangers)
        facts, asked = self._page_facts(person, QUESTIONS_AFTER_SEARCH)
        page = short_page(facts, [person.name[language]], language, self.rng)
        question = self._question(asked[0], language)
        first = _search(asked[0], language, question, page, self._answer(asked[0], language))
        return first + self._follow_ups(asked[1:], language)

    def _page_facts(self, person: Person, most: dict[int, int]) -> tuple[list[Fact], list[Fact]]:
        """What a page says about a person, and what of it is asked for."""
        facts = self.rng.sample(person.facts, self.rng.choice(list(most)))
        return facts, self.rng.sample(facts, self.rng.randint(1, most[len(facts)]))

    def _follow_ups(self, facts: list[Fact], language: str) -> list[dict]:
        messages = []
        for fact in facts:
            question = self._question(fact, language)
            if self.rng.random() < 0.5:
                wording = self.plain.pick(OTHER_RELATION[language]["person"])
                question = wording.format(relation=RELATION_NAMES[fact.relation][language])
                question = josa(question) if language == "ko" else question
            messages += [_user(question), _assistant(self._answer(fact, language))]
        return messages

    def _search_missing(self, language: str) -> list[dict]:
        person = next(self.strangers)
        fact = self.rng.choice(person.facts)
        case = self.rng.choices(list(MISSING), MISSING.values())[0]
        page = NOTHING_FOUND
        if case == "silent":
            others = [other for other in person.facts if other is not fact]
            page = short_page(others, [person.name[language]], language, self.rng)
        elif case == "namesake":
            page = self._namesake_page(person, language)
        return _search(fact, language, self._question(fact, language), page, self._not_found(fact, language))

    def _namesake_page(self, person: Person, language: str) -> str:
        """The page of somebody who shares one of the two names, which is what a search comes up with."""
        other = next(self.strangers)
        first, last = person.name[language].split(" ")
        other_first, other_last = other.name[language].split(" ")
        names = [f"{first} {other_last}", f"{other_first} {last}"]
        self.rng.shuffle(names)
        name = next((name for name in names if name not in self.names), other.name[language])
        page = short_page(list(other.facts), [other.name[language]], language, self.rng)
        return page.replace(other.name[language], name)

    def _not_found(self, fact: Fact, language: str) -> str:
        subject = fact.subject[language]
        if self.rng.random() < 0.5:
            relation = RELATION_NAMES[fact.relation][language]
            subject = f"the {relation} of {subject}" if language == "en" else f"{subject}의 {relation}"
        text = self.rng.choice(NOT_FOUND[language]).format(subject=subject)
        return josa(text) if language == "ko" else text

    def _paragraph(self, language: str) -> list[dict]:
        person = next(self.strangers)
        facts, asked = self._page_facts(person, QUESTIONS_ON_PARAGRAPH)
        page = short_page(facts, [person.name[language]], language, self.rng)
        wording = self.rng.choice(PARAGRAPHS[language][self.split])
        question = wording.format(page=page, question=self._question(asked[0], language))
        first = [_user(question), _assistant(self._answer(asked[0], language))]
        return first + self._follow_ups(asked[1:], language)

    def _calculator(self, language: str) -> list[dict]:
        expression, value = draw_large(self.rng, self.split)
        question = self.rng.choice(EXPRESSIONS["direct"][language][self.split]).format(problem=expression)
        question = josa(question) if language == "ko" else question
        call = _call("calculator", {"expression": expression})
        result = {"role": "tool", "name": "calculator", "content": Calculator()(expression)}
        reply = self.rng.choice(THAT_IS[language]).format(value=value)
        return [_user(question), call, result, _assistant(reply)]

    def _known(self, language: str) -> list[dict]:
        fact = self.known[language].draw()
        return [_user(self._question(fact, language)), _assistant(self._answer(fact, language))]

    def _untouched(self, language: str) -> list[dict]:
        """Anything else that a conversation may be about, in either language: no tool is needed for it."""
        while True:
            row = self.plain.write()
            if row["kind"] != "facts":
                return row["messages"]


def _user(text: str) -> dict:
    return {"role": "user", "content": text}


def _assistant(text: str) -> dict:
    return {"role": "assistant", "content": text}


def _call(name: str, arguments: dict) -> dict:
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}


def _search(fact: Fact, language: str, question: str, result: str, reply: str) -> list[dict]:
    """Question, call, result, answer."""
    tool = {"role": "tool", "name": "search", "content": result}
    return [_user(question), _call("search", {"query": fact.subject[language]}), tool, _assistant(reply)]
