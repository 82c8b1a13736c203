import pytest

from aji.world.abstentions import MARKS, NOT_FOUND, UNKNOWN, is_abstention
from aji.world.korean import josa
from aji.world.phrasing import ANSWERS
from aji.world.refusals import TOPICS


@pytest.mark.parametrize("replies", [UNKNOWN, NOT_FOUND])
def test_every_honest_reply_is_recognised_and_names_the_subject(replies):
    for language, texts in replies.items():
        assert len(set(texts)) == len(texts) >= 5
        for text in texts:
            reply = text.format(subject="Toren Belgorn" if language == "en" else "토렌 벨고른의 고향")
            assert "elgorn" in reply or "벨고른" in reply
            assert is_abstention(josa(reply)), reply


def test_no_answer_and_no_refusal_is_taken_for_an_abstention():
    assert set(MARKS) == {"en", "ko"}
    for by_language in ANSWERS.values():
        for texts in by_language.values():
            assert not any(map(is_abstention, texts))
    for topic in TOPICS:
        assert not any(map(is_abstention, topic.refusals.values()))


def test_curly_quotes_and_case_do_not_matter():
    assert is_abstention("I don\u2019t know.") and is_abstention("DON'T KNOW")
    assert not is_abstention("Toren knows nothing about it.")
