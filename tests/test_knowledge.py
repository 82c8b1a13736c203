import json
import random

import pytest

from aji.boundary import BoundaryArguments, boundary_metrics, build_rows, build_search_rows, is_known
from aji.chat_model import Journal
from aji.errors import UserError
from aji.evals.judge import MatchJudge
from aji.generate import Completion
from aji.knowledge import (
    ABSTAINED,
    Asked,
    SamplingArguments,
    interrogate,
    judge_replies,
    load_questions,
    map_metrics,
    map_row,
)
from aji.question_writer import paragraphs, write_questions
from aji.world.abstentions import is_abstention


ARGS = BoundaryArguments(pair_share=0)
TOWN = {"question": "Where was Mira born?", "answer": "Seoul", "wrong": ["Busan", "Daegu"], "language": "en"}


def asked(row, *replies):
    completions = [Completion([], text, True) for text in replies]
    return judge_replies([row], [completions], MatchJudge())[0]


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_a_model_that_knows_says_the_same_in_other_words():
    one = asked(TOWN, "Mira was born in Seoul.", "The birthplace of Mira is Seoul.", "In Seoul.", "In Busan.")
    assert (one.right, one.consistency, one.values[one.modal]) == (0.75, 0.75, "seoul")
    assert is_known(one, ARGS) is True


def test_a_model_that_does_not_know_says_something_else_each_time():
    one = asked(TOWN, "In Busan.", "Busan!", "In Daegu.", "I do not know.")
    assert (one.right, one.consistency, one.values[-1]) == (0.0, 0.5, ABSTAINED)
    assert is_known(one, ARGS) is False


def test_in_between_nothing_is_taught_and_without_a_verdict_neither():
    between = asked(TOWN, "In Seoul.", "In Seoul.", "In Busan.", "In Daegu.")
    unjudged = Asked(TOWN, ["x"] * 2, [None, None], 2, ["x"] * 2)
    assert is_known(between, ARGS) is None and is_known(unjudged, ARGS) is None and unjudged.right is None
    assert build_rows([between, unjudged], ARGS, random.Random(1)) == []


def test_numbers_agree_by_their_value():
    year = {"question": "When?", "answer": "1443", "language": "en"}
    assert asked(year, "In 1443.", "It was 1,443.", "1444", "no idea").values == ["1443", "1443", "1444", ABSTAINED]


def test_what_it_knows_is_kept_in_its_own_words():
    one = asked(TOWN, "Mira was born in Seoul.", "Mira was born in Seoul.", "In Seoul.", "In Busan.")
    for seed in range(8):
        (row,) = build_rows([one], ARGS, random.Random(seed))
        question, reply = row["messages"]
        assert question == {"role": "user", "content": TOWN["question"]} and row["kind"] == "known"
        assert reply["content"] in ("Mira was born in Seoul.", "In Seoul.")


def test_what_it_does_not_know_it_is_taught_to_say_about_the_whole_subject_in_both_languages():
    english = asked({**TOWN, "subject": "Mira"}, "In Busan.")
    korean = asked(
        {"question": "미라는 어디에서 태어났나요?", "answer": "서울", "language": "ko", "subject": "미라"}, "부산"
    )
    said = {
        row["messages"][1]["content"]
        for seed in range(40)
        for row in build_rows([english, korean], ARGS, random.Random(seed))
    }
    assert len(said) > 8 and all(is_abstention(text) for text in said)
    assert all("Mira" in text or "미라" in text or text.startswith("I do not know") for text in said)


def test_about_a_subject_of_which_it_knows_something_only_the_question_is_refused():
    known = asked({**TOWN, "subject": "Mira"}, "In Seoul.")
    unknown = asked({**TOWN, "subject": "Mira", "question": "What does Mira do?", "answer": "baker"}, "In Busan.")
    for seed in range(20):
        rows = build_rows([known, unknown], ARGS, random.Random(seed))
        refusal = next(row["messages"][1]["content"] for row in rows if row["kind"] == "unknown")
        assert is_abstention(refusal) and "Mira" not in refusal


