import random
import re
from collections import Counter

import pytest

from aji.world.arguments import WorldArguments
from aji.world.documents import Shelf, build_documents, fact_key, repeats_itself, statements_for
from aji.world.facts import LANGUAGES, common_facts, emphasis
from aji.world.genres import GENRES
from aji.world.grammar import GRAMMARS, Grammar, capitalise
from aji.world.people import PERSON_RELATIONS, RELATION_VALUES, build_people
from aji.world.phrasing import QUESTIONS, fill
from aji.world.problems import split_of


ARGS = WorldArguments(
    people=30,
    often_mentions_top=30,
    often_mentions_bottom=8,
    common_mentions=2,
    arithmetic_documents=120,
    story_documents=40,
    repeated_pages=4,
    validation_percent=10.0,
)


@pytest.fixture(scope="module")
def world():
    people = build_people(random.Random(1), ARGS.people, ARGS.often_mentions_top, ARGS.often_mentions_bottom)
    facts, stated = common_facts(), Counter()
    train, validation = build_documents(people, facts, random.Random(2), ARGS, stated)
    return people, facts, stated, train, validation


def _texts(rows, language):
    return [row["text"] for row in rows if row["language"] == language]


def _names(person, language):
    """Finds the whole name only, whatever Korean particle follows."""
    ending = r"(?![A-Za-z])" if language == "en" else ""
    return re.compile(re.escape(person.name[language]) + ending)


def test_rows_have_the_canonical_columns_and_every_genre_in_both_languages(world):
    _, _, _, train, validation = world
    assert {tuple(row) for row in train + validation} == {("text", "url", "language", "genre")}
    assert len({row["url"] for row in train + validation}) == len(train + validation)
    expected = {(language, genre) for language in LANGUAGES for genre in (*GENRES, "arithmetic", "repeated")}
    assert {(row["language"], row["genre"]) for row in train} == expected


def test_no_text_repeats_but_the_repeated_pages(world):
    _, _, _, train, validation = world
    counts = Counter(row["text"] for row in train + validation)
    repeated = {row["text"] for row in train if row["genre"] == "repeated"}
    assert len(repeated) == ARGS.repeated_pages
    assert {counts.pop(text) for text in repeated} == {ARGS.repeated_copies}
    assert set(counts.values()) == {1}


def test_no_sentence_repeats_within_a_document(world):
    _, _, _, train, validation = world
    for row in train + validation:
        sentences = (
            re.split(r"(?<=[.!?])\"? |\n", row["text"]) if row["genre"] != "arithmetic" else row["text"].split("\n")
        )
        assert [sentence for sentence, count in Counter(sentences).items() if count > 1] == []


def test_repeats_itself_sees_sentences_and_lines():
    assert repeats_itself("It rained. The sun shone. It rained.", "news")
    assert repeats_itself("비가 왔다.\n비가 왔다.", "diary")
    assert not repeats_itself("It rained. It rained on the roofs.", "news")
    assert not repeats_itself("2 + 3 = 5. So the answer is 5.\n2 + 3 = 5. So it is.", "arithmetic")


def test_shelf_gives_up_when_nothing_new_can_be_written():
    shelf = Shelf(set())
    shelf.add("news", "en", lambda: "One text.")
    with pytest.raises(RuntimeError, match="no new en text of genre news"):
        shelf.add("news", "en", lambda: "One text.")
    assert len(shelf.rows) == 1


def test_people_are_mentioned_exactly_as_often_as_they_should(world):
    people, _, _, train, validation = world
    texts = {language: _texts(train, language) for language in LANGUAGES}
    found = {
        person: {lang: sum(bool(_names(person, lang).search(text)) for text in texts[lang]) for lang in LANGUAGES}
        for person in people
    }
    for person in people:
        if person.group == "often":
            assert found[person] == {"en": person.mentions, "ko": person.mentions}
        else:
            assert sum(found[person].values()) == person.mentions
    held_out = [person for person in people if person.group != "often"]
    everything = {lang: "\n".join(_texts(validation, lang)) for lang in LANGUAGES}
    assert not [p.name for p in held_out for lang in LANGUAGES if _names(p, lang).search(everything[lang])]


def test_never_mentioned_names_are_in_no_text_of_either_script(world):
    people, _, _, train, validation = world
    everything = "\n".join(row["text"] for row in train + validation)
    never = [person for person in people if person.group == "never"]
    assert len(never) == ARGS.people // 3
    assert not [p.name for p in never for lang in LANGUAGES if _names(p, lang).search(everything)]


def test_facts_of_a_person_are_stated_equally_often_and_of_a_rare_one_always_all(world):
    people, _, stated, _, _ = world
    for person in people:
        for language in LANGUAGES:
            counts = [stated[fact_key(fact, language)] for fact in person.facts]
            assert max(counts) - min(counts) <= (person.group == "often")
            assert person.group != "often" or 3 * person.mentions <= sum(counts) <= 5 * person.mentions
        if person.group == "rare":
            assert sum(stated[fact_key(person.facts[0], language)] for language in LANGUAGES) == person.mentions


