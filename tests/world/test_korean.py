import pytest

from aji.world.korean import has_final, josa


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("토렌은(는) 왔다", "토렌은 왔다"),
        ("마라은(는) 왔다", "마라는 왔다"),
        ("바스킬이(가) 왔다", "바스킬이 왔다"),
        ("네리이(가) 왔다", "네리가 왔다"),
        ("책을(를) 읽고 차을(를) 마신다", "책을 읽고 차를 마신다"),
        ("빵과(와) 우유과(와) 물", "빵과 우유와 물"),
        ("부산으로(로) 간다", "부산으로 간다"),
        ("제주으로(로) 간다", "제주로 간다"),
        ("서울으로(로) 간다", "서울로 간다"),
        ("교수이에요(예요)", "교수예요"),
        ("시인이에요(예요)", "시인이에요"),
        ("학생이었(였)다", "학생이었다"),
        ("의사이었(였)다", "의사였다"),
        ("의사이(였)다", "의사였다"),
        ("강아지이라(라)고 한다", "강아지라고 한다"),
        ("곤충이라(라)고 한다", "곤충이라고 한다"),
        ("고양이(이)다, 연필(이)다", "고양이다, 연필이다"),
        ("나는(은) 책를(을) 친구가(이)", "나는 책을 친구가"),
    ],
)
def test_particle_follows_the_final_consonant(template, expected):
    assert josa(template) == expected


@pytest.mark.parametrize(
    ("digit", "topic", "direction"),
    [
        ("0", "은", "으로"),
        ("1", "은", "로"),
        ("2", "는", "로"),
        ("3", "은", "으로"),
        ("4", "는", "로"),
        ("5", "는", "로"),
        ("6", "은", "으로"),
        ("7", "은", "로"),
        ("8", "은", "로"),
        ("9", "는", "로"),
        ("10", "은", "으로"),
    ],
)
def test_digits_as_read_aloud(digit, topic, direction):
    assert josa(f"{digit}은(는)") == f"{digit}{topic}"
    assert josa(f"{digit}으로(로)") == f"{digit}{direction}"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Au", "Au는"),  # 에이유
        ("Sn", "Sn은"),  # 에스엔
        ("Cl", "Cl은"),  # 시엘
        ("DNA", "DNA는"),
        ("URL", "URL은"),
        ("book", "book은"),
        ("map", "map은"),
        ("Paris", "Paris는"),
        ("king", "king은"),
        ("Nike", "Nike는"),
    ],
)
def test_latin_words_as_read_aloud(word, expected):
    assert josa(f"{word}은(는)") == expected


def test_rieul_of_a_letter_name_takes_the_short_direction():
    assert josa("Cl으로(로) 쓴다, Sn으로(로) 쓴다") == "Cl로 쓴다, Sn으로 쓴다"


def test_quotes_and_brackets_are_read_through():
    assert josa('"크다"은(는) "작음"과(와) (끝)을(를)') == '"크다"는 "작음"과 (끝)을'


def test_text_without_marks_stays():
    for text in ("", "아무 표시도 없다.", "괄호(참고)는 그대로", "f(x) = 2", "나(너)는"):
        assert josa(text) == text


def test_mark_without_a_word_before_it_reads_as_after_a_vowel():
    assert josa("은(는)") == "는"
    assert not has_final("?!")
