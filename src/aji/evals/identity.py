"""Who does the model say it is: by its training, by a system prompt, and when that makes it somebody else?"""

import random
from collections.abc import Iterator

from aji.identity import FACTS, LANGUAGES, OTHERS, TOPICS, Identity, draw_identity, fill, system_prompt, wordings


def build_questions(identity: Identity) -> Iterator[dict]:
    """Exam rows in test wordings: `identity` without a system prompt, `identity_system` with the facts in one,
    `identity_other` with the facts of somebody else.

    "Are you X" and "are you a person" ask nothing new beside a system prompt of somebody else, and are left out there.
    """
    other = draw_identity(random.Random("other"))
    for task, shown in (("identity", None), ("identity_system", identity), ("identity_other", other)):
        speaker = other if task == "identity_other" and identity.system_prompt_wins else identity
        for language in LANGUAGES:
            for topic in FACTS if task == "identity_other" else TOPICS:
                for index, wording in enumerate(wordings(language, topic, "test")):
                    model = OTHERS["test"][index % 2][LANGUAGES.index(language)]
                    question = fill(wording, speaker, language, model)
                    system = [{"role": "system", "content": system_prompt(shown, language)}] if shown else []
                    yield {
                        "prompt": [*system, {"role": "user", "content": question}],
                        "answer": _answer(speaker, topic, language),
                        "task": task,
                        "language": language,
                        "topic": topic,
                    }


def _answer(identity: Identity, topic: str, language: str) -> str:
    """What a right reply must name."""
    if topic == "human":
        return {"en": "language model", "ko": "언어 모델"}[language]
    return identity.values(language)["name" if topic == "other" else topic]
