import json

import pytest

from aji.errors import UserError
from aji.evals.exam import ask, load_exam, score
from aji.generate import Completion


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