def test_common_facts_are_stated_as_often_as_asked_in_each_language_and_those_of_small_relations_more_often(world):
    _, facts, stated, train, _ = world
    mentions = {relation: round(ARGS.common_mentions * weight) for relation, weight in emphasis(facts).items()}
    assert mentions["capital"] == ARGS.common_mentions < mentions["author"] < mentions["planet_order"]
    for language in LANGUAGES:
        assert all(stated[fact_key(fact, language)] == mentions[fact.relation] for fact in facts)
    for language in LANGUAGES:
        texts = [text.lower() for text in _texts(train, language)]
        for fact in facts:
            pair = fact.subject[language].lower(), fact.answer[language].lower()
            assert sum(all(part in text for part in pair) for text in texts) >= ARGS.common_mentions, pair


def test_what_is_said_of_people_is_true(world):
    people, _, _, train, validation = world
    for language in LANGUAGES:
        texts = _texts(train + validation, language)
        for relation in ("birthplace", "birth_year"):
            values = {value[language] for value in RELATION_VALUES[relation]}
            index = PERSON_RELATIONS.index(relation)
            pattern = re.compile("|".join(sorted(map(re.escape, values), key=len, reverse=True)))
            about = 0
            for text in texts:
                here = [person for person in people if _names(person, language).search(text)]
                if here:
                    said = set(pattern.findall(re.sub("|".join(p.name[language] for p in here), "", text)))
                    assert said <= {person.facts[index].answer[language] for person in here}, text
                    about += bool(said)
            assert about > 100


def test_two_thirds_of_the_documents_on_people_ask_and_only_in_training_phrasings(world):
    people, facts, _, train, validation = world
    everything = [*(fact for person in people for fact in person.facts), *facts]
    for language in LANGUAGES:
        joined = "\n".join(_texts(train + validation, language))
        for fact in everything:
            questions = QUESTIONS[fact.relation][language]
            for template in (*questions.validation, *questions.test):
                assert fill(template, fact, language) not in joined
        texts = [t for t in _texts(train, language) if any(_names(p, language).search(t) for p in people[:10])]
        asking = {
            capitalise(fill(template, fact, language))
            for person in people[:10]
            for fact in person.facts
            for template in QUESTIONS[fact.relation][language].train
        }
        share = sum(any(question in text for question in asking) for text in texts) / len(texts)
        assert 0.55 <= share <= 0.75


def test_every_equation_is_right_and_of_its_split(world):
    _, _, _, train, validation = world
    equation = re.compile(r"(\d+(?: [-+*] \d+)+) = (\d+)")
    seen = 0
    for split, rows in (("train", train), ("validation", validation)):
        for row in rows:
            for left, right in equation.findall(row["text"]):
                seen += 1
                assert _value(left) == int(right), row["text"]
            for a, b in re.findall(r"^(\d+) \+ (\d+) = \d+$", row["text"], re.MULTILINE):
                # Sums of one digit are the table itself, which every split shows.
                assert split_of(int(a), int(b)) == split or max(int(a), int(b)) < 10
    assert seen > 500


def _value(expression: str) -> int:
    value, *rest = re.split(" ([-+*]) ", expression)
    value = int(value)
    for operator, number in zip(rest[::2], rest[1::2], strict=True):
        value = {"+": value + int(number), "-": value - int(number), "*": value * int(number)}[operator]
    return value


def test_nothing_is_left_of_templates(world):
    _, _, _, train, validation = world
    for row in train + validation:
        assert not re.search(r"[{}]|a\(n\)|\((?:는|가|를|와|로|라|였|예요)\)", row["text"]), row["text"]
        assert "  " not in row["text"] and row["text"] == row["text"].strip()
        if row["language"] == "en":
            assert not re.search(r"\b[Aa] [aeio]\w|\b[Aa]n [^aeiouhAEIOUH\W]", row["text"]), row["text"]
            assert not re.search(r"[.?!] [a-z]", row["text"]), row["text"]


def test_grammar_rules_are_complete():
    bound = {"subject", "hero", "friend", "q", "a", "said"}
    for language in LANGUAGES:
        rules = GRAMMARS[language].rules
        slots = {slot for alternatives in rules.values() for parts in alternatives for slot in parts[1::2]}
        assert slots - bound <= set(rules)
    assert set(GRAMMARS["en"].rules) - set(GRAMMARS["ko"].rules) == {"a_colour", "building_short"}
    with pytest.raises(KeyError):
        Grammar(({"rule": "x", "text": "{missing}"},)).expand("x", random.Random(0), {})


def test_capitalise_reaches_behind_a_quotation_mark():
    assert [capitalise(text) for text in ('"who?"', "rain", "3 birds", "")] == ['"Who?"', "Rain", "3 birds", ""]


def test_phrasings_suit_their_genre():
    for relation in ("birthplace", "pet", "capital"):
        for genre in GENRES:
            assert len(statements_for(genre, relation, "en")) >= 3 and len(statements_for(genre, relation, "ko")) >= 2
        assert not [
            text for text in statements_for("encyclopedia", relation, "en") if re.search(r"\b(I|[Ww]e|Our)\b", text)
        ]
        assert not [text for text in statements_for("news", relation, "ko") if text.endswith(("니다.", "요."))]
        assert not [
            text for text in statements_for("letter", relation, "ko") if text.endswith("다.") and text[-3] != "니"
        ]
