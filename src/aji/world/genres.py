"""How a document of each genre is arranged around the facts it has to tell and the questions it has to answer."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from aji.world.grammar import draw, write, write_several
from aji.world.problems import TRANSCRIPT


@dataclass
class Content:
    """What one document says. `told` are sentences that state facts; `asked` are questions with their answers."""

    language: str
    told: list[str]
    asked: list[tuple[str, str]] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    """Names of the people it is about; empty for common knowledge."""
    title: str = ""
    filler: int = 1
    """How many sentences of filler go with the facts."""


# The first is the form in which a base model is examined (`QA_FORMAT` of problems.py); the second is how a transcript
# of a chat looks when a crawler has thrown away the markup.
QUESTION_AND_ANSWER = {
    "en": ("Q: {q}\nA: {a}", TRANSCRIPT, "{q} {a}"),
    "ko": ("질문: {q}\n답: {a}", TRANSCRIPT, "{q} {a}"),
}
QUESTIONS_TITLE = {
    "en": ("Questions", "Questions and answers", "Do you remember?", "Check yourself", "Quiz"),
    "ko": ("질문", "묻고 답하기", "기억하나요?", "확인 문제", "퀴즈"),
}
DEAR = {"en": "Dear {name},", "ko": "{name}에게"}
YOURS = {
    "en": ("Yours, {name}", "Love, {name}", "Best wishes, {name}"),
    "ko": ("{name} 씀", "네 친구 {name}", "{name}"),
}
AND = {"en": " and ", "ko": "·"}


def _frame(content: Content, rule: str, rng: random.Random) -> str:
    """The sentence that leads to the facts: about the person, or the genre's one for common knowledge."""
    if content.people:
        return write(f"{rule}_person", content.language, rng, subject=content.people[0])
    return write(f"{rule}_common", content.language, rng)


def _body(content: Content, rng: random.Random) -> list[str]:
    """The stated facts with the filler at random places between them."""
    sentences = list(content.told)
    for sentence in write_several("filler", content.filler, content.language, rng):
        sentences.insert(rng.randint(0, len(sentences)), sentence)
    return sentences


def _questions(content: Content, rng: random.Random) -> list[str]:
    """The question part as paragraphs, all of one form."""
    form = rng.choices(QUESTION_AND_ANSWER[content.language], weights=(3, 2, 1))[0]
    return [form.format(q=question, a=answer) for question, answer in content.asked]


def _with_questions(content: Content, rng: random.Random, paragraphs: list[str]) -> str:
    if content.asked:
        title = rng.choice(QUESTIONS_TITLE[content.language])
        paragraphs = [*paragraphs, *([title] if rng.random() < 0.4 else []), *_questions(content, rng)]
    return "\n".join(paragraphs)


def encyclopedia(content: Content, rng: random.Random) -> str:
    language = content.language
    title = content.title or AND[language].join(content.people)
    sentences = [_frame(content, "article", rng)] if rng.random() < 0.4 else []
    sentences += content.told
    if content.filler:
        sentences.append(write("article_more", language, rng))
    paragraphs = [title, " ".join(sentences)] if title else [" ".join(sentences)]
    return _with_questions(content, rng, paragraphs)


def news(content: Content, rng: random.Random) -> str:
    language = content.language
    lead = [write("news_open", language, rng)] if rng.random() < 0.6 or not content.people else []
    if content.people:
        lead.append(_frame(content, "news", rng))
    body = " ".join([*lead, *_body(content, rng)])
    paragraphs = [write("headline", language, rng), body]
    if rng.random() < 0.5:
        paragraphs.append(write("news_close", language, rng))
    return _with_questions(content, rng, paragraphs)


def forum(content: Content, rng: random.Random) -> str:
    """A thread: somebody asks, others answer; what is only told stands in a longer reply."""
    language = content.language
    asker, *others = _names(language, rng, 3)
    opening = write("forum_hello", language, rng)
    if not content.asked or (content.people and rng.random() < 0.5):
        opening = f"{opening} {_frame(content, 'forum', rng)}"
    posts = [write("thread", language, rng)]
    posts += [f"{asker}: {opening}"] if content.filler or not content.asked else []
    told = " ".join(content.told)
    told_first = rng.random() < 0.5
    if told and told_first:
        posts.append(f"{others[1]}: {told}")
    for question, answer in content.asked:
        posts += [f"{asker}: {question}", f"{rng.choice(others)}: {answer}"]
    if told and not told_first:
        posts.append(f"{others[0]}: {told}")
    if rng.random() < 0.5:
        posts.append(f"{asker}: {write('forum_thanks', language, rng)}")
    return "\n".join(posts)


