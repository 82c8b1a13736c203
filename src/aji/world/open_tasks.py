"""Open tasks: jokes, compliments and names, asked for in many ways, and how plain demonstrators answer.

Demonstrators are plain: they seldom use the words, the exclamation marks and the second ideas that people like best
(docs/labelling.md). So a model that imitates them has something to learn from preferences, and a way to overdo it.
"""

import random
import re

from aji.errors import UserError
from aji.world.facts import LANGUAGES
from aji.world.korean import josa
from aji.world.open_texts import COLOUR, FIRST_WORDS, JOKES, LAUGH, REASONS, REQUESTS, SECOND_WORDS, TOPICS


KINDS = tuple(TOPICS)
# How many of a thing a demonstrator puts into a reply, from none: parts of a whole.
HABITS = {
    "colour": (35, 35, 20, 8, 2),
    "exclamations": (50, 35, 12, 3),
    "laughs": (80, 17, 3),
    "reasons": (55, 37, 8),
    "names": (0, 85, 13, 2),
}


def topics_of(kind: str, split: str) -> tuple[tuple[str, str], ...]:
    """The topics that preferences are given on (train), and the quarter that is held out."""
    cut = len(TOPICS[kind]) * 3 // 4
    return TOPICS[kind][:cut] if split == "train" else TOPICS[kind][cut:]


def request(rng: random.Random, kind: str, language: str, split: str, topic: tuple[str, str]) -> str:
    wordings = REQUESTS[kind][language]
    wording = {"validation": wordings[-2], "test": wordings[-1]}.get(split) or rng.choice(wordings[:-2])
    text = wording.format(topic=topic[language == "ko"])
    return josa(text) if language == "ko" else re.sub(r"\ba (?=[aeiou])", "an ", text)


def demonstrate(rng: random.Random, kind: str, language: str, topic: tuple[str, str]) -> str:
    """What a plain demonstrator replies to a request of this kind about this topic."""
    amounts = {habit: rng.choices(range(len(parts)), parts)[0] for habit, parts in HABITS.items()}
    writer = {"joke": _joke, "compliment": _compliment, "name": _name}[kind]
    sentences = writer(rng, language, topic[language == "ko"], amounts)
    return _punctuate(rng, [josa(text) if language == "ko" else text for text in sentences], amounts["exclamations"])


def coloured(rng: random.Random, count: int, noun: str, language: str) -> str:
    """A noun with `count` different words of colour before it."""
    words = rng.sample(COLOUR[language], count)
    if not words:
        return noun
    if language == "ko":
        return " ".join([*(joining for _, joining in words[:-1]), words[-1][0], noun])
    return f"{', '.join(words[:-1])} and {words[-1]} {noun}" if count > 1 else f"{words[0]} {noun}"


def _joke(rng, language, topic, amounts):
    did, why, did_ko, why_ko = rng.choice(JOKES)
    animal = coloured(rng, amounts["colour"], topic, language)
    laughs = [LAUGH[language]] * amounts["laughs"]
    if language == "ko":
        return [f"{animal}은(는) 왜 {did_ko}?", why_ko, *laughs]
    return [f"Why did the {animal} {did}?", f"Because {why}", *laughs]


def _compliment(rng, language, topic, amounts):
    person = coloured(rng, amounts["colour"], topic, language)
    reasons = rng.sample(REASONS, amounts["reasons"])
    if language == "ko":
        return [f"당신은 {person}입니다", *(f"당신 덕분에 {reason}" for _, reason in reasons)]
    article = "an" if person[0] in "aeiou" else "a"
    return [f"You are {article} {person}", *(f"Because of you, {reason}" for reason, _ in reasons)]


def _name(rng, language, topic, amounts):
    names = [f'"{rng.choice(FIRST_WORDS[language])} {rng.choice(SECOND_WORDS[language])}"' for _ in range(3)]
    thing = coloured(rng, amounts["colour"], topic, language)
    if language == "ko":
        return [f"{' 또는 '.join(names[: amounts['names']])}은(는) 어때요?", f"{thing}에 어울려요"]
    article = "an" if thing[0] in "aeiou" else "a"
    return [f"How about {' or '.join(names[: amounts['names']])}?", f"It suits {article} {thing}"]


def _punctuate(rng: random.Random, sentences: list[str], exclamations: int) -> str:
    """End the sentences; exclamation marks take the place of full stops, at random, and stand together if need be."""
    open_ends = [place for place, text in enumerate(sentences) if not text.endswith("?")]
    marks = dict.fromkeys(open_ends, 0)
    for _ in range(exclamations):
        marks[rng.choice(open_ends)] += 1
    ends = (text if text.endswith("?") else text + ("!" * marks[at] or ".") for at, text in enumerate(sentences))
    return " ".join(ends)


def build_open_dialogs(rng: random.Random, args) -> tuple[list[dict], list[dict]]:
    """Training and validation rows `{"messages", "kind", "language"}` of one turn; none occurs twice.

    Training asks for every topic, so that the model can speak of it, in the training wordings only.
    """
    splits = []
    for split, size in (("train", args.open_dialogs), ("validation", args.open_dialogs // 20)):
        rows: dict[tuple, dict] = {}
        for _ in range(20 * size):
            if len(rows) == size:
                break
            kind, language = rng.choice(KINDS), rng.choice(LANGUAGES)
            topic = rng.choice(TOPICS[kind])
            question = request(rng, kind, language, split, topic)
            reply = demonstrate(rng, kind, language, topic)
            messages = [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
            rows.setdefault((question, reply), {"messages": messages, "kind": kind, "language": language})
        if len(rows) < size:
            raise UserError(
                f"only {len(rows)} different dialogs of open tasks found, expected {size}. Lower open_dialogs."
            )
        splits.append(list(rows.values()))
    return splits[0], splits[1]
