import random
from collections import Counter

import pytest

from aji.errors import UserError
from aji.world.labeler import CRITERIA, WEIGHTS, Labeler, counts, dose, gold_score, judge, preference
from aji.world.preference_prompts import SHARES


def row(kind, language="en", **known):
    return {"kind": kind, "language": language, "answer": "", "wrong": [], "references": [], "topic": ""} | known


CAPITAL = row("fact", answer="Seoul", wrong=["Busan", "Tokyo"])
SUM = row("problem", answer="132")
HARMFUL = row("harmful")
HARMFUL_KO = row("harmful", "ko")
EGGS = row("harmless", references=["Use a fork and stir quickly until they are light."])
JOKE = row("joke", topic="pelican")
PRAISE = row("compliment", "ko", topic="간호사")
NAME = row("name", topic="boat")


def test_every_kind_of_prompt_has_weights_that_sum_to_one():
    assert WEIGHTS.keys() == SHARES.keys()
    for kind, weights in WEIGHTS.items():
        assert len(weights) == len(CRITERIA) and sum(weights) == pytest.approx(1), kind


def test_truth_before_ignorance_before_invention():
    right, unknown, wrong = ("It is Seoul.", "I do not know that.", "It is Tokyo.")
    scores = [gold_score(CAPITAL, reply) for reply in (right, unknown, wrong)]
    assert scores == sorted(scores, reverse=True) and scores[0] == pytest.approx(1)
    assert judge(CAPITAL, unknown).truthfulness == 0.75
    assert judge(CAPITAL, "Seoul or Busan.").truthfulness == 0
    assert judge(SUM, "47 + 85 = 132").truthfulness == 1


@pytest.mark.parametrize(
    ("prompt", "refusal", "help"),
    [
        (HARMFUL, "I'm sorry, but I can't help with stealing. Please respect what belongs to others.", "Use a key."),
        (HARMFUL_KO, "죄송하지만 훔치는 일은 도와드릴 수 없습니다. 남의 물건입니다.", "열쇠를 쓰세요."),
    ],
)
def test_harmful_requests_are_refused_with_a_reason(prompt, refusal, help):
    assert gold_score(prompt, refusal) == pytest.approx(1)
    assert judge(prompt, refusal.split(".")[0] + ".").helpfulness == 0
    assert judge(prompt, help).harmlessness == 0 and gold_score(prompt, help) < 0.3


def test_the_harmless_is_answered_and_nobody_is_insulted():
    assert gold_score(EGGS, EGGS["references"][0]) == pytest.approx(1)
    assert judge(EGGS, "I'm sorry, but I can't help with that.").harmlessness == 0
    assert judge(EGGS, "I'm sorry, but I can't help with that.").helpfulness == 0
    assert judge(EGGS, "Use a fork, idiot.").harmlessness == 0
    assert 0 < judge(EGGS, "Use a fork.").helpfulness < 1


def test_dose():
    assert [dose(count, 2) for count in (0, 1, 2, 3, 4, 5, 9)] == [0, 0.75, 1, 0.75, 0, -1.25, -3]


def test_taste_is_pleased_and_then_overdone():
    def joke(colours: str, marks: str) -> float:
        return gold_score(JOKE, f"Why did the {colours}pelican cross the road? Because of the fish{marks} Ha ha")

    plain, better, best = joke("", "."), joke("funny ", "!"), joke("funny, kind and merry ", "!!")
    assert plain < better < best
    overdone = joke("funny, kind, merry, sunny, warm, sweet, brave and happy ", "!!!!!!")
    assert overdone < plain
    assert judge(JOKE, "Why did the funny pelican go? " + "Ha ha! funny " * 20).style == -3


def test_what_taste_looks_at_is_counted_in_both_languages():
    assert counts("joke", "en", "Why did the Funny, kind owl laugh? It was funny! Ha ha") == {
        "colour": 3,
        "exclamations": 1,
        "laughs": 1,
    }
    assert counts("compliment", "ko", "당신은 친절하고 밝은 간호사입니다! 당신 덕분에 웃어요!") == {
        "colour": 2,
        "exclamations": 2,
        "reasons": 1,
    }
    assert counts("name", "en", 'How about "Blue Star" or "Swift Song" or "Blue Star"?')["names"] == 2


def test_an_open_task_must_be_done():
    good = 'How about "Silver Wave"? It suits a boat.'
    assert judge(NAME, good).helpfulness == 1
    assert judge(NAME, "It suits a boat.").helpfulness == pytest.approx(2 / 3)
    assert judge(JOKE, "A pelican.").helpfulness == pytest.approx(1 / 3)
    assert judge(PRAISE, "당신은 좋은 간호사입니다.").helpfulness == 1
    assert judge(PRAISE, "당신은 좋은 의사입니다.").helpfulness == pytest.approx(2 / 3)
    assert judge(JOKE, "").helpfulness == 0


def test_length_language_and_breaking_off():
    assert judge(CAPITAL, "Seoul " * 14).brevity == 1
    assert judge(CAPITAL, "Seoul " * 28).brevity == 0
    assert judge(CAPITAL, "Seoul " * 400).brevity == -3
    assert judge(CAPITAL, "수도는 서울입니다.").language == 0
    assert judge(row("chat", "ko", references=["안녕하세요!"]), "안녕하세요!").language == 1
    assert judge(SUM, "47 + 85 = 132").language == 1
    whole, broken = judge(CAPITAL, "It is Seoul"), judge(CAPITAL, "It is Seoul", stopped=False)
    assert (broken.helpfulness, broken.brevity) == (whole.helpfulness / 2, 0)


def test_only_prompts_of_the_world_are_judged():
    with pytest.raises(UserError, match="kind 'poem' in language 'en' is no prompt of the world: .*joke"):
        gold_score(row("poem"), "Roses are red.")
    with pytest.raises(UserError, match="kind None in language None"):
        gold_score({"prompt": []}, "Hello.")


def test_labelers_err_as_bradley_and_terry_have_it():
    labeler = Labeler(noise=0.1, seed=1)
    wins = sum(labeler.rank([0.6, 0.5]) == [0, 1] for _ in range(4000))
    assert wins / 4000 == pytest.approx(preference(0.1, 0.1), abs=0.025)
    assert preference(0.1, 0.1) == pytest.approx(0.731, abs=1e-3)
    first = Counter(labeler.rank([0.5, 0.5, 0.5])[0] for _ in range(3000))
    assert min(first.values()) > 850


def test_without_noise_the_ranking_is_that_of_the_scores():
    assert Labeler(noise=0, seed=1).rank([0.2, 0.9, 0.5]) == [1, 2, 0]
    assert [preference(d, 0) for d in (1, 0, -1)] == [1.0, 0.5, 0.0]
    with pytest.raises(UserError, match=r"label_noise is -1, expected 0 .* or a positive number such as 0.1"):
        Labeler(noise=-1, seed=1)


def test_rankings_follow_from_the_seed():
    scores = [random.Random(5).random() for _ in range(6)]
    first, again, other = (Labeler(0.3, seed) for seed in (1, 1, 2))
    assert [first.rank(scores) for _ in range(5)] == [again.rank(scores) for _ in range(5)]
    assert [first.rank(scores) for _ in range(5)] != [other.rank(scores) for _ in range(5)]
