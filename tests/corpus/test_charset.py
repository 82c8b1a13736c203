import pytest
from crawls import REAL_DATA

from aji.corpus.charset import decode, python_name


KOREAN = "대한민국의 수도는 서울입니다. 안녕하세요, 반갑습니다. 오늘은 날씨가 좋네요."
JAPANESE = "日本語のテキストです。これはテストであり、ひらがなとカタカナがあります。" * 3
RUSSIAN = "Это русский текст о погоде и природе, который написан для проверки. " * 3
REAL = REAL_DATA / "crawl_html_ko"


@pytest.mark.parametrize("declared", [None, "euc-kr", "utf-8", "iso-8859-1", "shift_jis", "nonsense"])
@pytest.mark.parametrize("charset", ["euc-kr", "cp949", "utf-8", "utf-8-sig", "utf-16"])
def test_korean_whatever_is_declared(charset, declared):
    assert decode(KOREAN.encode(charset), declared) == KOREAN


@pytest.mark.parametrize(("text", "charset"), [(JAPANESE, "shift_jis"), (JAPANESE, "euc-jp"), (RUSSIAN, "cp1251")])
@pytest.mark.parametrize("declared", [True, False])
def test_others(text, charset, declared):
    assert decode(text.encode(charset), charset if declared else None) == text


def test_the_page_says_it_itself():
    text = f'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">{RUSSIAN}'
    assert decode(text.encode("koi8-r")) == text


def test_utf8_that_was_cut_inside_a_character():
    assert decode(KOREAN.encode()[:-2]) == KOREAN[:-2]


def test_noise_is_refused():
    assert decode(bytes(range(128, 256)) * 10) is None


def test_names_are_those_that_browsers_mean():
    assert python_name("ks_c_5601-1987") == python_name("EUC-KR") == "cp949"
    assert python_name("hex") is None and python_name("no such") is None


@pytest.mark.skipif(not REAL.is_dir(), reason="the real pages are not here")
def test_a_real_page_in_euc_kr():
    expected = (REAL / "camellia_utf8.txt").read_bytes().decode()
    for declared in (None, "utf-8", "latin-1"):
        assert decode((REAL / "camellia_euc-kr.txt").read_bytes(), declared) == expected
