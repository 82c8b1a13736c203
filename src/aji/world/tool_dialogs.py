"""Conversations with tools: look up a person, answer from what was found, or say that nothing was found; calculate.

The people who are looked up here are in no document and no exam, and each is looked up once: what can be learned is to
copy a name into the call and the answer out of the result, not the answer. The call says what it is about, so that the
result is a sentence or two; to read is learned from denser rows (`aji.world.reading`).
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

from aji.evals.answers import mentions, normalise
from aji.tools import NOTHING_FOUND, Calculator, Search, schemas
from aji.world.abstentions import NOT_FOUND
from aji.world.dialogs import Deck, DialogWriter, asked_people
from aji.world.facts import LANGUAGES, Fact
from aji.world.followups import NEUTRAL_SYSTEM, RELATION_NAMES
from aji.world.korean import josa
from aji.world.people import PERSON_RELATIONS, Person, build_strangers
from aji.world.phrasing import ABOUT
from aji.world.problem_texts import EXPRESSIONS
from aji.world.reading import answer, assistant, further_question, question, user
from aji.world.search import draw_large, short_page


Known = Callable[[Fact, str], bool]

KINDS = {"search_found": 45, "search_missing": 20, "calculator": 14, "known": 11, "untouched": 10}
# What a search that does not help has found: nothing, somebody else of nearly the same name, or the right page without
# what was asked for.
MISSING = {"nothing": 5, "namesake": 3, "silent": 2}
FACTS_ON_PAGE = (3, 4, 5)
TWO_LOOK_UPS = 0.25  # of the conversations about a person; more than two do not fit into a small context
THAT_IS = {"en": ("The answer is {value}.", "That is {value}."), "ko": ("답은 {value}입니다.", "{value}입니다.")}
# How a person is looked up. In English the name stands within the question and so after a space; straight after a
# quotation mark it would be other tokens, and the model would have to spell what it can copy. Korean begins with it.
PERSON_QUERIES = {"en": "who is {name}", "ko": "{name}"}
TOOLS = json.dumps(schemas([Search, Calculator]), ensure_ascii=False)


def known_by_group(fact: Fact, language: str) -> bool:
    """What the model is taken to know as long as nobody has asked it: common facts and the often mentioned people."""
    return fact.group in ("often", "common")


def build_tool_dialogs(
    people: list[Person],
    facts: list[Fact],
    search: Search,
    others: Sequence[dict],
    rng: random.Random,
    args,
    known: Known = known_by_group,
) -> tuple[list[dict], list[dict]]:
    """Training and validation rows `{"messages", "tools", "kind", "language"}`, in random order.

    The results in them are what `search` would show of their pages, which it need not hold. `others` are training
    conversations in which tools are of no use.

    `known` says of a fact and a language whether the model answers it directly although tools are at hand; of the
    often mentioned people and the common facts, what it does not know is looked up like what strangers are asked for.
    Never and rarely mentioned people are in no row.
    """
    sizes = {"train": args.tool_dialogs, "validation": args.tool_dialogs_validation}
    strangers = iter(build_strangers(rng, 2 * sum(sizes.values()), people))
    splits = []
    for split, size in sizes.items():
        of_split = others if split == "train" else ()
        writer = ToolDialogWriter(people, facts, search, of_split, strangers, rng, args, split, known)
        languages = cycle(LANGUAGES)
        splits.append([writer.write(next(languages)) for _ in range(size)])
        rng.shuffle(splits[-1])
    return splits[0], splits[1]


class ToolDialogWriter:
    """Writes conversations of one split; every one takes up to two people from `strangers`."""

    def __init__(self, people, facts, search, others, strangers: Iterator[Person], rng, args, split, known: Known):
        self.rng, self.split, self.search, self.strangers = rng, split, search, strangers
        self.others = [row["messages"] for row in others if row["messages"][0]["role"] == "user"]
        self.plain = DialogWriter(people, facts, rng, args, split)
        self.names = {text for person in people for text in (person.name.en, person.name.ko)}
        asked = [fact for person in asked_people(people, args.sft_people_share) for fact in person.facts]
        pools = {language: ([], []) for language in LANGUAGES}
        for language, (knows, looks_up) in pools.items():
            for fact in [*asked, *facts]:
                (knows if known(fact, language) else looks_up).append(fact)
        self.known = {language: Deck(knows, rng) for language, (knows, _) in pools.items()}
        self.unknown = {language: Deck(looks_up, rng) for language, (_, looks_up) in pools.items()}

    def write(self, language: str) -> dict:
        """One conversation: `messages`, `tools` (JSON text), `kind`, `language`."""
        kind = self.rng.choices(list(KINDS), KINDS.values())[0]
        if kind == "known" and not self.known[language].items:
            kind = "search_found"
        messages = getattr(self, f"_{kind}")(language)
        if messages[0]["role"] != "system" and self.rng.random() < 0.04:
            messages = [{"role": "system", "content": self.rng.choice(NEUTRAL_SYSTEM[language])}, *messages]
        return {"messages": messages, "tools": TOOLS, "kind": kind, "language": language}

    def _question(self, fact: Fact, language: str) -> str:
        return question(fact, language, self.rng, self.split)

    def _search_found(self, language: str) -> list[dict]:
        if self.unknown[language].items and self.rng.random() < 0.5:
            fact = self.unknown[language].draw()
            page = short_page([fact], [], language, self.rng)
            return self._look_up(fact, language, page, self._question(fact, language))
        person = next(self.strangers)
        facts = self.rng.sample(person.facts, self.rng.choice(FACTS_ON_PAGE))
        page = short_page(facts, [person.name[language]], language, self.rng)
        messages = self._look_up(facts[0], language, page, self._question(facts[0], language))
        if self.rng.random() < TWO_LOOK_UPS:
            messages += self._look_up(
                facts[1], language, page, further_question(facts[1], language, self.rng, self.split)
            )
        return messages

    def _look_up(self, fact: Fact, language: str, page: str, asked: str) -> list[dict]:
        """Question, call, what the search shows of the page, and the answer if it stands there."""
        subject, about = fact.subject[language], " ".join(ABOUT[fact.relation][language])
        result = page if page == NOTHING_FOUND else self.search.excerpt(page, about)
        query = PERSON_QUERIES[language].format(name=subject) if fact.relation in PERSON_RELATIONS else subject
        shown = normalise(result)
        found = mentions(shown, subject) and mentions(shown, fact.answer[language])
        return [
            user(asked),
            _call("search", {"query": query} | ({"about": about} if about else {})),
            {"role": "tool", "name": "search", "content": result},
            assistant(answer(fact, language) if found else self._not_found(fact, language)),
        ]

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
        return self._look_up(fact, language, page, self._question(fact, language))

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

    def _calculator(self, language: str) -> list[dict]:
        expression, value = draw_large(self.rng, self.split)
        asked = self.rng.choice(EXPRESSIONS["direct"][language][self.split]).format(problem=expression)
        asked = josa(asked) if language == "ko" else asked
        call = _call("calculator", {"expression": expression})
        result = {"role": "tool", "name": "calculator", "content": Calculator()(expression)}
        reply = self.rng.choice(THAT_IS[language]).format(value=value)
        return [user(asked), call, result, assistant(reply)]

    def _known(self, language: str) -> list[dict]:
        fact = self.known[language].draw()
        return [user(self._question(fact, language)), assistant(answer(fact, language))]

    def _untouched(self, language: str) -> list[dict]:
        """Anything else that a conversation may be about, in either language: no tool is needed for it."""
        if self.others and self.rng.random() < 0.8:
            return self.rng.choice(self.others)
        while True:
            row = self.plain.write()
            if row["kind"] != "facts":
                return row["messages"]


def _call(name: str, arguments: dict) -> dict:
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}