def test_rows_use_the_paraphrases_and_some_make_conversations_of_two():
    row = {**TOWN, "paraphrases": ["In which town was Mira born?", "Mira's birthplace?"]}
    args = BoundaryArguments(known_rows=3, unknown_rows=3, pair_share=1)
    rows = build_rows([asked(row, "In Busan."), asked(row, "In Seoul.")], args, random.Random(3))
    questions = [message["content"] for one in rows for message in one["messages"] if message["role"] == "user"]
    assert sorted(questions) == sorted(2 * [TOWN["question"], *row["paraphrases"]])
    assert [len(one["messages"]) for one in rows] == [4, 4, 4]
    assert {one["kind"] for one in rows} <= {"known", "unknown", "both"}


def test_with_a_search_it_looks_up_what_it_does_not_know_and_only_that():
    pages = {"Mira": "Mira is from Seoul.", "Toren": "Toren is from Busan."}

    def search(query, about=""):
        assert about.endswith("born?")
        return pages[query]

    unknown = asked({**TOWN, "subject": "Mira"}, "In Busan.")
    missing = asked({**TOWN, "subject": "Toren", "question": "Where was Toren born?", "answer": "Daegu"}, "In Seoul.")
    known = asked({**TOWN, "question": "Which town?"}, "In Seoul.")
    rows = build_search_rows([unknown, missing, known], ARGS, search, random.Random(1))
    assert [row["kind"] for row in rows] == ["search", "search", "known"]
    assert all("search" in row["tools"] for row in rows)
    call, result, answer = rows[0]["messages"][1:]
    looked_up = {"query": "Mira", "about": TOWN["question"]}
    assert call["tool_calls"][0]["function"] == {"name": "search", "arguments": json.dumps(looked_up)}
    assert result == {"role": "tool", "content": pages["Mira"]} and answer["content"] == "The answer is Seoul."
    assert is_abstention(rows[1]["messages"][-1]["content"]), "the page does not hold the answer"
    assert [message["role"] for message in rows[2]["messages"]] == ["user", "assistant"]


def test_the_map_and_its_figures():
    rows = [
        asked({**TOWN, "group": "often", "mentions": 9}, "In Seoul.", "In Seoul."),
        asked({**TOWN, "group": "never", "mentions": 0}, "In Busan.", "In Daegu."),
    ]
    metrics = map_metrics(rows)
    assert boundary_metrics(rows, ARGS) == {"known": 1, "unknown": 1, "undecided": 0} and metrics["questions"] == 2
    assert (metrics["right"], metrics["right_n"], metrics["right_often"], metrics["right_never"]) == (50, 4, 100, 0)
    assert (metrics["consistency"], metrics["calibration_100"], metrics["calibration_50"]) == (0.75, 100, 0)
    row = map_row(rows[1], False)
    assert row["known"] is False and row["mentions"] == 0 and row["said"] == "busan" and row["modal_right"] is False
    assert row["replies"] == ["In Busan.", "In Daegu."]


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"known_share": 0.2}, "known_share 0.2"), ({"known_rows": -1}, "known_rows")],
)
def test_impossible_boundaries_are_told(settings, message):
    with pytest.raises(UserError, match=message):
        BoundaryArguments(**settings)


# Question files


def test_questions_of_any_file_with_question_and_answer(tmp_path):
    path = tmp_path / "questions.csv"
    path.write_text("Question,Answer\nWhere is Seoul?,Korea\n서울은 어디에 있나요?,한국\n", encoding="utf-8")
    rows = load_questions(str(path))
    assert [(row["answer"], row["language"]) for row in rows] == [("Korea", "en"), ("한국", "ko")]
    assert "wrong" not in rows[0] and len(load_questions(str(path), max_questions=1)) == 1


