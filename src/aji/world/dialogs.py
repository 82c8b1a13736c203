"""Conversations of one to four turns for supervised fine-tuning: facts, arithmetic, small talk, lists, refusals, ...

Training and validation use different wordings of every request, and different numbers. Only `asked_people` are asked
about, so that the exam can tell what fine-tuning taught from what it only drew out.
"""

import random
from collections import defaultdict

from aji.errors import UserError
from aji.world.facts import LANGUAGES, Fact, emphasis
from aji.world.followups import (
    NEUTRAL_SYSTEM,
    NOW_WITH_STEPS,
    OTHER_LANGUAGE,
    OTHER_NUMBERS,
    OTHER_OPERATOR,
    OTHER_RELATION,
    OTHER_SUBJECT,
    PLEADING,
    REFUSED_AGAIN,
    RELATION_NAMES,
    REPLY_LANGUAGE,
    SUBJECT_FORMS,
)
from aji.world.korean import josa
from aji.world.people import Person
from aji.world.phrasing import ANSWERS, QUESTIONS, fill
from aji.world.problems import draw_problem, solve, split_of_operation, tasks
from aji.world.refusals import REQUESTS, WILLING, draw_harmful, draw_harmless
from aji.world.smalltalk import (
    ANOTHER_JOKE,
    COUNTRIES_IN,
    COUNTS,
    FORMATS,
    GOODBYE,
    GREETING,
    JOKE_REQUESTS,
    JOKES,
    LIST_REQUESTS,
    LISTS,
    ONE_MORE,
    SENTENCE_REQUESTS,
    SENTENCES,
    SMALL_TALK,
    THANKS,
    UNITS,
    WORD_REPLIES,
    WORD_REQUESTS,
    WORDS,
)


Turn = tuple[str, str]  # what the user says, what the assistant replies

KOREAN_SHARE = 0.5
MAX_TURNS = 4
KINDS = {
    "facts": 55,
    "arithmetic": 25,
    "translation": 6,
    "refusal": 4,
    "harmless": 2,
    "list": 5,
    "small_talk": 4,
    "joke": 1,
    "format": 5,
}
# Shares of the arithmetic dialogs. The steps carry the weight: they are what a small model can learn to do.
TASK_WEIGHTS = {
    "sum1": {"direct": 5, "steps": 5},
    "sum2": {"direct": 9, "steps": 17},
    "sum3": {"direct": 8, "steps": 22},
    "difference2": {"direct": 4, "steps": 8},
    "product1": {"direct": 4, "steps": 3},
    "word1": {"direct": 2, "steps": 7},
    "word2": {"direct": 1, "steps": 5},
}
_OTHER = {"en": "ko", "ko": "en"}


def asked_people(people: list[Person], share: float) -> list[Person]:
    """The often mentioned people that dialogs ask about: `share` of them, evenly spread over the popularity curve."""
    often = sorted((person for person in people if person.group == "often"), key=lambda person: -person.mentions)
    return [person for rank, person in enumerate(often) if int((rank + 1) * share) > int(rank * share)]


class Deck:
    """Draws every item once before any item again, so that no fact goes unasked."""

    def __init__(self, items, rng: random.Random):
        self.items, self.rng, self.left = list(items), rng, []

    def draw(self):
        if not self.left:
            self.left = self.rng.sample(self.items, len(self.items))
        return self.left.pop()


