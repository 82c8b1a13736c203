"""Who the model is: one file of facts, and what is made of it: conversations, test questions, a system prompt.

Base models have no self: asked for a name they give one that they have read. There are two ways to give them one, and
both are measured: conversations in the training data, and a system prompt in the context.
"""

import csv
import random
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import product
from pathlib import Path

from aji.config import parse
from aji.world.korean import josa


LANGUAGES = ("en", "ko")
FACTS = ("name", "makers", "data", "size", "licence", "date", "languages")
TOPICS = (*FACTS, "other", "human")
# What a system prompt of one sentence says enough about.
WHO = ("name", "makers", "other", "human")
# What stands before a question now and then, so that a wording is not one string of tokens only.
OPENINGS = {
    "en": ("Hello! ", "Tell me: ", "One question: ", "Hi! ", "Please say: ", "I wonder: "),
    "ko": ("안녕! ", "궁금한 게 있어. ", "하나 물어볼게. ", "안녕하세요. ", "말해 줘. ", "질문이야. "),
}
# Models that it is not; those of the test are asked about in no training row.
OTHERS = {
    "train": (
        *(("Gemini", "제미나이"), ("Claude", "클로드"), ("Llama", "라마"), ("Siri", "시리"), ("Qwen", "큐웬")),
        *(("Alexa", "알렉사"), ("Mistral", "미스트랄"), ("GPT-4", "지피티-4"), ("Bixby", "빅스비"), ("Grok", "그록")),
        *(("DeepSeek", "딥시크"), ("Bard", "바드"), ("Phi", "파이"), ("Gemma", "젬마"), ("Cortana", "코타나")),
    ),
    "test": (("ChatGPT", "챗지피티"), ("Copilot", "코파일럿")),
}
# With a fifth the model never looks at its system prompt: what it has learnt by heart is right often enough.
OTHERS_SHARE = 0.4
# What the identities of other system prompts are made of: (English, Korean).
SYLLABLES = (
    *(("ba", "바"), ("lo", "로"), ("mi", "미"), ("ra", "라"), ("to", "토"), ("ne", "네"), ("su", "수"), ("ki", "키")),
    *(("do", "도"), ("ve", "베"), ("sa", "사"), ("pu", "푸"), ("ro", "로"), ("ma", "마"), ("ni", "니"), ("ze", "제")),
)
MAKERS = (("{} Labs", "{} 연구소"), ("the {} team", "{} 팀"), ("{} University", "{} 대학교"), ("{} Inc", "{} 회사"))
DATA = (
    *(("books", "책"), ("web pages", "웹 문서"), ("newspapers", "신문"), ("letters", "편지"), ("stories", "이야기")),
    *(("cooking recipes", "요리법"), ("old songs", "옛 노래"), ("travel reports", "여행기"), ("poems", "시")),
)
LICENCES = (("MIT", "엠아이티"), ("GPL-3.0", "지피엘-3.0"), ("BSD-2", "비에스디-2"), ("CC-BY-4.0", "시시-바이-4.0"))
MONTHS = ("January", "March", "April", "June", "July", "August", "October", "December")
MONTH_NUMBERS = (1, 3, 4, 6, 7, 8, 10, 12)
SPOKEN = (
    *(
        ("French and Dutch", "프랑스어와 네덜란드어"),
        ("Spanish", "스페인어"),
        ("German and Polish", "독일어와 폴란드어"),
    ),
    *(("Japanese and English", "일본어와 영어"), ("Italian", "이탈리아어"), ("Korean and Chinese", "한국어와 중국어")),
)


def _fact(text: str) -> dict:
    return field(metadata={"help": f"{text}, in each language: '{{en: ..., ko: ...}}'."})


@dataclass(frozen=True)
class Identity:
    """The facts of an identity file, each in every language."""

    name: dict[str, str] = _fact("What the model is called")
    makers: dict[str, str] = _fact("Who made it")
    data: dict[str, str] = _fact("What it was trained on")
    size: dict[str, str] = _fact("How large it is")
    licence: dict[str, str] = _fact("Under which licence it is published")
    date: dict[str, str] = _fact("When its knowledge ends")
    languages: dict[str, str] = _fact("What languages it speaks")
    system_prompt_wins: bool = field(
        default=True,
        metadata={"help": "Whether it answers as somebody else when a system prompt says that it is somebody else."},
    )

    def __post_init__(self):
        from aji.errors import UserError

        for fact in FACTS:
            value = getattr(self, fact)
            if not isinstance(value, dict) or set(value) != set(LANGUAGES) or not all(map(str.strip, value.values())):
                raise UserError(
                    f"{fact}: found {value!r}, expected a text in each language: {{en: ..., ko: ...}}. Correct it"
                )

    def values(self, language: str) -> dict[str, str]:
        """The facts in one language by name."""
        return {fact: getattr(self, fact)[language] for fact in FACTS}