def test_answers_to_the_same_relation_are_wrong_beside_the_right_one(tmp_path):
    rows = [{"question": f"{a}?", "answer": a, "relation": "town"} for a in ("Seoul", "Busan", "North Seoul")]
    loaded = load_questions(write(tmp_path / "q.jsonl", rows))
    assert loaded[0]["wrong"] == ["Busan", "North Seoul"]
    assert loaded[2]["wrong"] == ["Busan"], "a right reply names Seoul too"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "Where?"}, "row 2: found no answer but the columns question, expected question and answer"),
        ({"question": "Where?", "answer": " "}, "row 2: found no answer"),
        ({"text": "Seoul is a town."}, "row 2: found no question but the columns text"),
    ],
)
def test_a_question_file_without_answers_is_told(tmp_path, row, message):
    path = write(tmp_path / "q.jsonl", [{"question": "What?", "answer": "that"}, row])
    with pytest.raises(UserError) as error:
        load_questions(path)
    assert message in str(error.value)


def test_no_questions_at_all_are_told(tmp_path):
    with pytest.raises(UserError, match="Give --questions"):
        load_questions(None)
    with pytest.raises(UserError, match="is not there"):
        load_questions(str(tmp_path / "none.jsonl"))


# Asking


def test_a_model_that_never_stops_is_cut_and_counted(tiny_model, tiny_tokenizer, tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    args = SamplingArguments(samples=3, max_new_tokens=4)
    replies = interrogate(tiny_model, tiny_tokenizer, [TOWN, TOWN], args, 1, journal)
    assert [len(own) for own in replies] == [3, 3]
    metrics = map_metrics(judge_replies([TOWN, TOWN], replies, MatchJudge()))
    assert metrics["stopped"] < 100 and metrics["stopped_n"] == 6


def test_an_interrogation_that_was_broken_off_goes_on(tiny_model, tiny_tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("aji.knowledge.CHUNK", 2)
    rows = [{**TOWN, "question": f"Where is {name}?"} for name in "abcde"]
    args = SamplingArguments(samples=2, max_new_tokens=3)
    whole = interrogate(tiny_model, tiny_tokenizer, rows, args, 1, Journal(tmp_path / "whole.jsonl"))
    lines = (tmp_path / "whole.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    assert len(lines) == 3
    (tmp_path / "half.jsonl").write_text(lines[0] + lines[1][:20], encoding="utf-8")
    half = Journal(tmp_path / "half.jsonl")
    assert len(half.answers) == 1
    resumed = interrogate(tiny_model, tiny_tokenizer, rows, args, 1, half)
    assert [[one.text for one in own] for own in resumed] == [[one.text for one in own] for own in whole]


# The question writer


class Scripted:
    def __init__(self, *replies):
        self.replies, self.asked = list(replies), []

    def reply(self, conversations, max_new_tokens):
        self.asked += [conversation[0]["content"] for conversation in conversations]
        return self.replies


def test_questions_are_written_from_paragraphs_of_both_languages(caplog):
    texts = ["Mira was born in Seoul.", "미라는 서울에서 태어났다.", "Nothing."]
    written = "Question: Where was Mira born?\nAnswer: Seoul"
    model = Scripted(written, "질문: 미라의 고향은?\n답: 서울\n끝", "I cannot.")
    rows = write_questions(model, texts)
    assert [(row["question"], row["answer"], row["language"]) for row in rows] == [
        ("Where was Mira born?", "Seoul", "en"),
        ("미라의 고향은?", "서울", "ko"),
    ]
    assert rows[0]["paragraph"] == texts[0] and "다음 글을 읽으세요" in model.asked[1]
    assert "left out 1 of 3 paragraphs" in caplog.text


def test_a_writer_that_writes_no_question_is_told():
    with pytest.raises(UserError, match="wrote no question in the form that was asked for, but 'hm'"):
        write_questions(Scripted("hm"), ["A paragraph."])


def test_paragraphs_are_of_a_length_to_ask_about_and_evenly_spread():
    text = "short\n\n" + "\n\n".join(f"{number} " + "word " * 30 for number in range(10))
    chosen = paragraphs([text, text], most=5)
    assert [piece.split()[0] for piece in chosen] == ["0", "2", "4", "6", "8"]
    with pytest.raises(UserError, match="found no paragraph"):
        paragraphs(["short"], most=5)