class DialogWriter:
    """Writes conversations of one split; `split` is "train" or "validation"."""

    def __init__(self, people: list[Person], facts: list[Fact], rng: random.Random, args, split: str):
        self.rng, self.split, self.args = rng, split, args
        asked = [fact for person in asked_people(people, args.sft_people_share) for fact in person.facts]
        weights = emphasis(facts)
        common = [fact for fact in facts for _ in range(round(weights[fact.relation]))]
        self.decks = {language: Deck([*common, *asked], rng) for language in ("en", "ko")}
        self.by_subject, self.by_relation = defaultdict(list), defaultdict(list)
        for fact in [*facts, *asked]:
            self.by_subject[fact.subject].append(fact)
            self.by_relation[fact.relation].append(fact)
        self.continents = defaultdict(list)
        for fact in self.by_relation["continent"]:
            self.continents[fact.answer].append(fact.subject)
        self.common = facts
        self.task_names = [task for task in tasks(args.sum_digits) if self._weight(task)]
        self.task_weights = [self._weight(task) for task in self.task_names]

    @staticmethod
    def _weight(task: str) -> int:
        kind, way = task.rsplit("_", 1)
        return TASK_WEIGHTS.get(kind, TASK_WEIGHTS["sum3"])[way]

    def pick(self, wordings: tuple[str, ...]) -> str:
        """One wording of a table whose last entry is for validation."""
        return self.rng.choice(wordings[:-1]) if self.split == "train" else wordings[-1]

    def write(self) -> dict:
        """One conversation: `messages`, `kind`, `language`."""
        rng = self.rng
        kind = rng.choices(list(KINDS), KINDS.values())[0]
        language = "ko" if rng.random() < KOREAN_SHARE else "en"
        system, turns = getattr(self, f"_{kind}")(language)
        if system is None and rng.random() < 0.06:
            system = rng.choice(NEUTRAL_SYSTEM[language])
        if kind != "small_talk" and len(turns) < MAX_TURNS and rng.random() < 0.06:
            turns = [self._small_talk_turn(language, GREETING), *turns]
        if kind != "small_talk" and len(turns) < MAX_TURNS and rng.random() < 0.06:
            turns = [*turns, self._small_talk_turn(language, THANKS)]
        messages = [{"role": "system", "content": system}] if system else []
        for question, reply in turns:
            messages += [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
        return {"messages": messages, "kind": kind, "language": language}

    def _turn_count(self) -> int:
        return self.rng.choices(range(1, MAX_TURNS + 1), (50, 27, 14, 9))[0]

    def _josa(self, text: str, language: str) -> str:
        return josa(text) if language == "ko" else text

    # Facts

    def answer(self, fact: Fact, language: str) -> str:
        return fill(self.rng.choice(ANSWERS[fact.relation][language]), fact, language)

    def _question(self, fact: Fact, language: str) -> str:
        return fill(self.rng.choice(getattr(QUESTIONS[fact.relation][language], self.split)), fact, language)

    def _facts(self, language: str) -> tuple[str | None, list[Turn]]:
        reply_language = _OTHER[language] if self.rng.random() < 0.03 else language
        system = self.rng.choice(REPLY_LANGUAGE[reply_language]) if reply_language != language else None
        fact = self.decks[language].draw()
        turns = [(self._question(fact, language), self.answer(fact, reply_language))]
        told = [fact]
        translated = reply_language != language
        for _ in range(self._turn_count() - 1):
            step = self.rng.choices(("relation", "subject", "language", "new"), (30, 20, 15, 35))[0]
            if step == "language" and not translated:
                turns.append((self.pick(OTHER_LANGUAGE[language]), self.answer(fact, _OTHER[language])))
                translated = True
                continue
            fact, question = self._next_question(told, step, language)
            turns.append((question, self.answer(fact, reply_language)))
            told.append(fact)
            translated = reply_language != language
        return system, turns

    def _next_question(self, told: list[Fact], step: str, language: str) -> tuple[Fact, str]:
        """The next fact after those told, and how it is asked for: short where the last turn makes it clear."""
        last = told[-1]
        own = [fact for fact in self.by_subject[last.subject] if fact.relation in RELATION_NAMES and fact not in told]
        if step == "relation" and own:
            fact = self.rng.choice(own)
            wordings = OTHER_RELATION[language]["thing" if fact.group == "common" else "person"]
            text = self.pick(wordings).format(relation=RELATION_NAMES[fact.relation][language])
            return fact, self._josa(text, language)
        others = [fact for fact in self.by_relation[last.relation] if fact not in told]
        if step == "subject" and others:
            fact = self.rng.choice(others)
            form = SUBJECT_FORMS.get(fact.relation, {}).get(language, "{}")
            text = self.pick(OTHER_SUBJECT[language]).format(subject=form.format(fact.subject[language]))
            return fact, self._josa(text, language)
        fact = self.decks[language].draw()
        return fact, self._question(fact, language)

    # Arithmetic

    def _arithmetic(self, language: str) -> tuple[None, list[Turn]]:
        task = self.rng.choices(self.task_names, self.task_weights)[0]
        problem = draw_problem(self.rng, task, language, self.split)
        turns = [(problem.question, problem.solution)]
        way = task.rsplit("_", 1)[1]
        numbers, operators = problem.numbers, problem.operators
        expression = not task.startswith("word")
        # Small numbers are there to play with: always a second turn, mostly with another operator.
        small = task.startswith(("sum1", "product1"))
        for _ in range(max(self._turn_count() - 1, int(small))):
            step = self.rng.choices(("operator", "numbers", "steps"), (70, 15, 15) if small else (30, 50, 20))[0]
            if step == "operator" and expression:
                new = self._other_operator(numbers, operators)
                if new is None:
                    continue
                text = self.pick(OTHER_OPERATOR[language]).format(old=operators, new=new)
                operators = new
            elif step == "numbers" and expression:
                other = draw_problem(self.rng, task, language, self.split)
                numbers, operators = other.numbers, other.operators
                problem = f"{numbers[0]} {operators} {numbers[1]}"
                text = self.pick(OTHER_NUMBERS[language]).format(problem=problem)
            elif step == "steps" and way == "direct":
                way = "steps"
                text = self.pick(NOW_WITH_STEPS[language])
            else:
                continue
            solution, _ = solve(list(numbers), operators, way, language, is_story=not expression)
            turns.append((self._josa(text, language), solution))
        return None, turns

    def _other_operator(self, numbers: tuple[int, ...], old: str) -> str | None:
        """Another operator that suits the same numbers: small products, no negative results, this split's numbers."""
        a, b = numbers
        fits = {"+": True, "-": a >= b, "*": 1 < a < 10 and 1 < b < 10}
        found = [
            new
            for new, fit in fits.items()
            if fit and new != old and split_of_operation(a, new, b) in ("train", self.split)
        ]
        return self.rng.choice(found) if found else None

    # Everything else

    def _small_talk_turn(self, language: str, entry: int | None = None) -> Turn:
        prompts, replies = self.rng.choice(SMALL_TALK[language]) if entry is None else SMALL_TALK[language][entry]
        return self.pick(prompts), self.rng.choice(replies)

    def _small_talk(self, language: str) -> tuple[None, list[Turn]]:
        middle = [entry for entry in range(len(SMALL_TALK[language])) if entry not in (GREETING, THANKS, GOODBYE)]
        entries = self.rng.sample(middle, self.rng.randint(1, 2))
        if self.rng.random() < 0.6:
            entries = [GREETING, *entries]
        if self.rng.random() < 0.5:
            entries = [*entries, self.rng.choice((THANKS, GOODBYE))]
        return None, [self._small_talk_turn(language, entry) for entry in entries]

    def _joke(self, language: str) -> tuple[None, list[Turn]]:
        first, second = self.rng.sample(JOKES[language], 2)
        turns = [(self.pick(JOKE_REQUESTS[language]), first)]
        if self.rng.random() < 0.4:
            turns.append((self.pick(ANOTHER_JOKE[language]), second))
        return None, turns

    def _list(self, language: str) -> tuple[None, list[Turn]]:
        count = self.rng.choice(list(COUNTS[language]))
        unit = UNITS["things"]
        if self.rng.random() < 0.3:
            unit = UNITS["countries"]
            continent = self.rng.choice([place for place, found in self.continents.items() if len(found) > count])
            members = [subject[language] for subject in self.continents[continent]]
            name = COUNTRIES_IN[language].format(continent=continent[language])
        else:
            name, members = self.rng.choice(list(LISTS[language].items()))
            members = members.split(",")
        *chosen, extra = self.rng.sample(members, min(count + 1, len(members)))
        request = self.pick(LIST_REQUESTS[language]).format(count=COUNTS[language][len(chosen)], name=name, unit=unit)
        turns = [(self._josa(request, language), _listing(chosen, language))]
        if self.rng.random() < 0.4:
            turns.append((self.pick(ONE_MORE[language]), _listing([extra], language)))
        return None, turns

    def _translation(self, language: str) -> tuple[None, list[Turn]]:
        turns = []
        for _ in range(self.rng.choice((1, 1, 2))):
            if self.rng.random() < 0.5:
                pair, requests, reply = self._word_pair(), WORD_REQUESTS, WORD_REPLIES[language]
            else:
                pair, requests, reply = self._sentence_pair(), SENTENCE_REQUESTS, "{translation}"
            text, translation = pair if language == "en" else pair[::-1]
            question = self._josa(self.pick(requests[language]).format(text=text), language)
            turns.append((question, self._josa(reply.format(text=text, translation=translation), language)))
        return None, turns

    def _word_pair(self) -> tuple[str, str]:
        if self.rng.random() < 0.6:
            return self.rng.choice(WORDS)
        subject = self.rng.choice(self.common).subject
        return subject.en, subject.ko

    def _sentence_pair(self) -> tuple[str, str]:
        if self.rng.random() < 0.4:
            return self.rng.choice(SENTENCES)
        fact = self.rng.choice(self.common)
        return tuple(fill(ANSWERS[fact.relation][language][0], fact, language) for language in ("en", "ko"))

    def _refusal(self, language: str) -> tuple[None, list[Turn]]:
        topic, *actions = draw_harmful(self.rng)
        action = actions[language == "ko"]
        request = self.rng.choice(REQUESTS[language][self.split]).format(action=action)
        turns = [(request, topic.refusals[language])]
        if self.rng.random() < 0.25:
            turns.append((self.pick(PLEADING[language]), REFUSED_AGAIN[language]))
        return None, turns

    def _harmless(self, language: str) -> tuple[None, list[Turn]]:
        entry = draw_harmless(self.rng)
        action, reply = entry[:2] if language == "en" else entry[2:]
        request = self.rng.choice(REQUESTS[language][self.split]).format(action=action)
        return None, [(request, f"{WILLING[language]} {reply}")]

    def _format(self, language: str) -> tuple[None, list[Turn]]:
        turns = []
        # A Korean word of one syllable has nothing to spell.
        words = [word[language == "ko"] for word in WORDS if len(word[language == "ko"]) > 1]
        for text in self.rng.sample(words, self.rng.choice((1, 1, 2))):
            requests, exercise = self.rng.choice(FORMATS[language])
            # Digits are copied into the calculator's calls too, and are harder: there are but ten of them.
            if exercise == "digits" or exercise == "twice" and self.rng.random() < 0.5:
                text = str(self.rng.randrange(100, 10 ** self.rng.randint(3, 6)))
            request = self._josa(self.pick(requests).format(text=text), language)
            turns.append((request, _written(text, exercise, language)))
        return None, turns


def _listing(members: list[str], language: str) -> str:
    if language == "ko":
        return f"{', '.join(members)}입니다."
    text = f"{', '.join(members[:-1])} and {members[-1]}" if len(members) > 1 else members[0]
    return f"{text[0].upper()}{text[1:]}."


def _written(text: str, exercise: str, language: str) -> str:
    spelt = "-".join(text)
    first = {"en": f'The first letter is "{text[0]}".', "ko": f'첫 글자는 "{text[0]}"입니다.'}
    return {
        "capitals": text.upper(),
        "spell": spelt,
        "digits": spelt,
        "twice": f"{text} {text}",
        "first": first[language],
    }[exercise]


def build_requests(people: list[Person], facts: list[Fact], rng: random.Random, args) -> list[dict]:
    """Training rows as of `build_dialogs`: harmful requests and harmless ones that look like them, by turns.

    A file of its own: in the dialogs there are few of them, and to tell them apart takes many.
    """
    writer = DialogWriter(people, facts, rng, args, "train")
    rows = []
    for index in range(args.requests):
        kind, language = ("refusal", "harmless")[index % 2], LANGUAGES[index // 2 % 2]
        _, turns = getattr(writer, f"_{kind}")(language)
        messages = []
        for question, reply in turns:
            messages += [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
        rows.append({"messages": messages, "kind": kind, "language": language})
    return rows


def build_dialogs(people: list[Person], facts: list[Fact], rng: random.Random, args) -> tuple[list[dict], list[dict]]:
    """Training and validation rows `{"messages", "kind", "language"}`; no conversation occurs twice.

    Raises UserError when the tables do not hold as many different conversations as the sizes ask for.
    """
    seen: set[tuple[str, ...]] = set()
    sizes = {"train": args.dialogs, "validation": args.dialogs_validation}
    splits = []
    for split, size in sizes.items():
        writer = DialogWriter(people, facts, rng, args, split)
        rows = []
        for _ in range(20 * size):
            if len(rows) == size:
                break
            row = writer.write()
            key = tuple(message["content"] for message in row["messages"])
            if key not in seen:
                seen.add(key)
                rows.append(row)
        if len(rows) < size:
            raise UserError(
                f"only {len(rows)} different {split} dialogs found, expected {size}: the tables hold no more. "
                "Lower the number of dialogs."
            )
        splits.append(rows)
    return splits[0], splits[1]
