import pytest

from aji.evals.judge import MatchJudge, ModelJudge, verdict_of


ROW = {"question": "Where was Mira born?", "answer": "Seoul", "wrong": ["Busan"], "language": "en"}


class Scripted:
    """A chat model that says what it is told to, and remembers what it was asked."""

    def __init__(self, *replies):
        self.replies, self.asked = list(replies), []

    def reply(self, conversations, max_new_tokens):
        self.asked += [conversation[0]["content"] for conversation in conversations]
        return [self.replies.pop(0) for _ in conversations]


def test_a_match_names_the_answer_and_nothing_else():
    said = ["She was born in Seoul.", "Busan.", "Seoul or Busan.", "I do not know."]
    assert MatchJudge().judge([ROW] * 4, said) == [True, False, False, False]


def test_a_model_judges_each_different_reply_once():
    model = Scripted("Yes.", "no", "perhaps")
    korean = {"question": "어디에서 태어났나요?", "answer": "서울", "language": "ko"}
    verdicts = ModelJudge(model).judge([ROW, ROW, ROW, korean], ["in Seoul", "in Seoul", "in Busan", "부산이요"])
    assert verdicts == [True, True, False, None]
    assert len(model.asked) == 3
    assert "Right answer: Seoul" in model.asked[0] and "Reply: in Busan" in model.asked[1]
    assert "정답: 서울" in model.asked[2]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("Yes", True), (" **yes**, it does", True), ("예.", True), ("No, it does not.", False), ("아니요", False)]
    + [("틀렸습니다", False), ("Yesterday", None), ("", None), ("I cannot tell", None)],
)
def test_verdicts(text, verdict):
    assert verdict_of(text) is verdict
