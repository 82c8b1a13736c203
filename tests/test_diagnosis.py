import pytest

from aji.diagnosis import Observations, diagnose, kind_of_group


NAN = float("nan")


def look(rewards, texts=None, truncated=None, group=4):
    seen = Observations()
    size = len(rewards)
    texts = texts or ["So the answer is 5."] * size
    seen.add(["sums"] * size, rewards, texts, [10] * size, truncated or [False] * size, group)
    return seen.look()


@pytest.mark.parametrize(
    ("rewards", "kind"),
    [
        ((1, 0), "live"),
        ((1, 1), "right"),
        ((0, 0), "wrong"),
        ((0.5, 0.5), "equal"),
        ((NAN, NAN), "unjudged"),
        ((NAN, 1), "right"),
    ],
)
def test_kinds_of_groups(rewards, kind):
    assert kind_of_group(rewards) == kind


def test_figures_and_a_fresh_start():
    seen = Observations()
    texts = ["So the answer is 5. Check: 5", "5", "none", "다시: 5"]
    seen.add(["a", "a", "b", "b"], [1.0, 0.0, 0.0, 0.0], texts, [4, 2, 6, 4], [False, False, True, False], 2)
    figures = seen.look()
    assert figures["mean_reward"] == 0.25 and figures["reward_a"] == 0.5 and figures["reward_b"] == 0
    assert figures["dead_groups"] == 0.5 and figures["groups_wrong"] == 0.5
    assert (figures["truncated_share"], figures["unanswered_share"], figures["checking_share"]) == (0.25, 0.25, 0.5)
    assert figures["mean_length"] == 4
    assert seen.counts.total() == 0


def test_all_right():
    (text,) = diagnose([look([1.0] * 40)], 1e-4, 64)
    assert text.startswith("100 % of the groups are dead") and "all completions are right" in text


def test_too_hard_names_what_to_train_instead():
    (text,) = diagnose([look([0.0] * 40)], 1e-4, 64, "Train instead carry2.")
    assert "reward near zero (0.000)" in text and "too hard" in text and text.endswith("Train instead carry2.")


def test_all_truncated():
    (text,) = diagnose([look([0.0] * 40, truncated=[True] * 40)], 1e-4, 64)
    assert "cut at max_completion_length 64" in text


def test_answer_never_in_the_expected_place():
    (text,) = diagnose([look([0.0] * 40, texts=["I think so"] * 40)], 1e-4, 64)
    assert "100 % of the replies hold no answer where one is looked for" in text


def test_a_reward_near_zero_names_what_to_train_instead_whatever_the_cause():
    for texts in (["I think so"] * 40, ["The answer is 3."] * 40):
        (text,) = diagnose([look([0.0] * 40, texts=texts)], 1e-4, 64, "Train sums instead.")
        assert "reward near zero (0.000)" in text and text.endswith("Train sums instead.")


def test_nothing_can_be_judged():
    (text,) = diagnose([look([NAN] * 40)], 1e-4, 64)
    assert "No reward can judge" in text


def test_learning_rate():
    live = look([1.0, 0.0, 1.0, 0.0] * 10)
    (low,) = diagnose([live | {"entropy": 0.5}] * 5, 1e-9, 64)
    assert "the learning rate (1e-09) is too low" in low
    falling = [live | {"mean_reward": reward} for reward in (0.6, 0.5, 0.4, 0.2)]
    (high,) = diagnose(falling, 1.0, 64)
    assert "fell from 0.55 to 0.30" in high and "too high" in high


def test_a_run_that_learns_is_left_in_peace():
    live = look([1.0, 0.0, 1.0, 0.0] * 10)
    assert diagnose([live | {"mean_reward": reward} for reward in (0.3, 0.4, 0.5, 0.6)], 1e-4, 64) == []
