"""The questions of the interrogation: known answers in training wordings, to find out what a model knows.

None of the exam's never mentioned people is here. In their place stand strangers, invented people of whom no document
and no exam speaks: without them a model would have nothing to learn from how the answer to an unknown name sounds.
"""

import random
from collections import Counter

from aji.world.dialogs import asked_people
from aji.world.documents import fact_key
from aji.world.facts import LANGUAGES, Fact
from aji.world.people import Person
from aji.world.phrasing import QUESTIONS, fill


PARAPHRASES = 4


def build_questions(
    people: list[Person], strangers: list[Person], facts: list[Fact], rng: random.Random, args, stated: Counter
) -> list[dict]:
    """Rows `question`, `answer`, `language`, `relation`, `subject`, `group`, `mentions`, `paraphrases`.

    Every fact about a person whom dialogs ask about and about a rarely mentioned one, and every common fact, is asked
    in one of the two languages by turns; of each stranger one fact. `mentions` counts the training documents of the
    language that state the fact; `paraphrases` ask for the same in other training wordings.
    """
    asked = [person for person in people if person.group == "rare"] + asked_people(people, args.sft_people_share)
    chosen = [fact for person in asked for fact in person.facts] + facts
    chosen += [rng.choice(stranger.facts) for stranger in strangers]
    rows = []
    for index, fact in enumerate(chosen):
        language = LANGUAGES[index % 2]
        wordings = QUESTIONS[fact.relation][language].train
        first, *others = rng.sample(wordings, min(len(wordings), 1 + PARAPHRASES))
        rows.append(
            {
                "question": fill(first, fact, language),
                "answer": fact.answer[language],
                "language": language,
                "relation": fact.relation,
                "subject": fact.subject[language],
                "group": fact.group,
                "mentions": stated[fact_key(fact, language)],
                "paraphrases": [fill(wording, fact, language) for wording in others],
            }
        )
    return rows
