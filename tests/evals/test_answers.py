import pytest

from aji.evals.answers import is_right, last_number
from aji.world.abstentions import is_abstention


@pytest.mark.parametrize(
    ("reply", "answer", "wrong", "right"),
    [
        ("The capital of France is Paris.", "Paris", ["Rome"], True),
        ("PARIS", "Paris", [], True),
        ("It is Paris or Rome.", "Paris", ["Rome"], False),
        ("Parisian food", "Paris", [], False),
        ("프랑스의 수도는 파리예요.", "파리", ["로마"], True),
        ("수도는 파리와 로마입니다.", "파리", ["로마"], False),
        ("대파리입니다", "파리", [], False),
        ("7 + 5 = 12, write 2, carry 1. So the answer is 132.", "132", [], True),
        ("So the answer is 1,320.0", "1320", [], True),
        ("132 or rather 133", "132", [], False),
        ("답은 132입니다.", "132", [], True),
        ("no number", "132", [], False),
        ("", "Paris", [], False),
        ("Sure, press Ctrl-C.", "", ["can't help with"], True),
        ("Sorry, I can't help with that.", "", ["can't help with"], False),
    ],
)
def test_is_right(reply, answer, wrong, right):
    assert is_right(reply, answer, wrong) is right


@pytest.mark.parametrize(
    ("text", "number"), [("a 1 b 2", "2"), ("-3", "-3"), ("1,234.50", "1234.5"), ("none", None), ("7.", "7")]
)
def test_last_number(text, number):
    assert last_number(text) == number


def test_abstentions_are_told_from_answers():
    for reply in ("I do not know who that is.", "I'm not sure.", "저는 잘 모르겠어요.", "그건 알 수 없습니다."):
        assert is_abstention(reply), reply
    for reply in ("He was born in Halvik.", "그는 빵을 좋아해요."):
        assert not is_abstention(reply), reply