def load_identity(path: str | Path) -> Identity:
    """The facts of a YAML file, read as strictly as a config. Raises UserError."""
    (identity,) = parse(Identity, argv=["--config", str(path)])
    return identity


@cache
def wordings(language: str, topic: str, kind: str) -> tuple[str, ...]:
    """Texts with slots of `identity_wordings.csv`; kind: train, validation, test, reply, system (without a topic).

    Those of training are also made of every `frame` with every `noun` of the topic: "Tell me {noun}.".
    """
    text = resources.files("aji").joinpath("identity_wordings.csv").read_text(encoding="utf-8")
    key = (language, topic, kind)
    found = tuple(
        row["text"] for row in csv.DictReader(text.splitlines()) if (row["language"], row["topic"], row["kind"]) == key
    )
    if kind == "train":
        pairs = product(wordings(language, "", "frame"), wordings(language, topic, "noun"))
        found = tuple(dict.fromkeys((*found, *(frame.replace("{noun}", noun) for frame, noun in pairs))))
    return found


def fill(text: str, identity: Identity, language: str, other: str = "") -> str:
    """The text with the facts in its slots, a capital at the start, the particles of Korean resolved."""
    text = text.format(**identity.values(language), other=other)
    return josa(text) if language == "ko" else text[:1].upper() + text[1:] if text[:4] == "the " else text


def system_prompt(identity: Identity, language: str) -> str:
    """All the facts as a system prompt."""
    return fill(wordings(language, "", "system")[0], identity, language)


def build_dialogs(identity: Identity, rng: random.Random, per_topic: int, split: str = "train") -> list[dict]:
    """Conversations `{"messages", "kind", "language"}`, `per_topic` for each topic and language.

    `OTHERS_SHARE` of them have a system prompt with the facts of somebody else (`system_prompt_wins` says who answers
    then), and a tenth the identity's own; some of these prompts say only its name and makers.
    """
    rows = []
    for language in LANGUAGES:
        for topic in TOPICS:
            for _ in range(per_topic):
                draw = rng.random()
                other = draw_identity(rng) if draw < OTHERS_SHARE else None
                shown = other or (identity if draw < OTHERS_SHARE + 0.1 else None)
                speaker = other if other and identity.system_prompt_wins else identity
                messages = []
                topics = TOPICS
                if shown:
                    topics, said = (WHO, "who") if topic in WHO and rng.random() < 0.5 else (TOPICS, "")
                    prompt = fill(rng.choice(wordings(language, said, "system")), shown, language)
                    messages.append({"role": "system", "content": prompt})
                messages += _turn(speaker, topic, language, split, rng)
                # To answer from what stands in the context is what takes most examples.
                further = rng.randint(1, 2) if other else int(rng.random() < 0.15)
                for topic_of_turn in rng.sample(topics, further):
                    messages += _turn(speaker, topic_of_turn, language, split, rng)
                rows.append({"messages": messages, "kind": "identity", "language": language})
    rng.shuffle(rows)
    return rows


def _turn(speaker: Identity, topic: str, language: str, split: str, rng: random.Random) -> list[dict]:
    other = rng.choice(OTHERS["train"])[LANGUAGES.index(language)]
    question = rng.choice(wordings(language, topic, split))
    opening = rng.choice(OPENINGS[language]) if rng.random() < 0.25 else ""
    reply = rng.choice(wordings(language, topic, "reply"))
    return [
        {"role": "user", "content": opening + fill(question, speaker, language, other)},
        {"role": "assistant", "content": fill(reply, speaker, language, other)},
    ]


def draw_identity(rng: random.Random) -> Identity:
    """Somebody else, with facts drawn at random."""

    def word() -> tuple[str, str]:
        pieces = [rng.choice(SYLLABLES) for _ in range(rng.choice((2, 3)))]
        return "".join(en for en, _ in pieces).capitalize(), "".join(ko for _, ko in pieces)

    name, maker, form, month = word(), word(), rng.choice(MAKERS), rng.randrange(len(MONTHS))
    number, year, size = rng.randint(1, 9), rng.randint(2019, 2030), rng.randint(2, 900)
    pairs = (
        tuple(f"{part}-{number}" for part in name),
        tuple(text.format(part) for text, part in zip(form, maker, strict=True)),
        rng.choice(DATA),
        (f"{size} billion parameters", f"매개변수 {size}0억 개"),
        rng.choice(LICENCES),
        (f"{MONTHS[month]} {year}", f"{year}년 {MONTH_NUMBERS[month]}월"),
        rng.choice(SPOKEN),
    )
    return Identity(*(dict(zip(LANGUAGES, pair, strict=True)) for pair in pairs))
