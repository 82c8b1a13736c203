from collections import Counter, defaultdict

import pytest

from aji.world.facts import (
    COMMON_RELATIONS,
    COUNTRY_RELATIONS,
    ITEM_RELATIONS,
    LANGUAGES,
    Text,
    common_facts,
    read_table,
)


FACTS = common_facts()
# A continent or a class of animals is shared by many subjects; these name one thing each.
ONE_TO_ONE = (
    "capital",
    "landmark",
    "planet_order",
    "animal_young",
    "author",
    "inventor",
    "element_symbol",
    "opposite",
)


def by_relation():
    groups = defaultdict(list)
    for fact in FACTS:
        groups[fact.relation].append(fact)
    return groups


def answer_of(relation, subject):
    return next(fact.answer for fact in FACTS if fact.relation == relation and fact.subject.en == subject)


def test_sizes_and_order():
    counts = Counter(fact.relation for fact in FACTS)
    assert tuple(counts) == COMMON_RELATIONS
    assert {counts[relation] for relation in COUNTRY_RELATIONS} == {66}
    assert sum(counts[relation] for relation in ITEM_RELATIONS) >= 150
    assert common_facts() == FACTS
    assert {fact.group for fact in FACTS} == {"common"}


def test_known_truths():
    assert answer_of("event_year", "the creation of Hangul") == Text("1443", "1443")
    assert answer_of("event_year", "the first moon landing") == Text("1969", "1969")
    assert answer_of("capital", "South Korea") == Text("Seoul", "서울")
    assert answer_of("capital", "Australia") == Text("Canberra", "캔버라")
    assert answer_of("landmark", "France") == Text("the Eiffel Tower", "에펠탑")
    assert answer_of("continent", "Egypt") == Text("Africa", "아프리카")
    assert answer_of("animal_class", "whale") == Text("mammal", "포유류")


def test_planets_are_in_order():
    order = [fact.subject.en for fact in FACTS if fact.relation == "planet_order"]
    assert order == ["Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"]


def test_years_are_years_in_both_languages():
    for fact in by_relation()["event_year"]:
        assert fact.answer.en == fact.answer.ko
        assert 900 < int(fact.answer.en) < 2025


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_short_clean_and_in_their_script(language):
    for fact in FACTS:
        for text in (fact.subject[language], fact.answer[language]):
            assert text == " ".join(text.split()) != ""
            hangul = any("가" <= character <= "힣" for character in text)
            neutral = fact.relation in ("element_symbol", "event_year")
            assert hangul == (language == "ko") or (neutral and text == fact.answer[language])
        assert len(fact.answer[language].split()) <= 4


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_subject_has_one_answer_per_relation(language):
    for relation, facts in by_relation().items():
        subjects = [fact.subject[language] for fact in facts]
        assert len(set(subjects)) == len(subjects), relation


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_that_name_one_thing_are_unique(language):
    groups = by_relation()
    for relation in ONE_TO_ONE:
        answers = [fact.answer[language] for fact in groups[relation]]
        assert len(set(answers)) == len(answers), relation


def test_an_answer_has_one_translation():
    for relation, facts in by_relation().items():
        for language, other in (("en", "ko"), ("ko", "en")):
            pairs = {(fact.answer[language], fact.answer[other]) for fact in facts}
            assert len({pair[0] for pair in pairs}) == len(pairs), relation


def test_no_answer_can_be_found_inside_another_or_in_its_own_question():
    for relation, facts in by_relation().items():
        for language in LANGUAGES:
            answers = {fact.answer[language].lower() for fact in facts}
            inside = [(a, b) for a in answers for b in answers if a != b and a in b]
            assert inside == [], relation
            for fact in facts:
                assert fact.answer[language].lower() not in fact.subject[language].lower(), fact


def test_text_knows_two_languages():
    assert Text("a", "가")["ko"] == "가"
    with pytest.raises(KeyError):
        Text("a", "가")["fr"]


def test_tables_have_no_ragged_rows():
    for name in ("countries", *ITEM_RELATIONS):
        for row in read_table(name):
            assert None not in row and None not in row.values(), (name, row)