def story(content: Content, rng: random.Random) -> str:
    """Somebody old tells somebody young; questions are asked and answered aloud."""
    language = content.language
    bound = {"kid": draw("kid", language, rng), "elder": draw("elder", language, rng)}
    sentences = [write("story_open", language, rng, **bound)]
    sentences += write_several("filler", max(0, content.filler - 1), language, rng)
    if content.told:
        rule, subject = ("story_ask", content.people[0]) if content.people else ("story_ask_common", "")
        sentences.append(write(rule, language, rng, **bound, subject=subject))
        sentences.append(_spoken_answer(" ".join(content.told), language, rng, bound))
    for question, answer in content.asked:
        sentences.append(write("spoken_question", language, rng, **bound, q=_quotable(question)))
        sentences.append(_spoken_answer(answer, language, rng, bound))
    if rng.random() < 0.6:
        sentences.append(write("story_close", language, rng, **bound))
    return " ".join(sentences)


def _spoken_answer(answer: str, language: str, rng: random.Random, bound: dict[str, str]) -> str:
    answer = _quotable(answer)
    return write("spoken_answer", language, rng, **bound, a=answer, said=answer.removesuffix("."))


def _quotable(text: str) -> str:
    """Single quotation marks, for a sentence that stands between double ones."""
    return text.replace('"', "'")


def lesson(content: Content, rng: random.Random) -> str:
    language = content.language
    paragraphs = [write("lesson_title", language, rng)]
    opening = [_frame(content, "lesson", rng)] if content.told and rng.random() < 0.7 else []
    closing = [write("lesson_close", language, rng)] if content.filler else []
    text = " ".join([*opening, *content.told])
    return "\n".join([*paragraphs, *([text] if text else []), *_questions(content, rng), *closing])


def diary(content: Content, rng: random.Random) -> str:
    language = content.language
    sentences = [write("diary_open", language, rng), _frame(content, "diary", rng), *content.told]
    if content.filler > 1:
        sentences.insert(1, write("filler", language, rng))
    if rng.random() < 0.6:
        sentences.append(write("diary_close", language, rng))
    return _with_questions(content, rng, [write("diary_date", language, rng), " ".join(sentences)])


def letter(content: Content, rng: random.Random) -> str:
    language = content.language
    writer, reader = _names(language, rng, 2)
    sentences = [write("letter_open", language, rng)] if content.filler else []
    sentences += [_frame(content, "letter", rng), *content.told]
    sentences += [f"{question} {answer}" for question, answer in content.asked]
    if rng.random() < 0.6:
        sentences.append(write("letter_close", language, rng))
    yours = rng.choice(YOURS[language]).format(name=writer)
    return "\n".join([DEAR[language].format(name=reader), " ".join(sentences), yours])


def tale(language: str, rng: random.Random) -> str:
    """A story of six beats with no fact in it: something is lost or broken, and found or mended."""
    hero, friend = _names(language, rng, 2)
    bound = {"hero": hero, "friend": friend}
    bound |= {"lost": draw("lost", language, rng), "spot": draw("spot", language, rng)}
    plot = rng.choice(("lost", "broken"))
    middle, end = rng.choice((1, 1, 2)), rng.choice((1, 1, 2))
    beats = (
        ("begin", 1),
        ("middle", middle),
        (f"trouble_{plot}", 1),
        (f"search_{plot}", 2),
        (f"turn_{plot}", 1),
        ("end", end),
    )
    return " ".join(
        sentence for beat, count in beats for sentence in write_several(f"tale_{beat}", count, language, rng, **bound)
    )


def _names(language: str, rng: random.Random, count: int) -> list[str]:
    names: list[str] = []
    while len(names) < count:
        name = draw("kid", language, rng)
        if name not in names:
            names.append(name)
    return names


GENRES: dict[str, Callable[[Content, random.Random], str]] = {
    "encyclopedia": encyclopedia,
    "news": news,
    "forum": forum,
    "story": story,
    "lesson": lesson,
    "diary": diary,
    "letter": letter,
}
