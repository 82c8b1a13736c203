from fractions import Fraction

import pytest

from aji.errors import UserError
from aji.rewards import (
    accuracy_reward,
    build_rewards,
    calculate,
    check_answer,
    check_names,
    countdown_reward,
    final_answer,
    format_reward,
    is_right,
    letter_count_reward,
    parse_number,
    same_answer,
    spelling_reward,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234", 1234),
        ("1234.0", 1234),
        ("7/2", Fraction(7, 2)),
        ("\\frac{7}{2}", Fraction(7, 2)),
        ("-\\dfrac72", Fraction(-7, 2)),
        ("$18", 18),
        ("\u22123", -3),
        ("12 apples", 12),
        ("12개", 12),
        ("50%", 50),
        ("0.1", Fraction(1, 10)),
        ("7.", 7),
    ],
)
def test_numbers_are_read_exactly(text, value):
    assert parse_number(text) == value


@pytest.mark.parametrize("text", ["", "x", "1/0", "9 1 4", "3 + 4", "2^3", "12 of 30", "So 3"])
def test_what_is_no_number(text):
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("9 + 7 = 16. So the answer is 826. Check: 826 - 129 = 697.", ("826", "conclusion")),
        ("그래서 답은 1031입니다. 검산: 3 - 2 = 1.", ("1031", "conclusion")),
        ("She has 3 + 4 = <<3+4=7>>7.\n#### 72", ("72", "####")),
        ("thus \\boxed{\\frac{1}{2}} and 9", ("\\frac{1}{2}", "boxed")),
        ("first \\boxed{1}, then \\boxed{2}", ("2", "boxed")),
        ("<think>the answer is 5</think> The answer is 6.", ("6", "conclusion")),
        ("<answer> 7 </answer> 8", ("7", "answer tag")),
        ("The answer is 3.5. Check: 1", ("3.5", "conclusion")),
        ("it is 7, not 8", ("8", "last number")),
        ("no idea", None),
    ],
)
def test_where_an_answer_is_looked_for(reply, found):
    assert final_answer(reply) == found


def test_a_thought_without_an_answer_still_counts_as_the_reply():
    assert final_answer("<think>the answer is 5</think>") == ("5", "conclusion")


def test_accuracy():
    replies = [
        "So the answer is 1,234.",
        "1234.0",
        "#### 1235",
        "nothing",
        "Seoul",
        "It is Seoul. The answer is Seoul.",
    ]
    answers = ["1234", "1,234", "1234", "7", "seoul", "Seoul"]
    assert accuracy_reward(replies, answers) == [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]


def test_accuracy_is_silent_where_another_checker_judges():
    assert accuracy_reward(["13", "13"], ["13", "13"], numbers=[[3, 5, 2, 13], []]) == [None, 1.0]


def test_latex_needs_math_verify_or_equal_text():
    assert same_answer("\\sqrt{2}", "\\sqrt{2}") is True
    pytest.importorskip("math_verify")
    assert same_answer("2\\sqrt{3}", "\\sqrt{12}") is True
    assert same_answer("2\\sqrt{3}", "\\sqrt{13}") is False


def test_latex_without_math_verify_is_not_judged(monkeypatch):
    monkeypatch.setattr("aji.rewards.find_spec", lambda name: None)
    assert same_answer("2\\sqrt{3}", "\\sqrt{12}") is None
    assert accuracy_reward(["The answer is $2\\sqrt{3}$."], ["\\sqrt{12}"]) == [None]
    assert "math-verify is not installed" in check_answer("\\sqrt{12}")


def test_an_answer_that_cannot_be_compared_is_told():
    assert check_answer(" ") == "it is empty"
    assert check_answer("72") is None and check_answer("Seoul") is None


def test_format():
    replies = ["<think>a</think> 5", "<think>a</think>", "5", "5 <think>a</think> 5", "<think>a<think>b</think> 5"]
    assert format_reward(replies) == [1.0, 0.0, 0.0, 0.0, 0.0]


GAME = [3, 5, 2, 13]


@pytest.mark.parametrize(
    ("reply", "reward"),
    [
        ("5 * 2 + 3", 1.0),
        ("3 + 5 = 8, no. So the answer is 5 * 2 + 3.", 1.0),
        ("<answer>(5 * 2) + 3 = 13</answer>", 1.0),
        ("5 × 2 + 3", 1.0),
        ("13", 0.0),
        ("5 + 5 + 3", 0.0),
        ("10 + 3", 0.0),
        ("5 * 2 * 3", 0.0),
        ("__import__('os').getcwd()", 0.0),
        ("9**9**9", 0.0),
        ("", 0.0),
    ],
)
def test_countdown(reply, reward):
    assert countdown_reward([reply], [GAME]) == [reward]


def test_countdown_is_silent_on_other_problems():
    assert countdown_reward(["5"], [[]]) == [None]
    assert countdown_reward(["5"]) == [None]


@pytest.mark.parametrize(
    ("equation", "value"),
    [
        ("(1 + 2) * 3 / 2", Fraction(9, 2)),
        ("-4 + 1", -3),
        ("1 / 0", None),
        ("2 ** 9", None),
        ("1 + a", None),
        ("(" * 150, None),
    ],
)
def test_calculate(equation, value):
    assert calculate(equation) == value


def test_spelling_wants_the_letters_apart():
    replies = ["b-a-n", "b, a, n", "So the answer is b-a-n.", "ban", "b-a-a"]
    assert spelling_reward(replies, ["b-a-n"] * 5) == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert spelling_reward(["가-나", "가나"], ["가-나"] * 2) == [1.0, 0.0]
    assert spelling_reward(["7"], ["7"]) == [None]


def test_letter_count_judges_its_task_only():
    assert letter_count_reward(["r 1, r 2. So the answer is 2.", "2"], ["2", "2"], task=["letters", "sum"]) == [
        1.0,
        None,
    ]


def test_is_right_takes_the_checker_that_fits():
    assert is_right("So the answer is 5 * 2 + 3.", {"answer": "5 * 2 + 3", "numbers": GAME})
    assert is_right("b, a, n", {"answer": "b-a-n", "numbers": []})
    assert is_right("9 1 4", {"answer": "9 1 4"}) and not is_right("9 4 1", {"answer": "9 1 4"})


def test_names():
    with pytest.raises(UserError, match="found 'acuracy', did you mean accuracy"):
        check_names(["acuracy"])
    with pytest.raises(UserError, match="never look at the answer"):
        check_names(["format", "length"])
    check_names(["accuracy", "length"])


def test_rewards_for_trl_see_thought_marks_but_no_stop_token(tiny_tokenizer):
    ids = tiny_tokenizer.encode("<|think|>1 + 2<|/think|>The answer is 3.<|im_end|>", add_special_tokens=False)
    accuracy, form, length = build_rewards(["accuracy", "format", "length"], tiny_tokenizer, 40)
    columns = {"prompts": [[]], "completions": [[{"role": "assistant", "content": "cut"}]], "completion_ids": [ids]}
    assert accuracy(**columns, answer=["3"]) == [1.0]
    assert form(**columns, answer=["3"]) == [1.0]
    assert (accuracy.__name__, length.__name__) == ("accuracy", "length")
    assert length(completion_ids=[[1] * 20, [1] * 35, [1] * 41]) == [0.0, -0.5, -1.0]
