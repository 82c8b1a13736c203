import random
import re

import pytest

from aji.world.facts import COMMON_RELATIONS, COUNTRY_RELATIONS, LANGUAGES, Fact, Text, common_facts, read_table
from aji.world.people import PERSON_RELATIONS, RELATION_VALUES, build_people
from aji.world.phrasing import ABOUT, ANSWERS, QUESTIONS, RELATIONS, STATEMENTS, fill


CASES = [(relation, language) for relation in RELATIONS for language in LANGUAGES]
SLOT = re.compile(r"\{(\w+)\}")


def all_facts():
    people = build_people(random.Random(3), count=150)
    return [fact for person in people for fact in person.facts] + common_facts()


def normalise(text):
    return " ".join(re.sub(r"[^\w ]", " ", text.lower()).split())


def templates(relation, language):
    questions = QUESTIONS[relation][language]
    return (
        STATEMENTS[relation][language]
        + ANSWERS[relation][language]
        + questions.train
        + questions.validation
        + questions.test
    )


def test_every_relation_has_phrasings_and_every_row_is_used():
    assert set(RELATIONS) == set(PERSON_RELATIONS + COMMON_RELATIONS)
    for language in LANGUAGES:
        used = [text for relation in RELATIONS for text in templates(relation, language)]
        used += [words for relation in PERSON_RELATIONS for words in ABOUT[relation][language]]
        assert len(used) == len(read_table(f"phrasing_{language}"))


@pytest.mark.parametrize(("relation", "language"), CASES)
def test_counts(relation, language):
    questions = QUESTIONS[relation][language]
    assert len(STATEMENTS[relation][language]) >= 8
    assert len(questions.train) >= 7
    assert len(questions.validation) >= 1
    assert len(questions.test) >= 3
    assert len(ANSWERS[relation][language]) in (1, 2)


@pytest.mark.parametrize(("relation", "language"), CASES)
def test_slots(relation, language):
    for text in STATEMENTS[relation][language] + ANSWERS[relation][language]:
        assert sorted(SLOT.findall(text)) == ["answer", "subject"], text
    questions = QUESTIONS[relation][language]
    for text in questions.train + questions.validation + questions.test:
        assert SLOT.findall(text) == ["subject"], text
        assert text[-1] in "?.", text


@pytest.mark.parametrize(("relation", "language"), CASES)
def test_no_wording_is_in_two_splits_or_twice(relation, language):
    questions = QUESTIONS[relation][language]
    wordings = [normalise(text) for text in questions.train + questions.validation + questions.test]
    assert len(set(wordings)) == len(wordings)
    statements = [normalise(text) for text in STATEMENTS[relation][language]]
    assert len(set(statements)) == len(statements)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("relations", [PERSON_RELATIONS, (*COUNTRY_RELATIONS, "currency")])
def test_a_question_asks_for_one_relation(relations, language):
    wordings = [
        normalise(text)
        for relation in relations
        for split in vars(QUESTIONS[relation][language]).values()
        for text in split
    ]
    assert len(set(wordings)) == len(wordings)


def test_english_test_questions_use_only_words_of_training_questions():
    def words(texts):
        return {word for text in texts for word in normalise(SLOT.sub(" ", text)).split()}

    seen = words(text for relation in RELATIONS for text in QUESTIONS[relation]["en"].train)
    for relation in RELATIONS:
        unseen = words(QUESTIONS[relation]["en"].test) - seen
        assert unseen == set(), relation


@pytest.mark.parametrize(("relation", "language"), CASES)
def test_no_answer_is_in_the_frame_of_a_reply(relation, language):
    values = [value[language] for value in RELATION_VALUES.get(relation, ())]
    values += [fact.answer[language] for fact in common_facts() if fact.relation == relation]
    for text in ANSWERS[relation][language]:
        frame = SLOT.sub("#", text).lower()
        assert [value for value in values if value.lower() in frame] == [], text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_filled_text_is_finished(language):
    for fact in all_facts():
        for template in templates(fact.relation, language):
            text = fill(template, fact, language)
            assert not set("{}()#") & set(text), text
            assert fact.subject[language].lower() in text.lower(), text
            assert not re.search(r"  |\.\.|, ,|\b[Aa] [aeiou]|\b[Aa]n [^aeiou]", text), text
            if language == "en":
                assert text.strip("\"'")[0].isupper() or text[0].isdigit(), text
        for template in STATEMENTS[fact.relation][language] + ANSWERS[fact.relation][language]:
            assert fact.answer[language].lower() in fill(template, fact, language).lower()


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_people_share_a_sentence(language):
    people = build_people(random.Random(3), count=150)
    texts = [
        fill(text, fact, language)
        for person in people
        for fact in person.facts
        for text in STATEMENTS[fact.relation][language]
    ]
    assert len(set(texts)) == len(texts)


PET = Fact(Text("Toren Baskil", "토렌 바스킬"), "pet", Text("otter", "수달"), "often")
COUNTRY = Fact(Text("the Netherlands", "네덜란드"), "capital", Text("Amsterdam", "암스테르담"), "common")


def test_fill_english():
    assert fill("{subject} keeps a(n) {answer} as a pet.", PET, "en") == "Toren Baskil keeps an otter as a pet."
    assert fill("A(n) {answer} lives with {subject}.", PET, "en") == "An otter lives with Toren Baskil."
    assert fill("{answer}, of {subject}.", PET, "en") == "Otter, of Toren Baskil."
    assert fill("In {subject}: yes. {subject} has {answer}.", COUNTRY, "en") == (
        "In the Netherlands: yes. The Netherlands has Amsterdam."
    )
    assert fill('Say "{answer}". "{answer}" it is.', PET, "en") == 'Say "otter". "Otter" it is.'


def test_fill_korean():
    assert fill("{subject}은(는) {answer}을(를) 키워요.", PET, "ko") == "토렌 바스킬은 수달을 키워요."
    assert fill("{subject}의 수도는 {answer}이에요(예요).", COUNTRY, "ko") == "네덜란드의 수도는 암스테르담이에요."
    assert fill("{subject}이(가)", COUNTRY, "ko") == "네덜란드가"


def test_fill_leaves_braces_of_values_alone():
    fact = Fact(Text("{answer}", "{answer}"), "pet", Text("otter", "수달"), "common")
    assert fill("{subject} and {answer}", fact, "en") == "{answer} and otter"


def test_fill_refuses_an_unknown_language():
    with pytest.raises(KeyError):
        fill("{subject}", PET, "fr")
