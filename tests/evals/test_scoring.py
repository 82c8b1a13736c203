import json

import pytest

from aji.errors import UserError
from aji.evals.exam import ask, load_exam, score
from aji.generate import Completion
from aji.tool_loop import Answer
from aji.tools import Calculator


def row(task, language="en", answer="Paris", wrong=(), question="Where?"):
    prompt = [{"role": "user", "content": question}]
    return {
        "task": task,
        "language": language,
        "answer": answer,
        "wrong": list(wrong),
        "prompt": prompt,
        "text": "Q: Where?\nA:",
    }


def test_score_counts_right_made_up_and_stopped():
    rows = [row("people_never"), row("people_never"), row("people_never", "ko", "파리"), row("common")]
    replies = [
        Completion([1], "Rome.", True),
        Completion([1], "I do not know.", True),
        Completion([1], "파리예요.", True),
        Completion([1], "Paris", False),
    ]
    metrics, judged = score(rows, replies, chat=True)
    assert metrics["people_never"] == pytest.approx(33.33)
    assert metrics["people_never_ko"] == 100.0
    assert metrics["people_never_made_up"] == pytest.approx(33.33)
    assert metrics["common_n"] == 1
    assert metrics["stopped"] == 75.0
    assert [entry["abstained"] for entry in judged] == [False, True, False, False]


def test_a_base_model_is_judged_by_its_first_line():
    metrics, judged = score([row("common")], [Completion([1], " Paris.\nQ: and Rome?", False)], chat=False)
    assert judged[0]["reply"] == "Paris."
    assert metrics["common"] == 100.0
    assert "stopped" not in metrics


def test_ask_gives_a_reply_for_each_row(tiny_model, tiny_tokenizer):
    rows = [row("common"), row("common", question="A much longer question about something else?")]
    for chat in (True, False):
        assert len(ask(tiny_model, tiny_tokenizer, rows, chat, max_new_tokens=4)) == 2


def test_load_exam(tmp_path):
    path = tmp_path / "exam.jsonl"
    rows = [{"prompt": "2 + 2?", "answer": 4, "task": "sum", "language": "en"}] * 3
    path.write_text("\n".join(map(json.dumps, rows)))
    loaded = load_exam(str(path), max_questions=2)
    assert len(loaded) == 2
    assert loaded[0]["prompt"] == [{"role": "user", "content": "2 + 2?"}]
    assert loaded[0]["answer"] == "4"
    assert loaded[0]["text"] == "Q: 2 + 2?\nA:"


def test_a_question_without_answer_is_named(tmp_path):
    path = tmp_path / "exam.jsonl"
    path.write_text(json.dumps({"prompt": "x", "task": "t", "language": "en"}))
    with pytest.raises(UserError, match=r"exam.jsonl row 1: found no answer"):
        load_exam(str(path))


def test_what_is_asked_with_tools_is_counted_by_outcome_and_calls():
    rows = [row("search_absent") | {"tools": True} for _ in range(4)]
    call = [{"role": "assistant", "content": "", "tool_calls": []}, {"role": "tool", "content": "Nothing found."}]
    replies = ["I did not find it.", "Rome.", "", "찾지 못했습니다."]
    last = [{"role": "assistant", "content": text} for text in replies]
    answers = [Answer(said["content"], True, call * (2 if said["content"] else 1) + [said]) for said in last]
    metrics, judged = score(rows, answers, chat=True)
    assert metrics["search_absent_abstained"] == 50.0
    assert metrics["search_absent_made_up"] == 50.0, "an empty reply has not admitted anything"
    assert (metrics["search_absent_calls"], metrics["search_absent_calls_n"]) == (1.75, 4)
    assert judged[0]["messages"] == call * 2


def test_ask_gives_tools_to_the_rows_that_are_for_them(tiny_model, tiny_tokenizer, monkeypatch):
    def with_tools(model, tokenizer, conversations, tools, max_new_tokens):
        assert [tool.name for tool in tools] == ["calculator"] and max_new_tokens == 4
        return [Answer(conversation[0]["content"]) for conversation in conversations]

    monkeypatch.setattr("aji.evals.exam.answer_with_tools", with_tools)
    rows = [row("a"), row("b", question="1?") | {"tools": True}, row("c"), row("d", question="2?") | {"tools": True}]
    replies = ask(tiny_model, tiny_tokenizer, rows, True, 4, [Calculator()])
    assert [type(reply) for reply in replies] == [Completion, Answer, Completion, Answer]
    assert [replies[1].text, replies[3].text] == ["1?", "2?"]


def test_questions_for_tools_are_left_out_without_tools(tmp_path):
    path = tmp_path / "exam.jsonl"
    rows = [row("a"), row("b") | {"tools": True}, row("c") | {"tools": None}]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert [row["task"] for row in load_exam(str(path))] == ["a", "c"]
    assert [row["task"] for row in load_exam(str(path), with_tools=True)] == ["a", "b", "c"]


def test_a_question_longer_than_the_context_is_unanswered_and_said(fresh_model, tiny_tokenizer, capsys):
    model = fresh_model()
    long = "word " * (model.config.max_position_embeddings + 1)
    rows = [{"prompt": [{"role": "user", "content": text}]} for text in ("Hello?", long, "Hello?")]
    first, unanswered, last = ask(model, tiny_tokenizer, rows, chat=True, max_new_tokens=3)
    assert first == last and first.ids
    assert (unanswered.ids, unanswered.text, unanswered.stopped) == ([], "", False)
    assert "1 of 3 questions are longer" in capsys.readouterr().out
