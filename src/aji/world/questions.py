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

    Every fact about a person whom dialogs ask about is asked in both languages; every fact about a rarely mentioned
    one and every common fact in one of the two by turns; of each stranger one fact. `mentions` counts the training
    documents of the language that state the fact; `paraphrases` ask for the same in other training wordings.
    """
    by_turns = [fact for person in people if person.group == "rare" for fact in person.facts] + facts
    by_turns += [rng.choice(stranger.facts) for stranger in strangers]
    asked = [fact for person in asked_people(people, args.sft_people_share) for fact in person.facts]
    chosen = [(fact, language) for fact in asked for language in LANGUAGES]
    chosen += [(fact, LANGUAGES[index % 2]) for index, fact in enumerate(by_turns)]
    rows = []
    for fact, language in chosen:
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
