from aji.evals.truthful import KNOWLEDGE, truthful


def rows(language, right=0, abstained=0, made_up=0, both=0):
    kinds = [(True, False)] * right + [(False, True)] * abstained + [(False, False)] * made_up + [(True, True)] * both
    return [{"language": language, "right": right, "abstained": said} for right, said in kinds]


def test_right_abstained_and_made_up_add_up():
    english, korean = rows("en", right=1, abstained=6, made_up=3), rows("ko", abstained=5, made_up=5)
    metrics = truthful("people_never", english + korean)
    assert (metrics["people_never_abstained"], metrics["people_never_made_up"]) == (55.0, 40.0)
    assert (metrics["people_never_abstained_en"], metrics["people_never_made_up_ko"]) == (60.0, 50.0)
    assert (metrics["people_never_made_up_n"], metrics["people_never_made_up_ko_n"]) == (20, 10)
    assert metrics["people_never_made_up_low"] < 40 < metrics["people_never_made_up_high"]


def test_a_reply_with_the_right_answer_is_right_whatever_else_it_says():
    metrics = truthful("common", rows("en", both=1, made_up=1))
    assert (metrics["common_abstained"], metrics["common_made_up"]) == (0.0, 50.0)


def test_only_questions_on_facts_have_it():
    assert truthful("sum2_steps", rows("en", made_up=2)) == {}
    assert "people_never" in KNOWLEDGE and "harmful" not in KNOWLEDGE
