import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from aji.errors import UserError
from aji.evals.answers import is_right
from aji.evals.identity import build_questions
from aji.identity import (
    FACTS,
    LANGUAGES,
    OTHERS,
    TOPICS,
    Identity,
    build_dialogs,
    draw_identity,
    fill,
    load_identity,
    system_prompt,
    wordings,
)


FILE = Path(__file__).parents[1] / "configs/laptop/identity.yaml"


@pytest.fixture(scope="module")
def identity() -> Identity:
    return load_identity(FILE)


def contents(row, role):
    return [message["content"] for message in row["messages"] if message["role"] == role]


def test_every_topic_has_wordings_of_every_kind_and_none_twice():
    for language in LANGUAGES:
        seen = []
        for topic in TOPICS:
            train, validation, test = (wordings(language, topic, kind) for kind in ("train", "validation", "test"))
            assert len(train) >= 10 and len(validation) == 2 and len(test) == 3
            assert len(wordings(language, topic, "reply")) >= 2
            seen += [*train, *validation, *test]
        assert len(set(seen)) == len(seen)


def test_about_fifty_questions_in_both_languages_and_none_is_asked_in_training(identity):
    asked = [row for row in build_questions(identity) if row["task"] == "identity"]
    assert len(asked) == 54 and sum(row["language"] == "ko" for row in asked) == 27
    questions = {row["prompt"][-1]["content"] for row in asked}
    trained = {text for row in build_dialogs(identity, random.Random(1), 200) for text in contents(row, "user")}
    assert not questions & trained
    assert not any(name in text for pair in OTHERS["test"] for name in pair for text in trained)


def test_what_is_taught_is_right_by_the_rules_of_the_test(identity):
    for row in build_questions(identity):
        if row["task"] == "identity":
            replies = wordings(row["language"], row["topic"], "reply")
            said = [text.format(**identity.values(row["language"]), other="X") for text in replies]
            assert all(is_right(text, row["answer"], []) for text in said), row


def test_the_system_prompt_holds_every_fact(identity):
    for language in LANGUAGES:
        assert all(value in system_prompt(identity, language) for value in identity.values(language).values())
        for wording in wordings(language, "", "system"):
            assert all(value in fill(wording, identity, language) for value in identity.values(language).values())


def test_beside_a_short_system_prompt_only_what_it_says_is_asked(identity):
    """Else the model would learn to make up the rest."""
    short = 0
    for row in build_dialogs(identity, random.Random(3), 60):
        prompt = "".join(contents(row, "system"))
        if prompt and not any(word in prompt.lower() for word in ("licence", "라이선스")):
            short += 1
            (name,) = re.findall(r"[^\W\d_]+-\dm?", prompt)
            assert all(name in reply for reply in contents(row, "assistant")), row
    assert short > 50


def test_another_identity_in_the_system_prompt_wins_only_if_the_file_says_so(identity):
    stubborn = replace(identity, system_prompt_wins=False)
    for one, wins in ((identity, True), (stubborn, False)):
        rows = [row for row in build_dialogs(one, random.Random(2), 60) if contents(row, "system")]
        others = [row for row in rows if identity.name[row["language"]] not in contents(row, "system")[0]]
        said = [(row["language"], text) for row in others for text in contents(row, "assistant")]
        assert len(others) > 200 and any(identity.name[language] in text for language, text in said) is not wins
        asked = [row for row in build_questions(one) if row["task"] == "identity_other" and row["topic"] == "name"]
        assert {row["answer"] == identity.name[row["language"]] for row in asked} == {not wins}


def test_an_identity_drawn_at_random_is_complete_and_another_each_time():
    drawn = [draw_identity(random.Random(seed)) for seed in range(20)]
    assert len({one.name["en"] for one in drawn}) > 15
    assert all(one.values(language)[fact] for one in drawn for language in LANGUAGES for fact in FACTS)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("name: {en: aji}", "name: found {'en': 'aji'}, expected a text in each language"),
        ("name: {en: aji, ko: ''}", "expected a text in each language"),
        ("nmae: {en: aji, ko: 아지}", "did you mean name?"),
        ("name: aji", "name: found 'aji'"),
    ],
)
def test_a_wrong_file_is_told(tmp_path, line, message):
    lines = FILE.read_text(encoding="utf-8").splitlines()
    path = tmp_path / "identity.yaml"
    path.write_text("\n".join(line if text.startswith("name:") else text for text in lines), encoding="utf-8")
    with pytest.raises(UserError) as error:
        load_identity(path)
    assert message in str(error.value)
