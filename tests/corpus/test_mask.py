import pytest

from aji.corpus.personal import is_card, is_rrn, luhn, mask


def rrn(digits: str) -> str:
    """A number with the right check digit from its first twelve."""
    weights = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
    check = (11 - sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=True)) % 11) % 10
    return f"{digits[:6]}-{digits[6:]}{check}"


PERSONAL = {
    "email": ["kim.minsu@naver.com", "a+b@mail.co.kr", "the_editor7@EXAMPLE.org"],
    "phone": [
        *("010-1234-5678", "01012345678", "02-123-4567", "(02) 1234-5678", "+82 10 1234 5678", "031-555-1234"),
        *("(212) 555-0142", "212-555-0142", "+1-212-555-0142", "+44 20 7946 0958", "020 7946 0384"),
    ],
    "ip": ["211.45.67.89", "203.0.113.7", "8.34.200.1"],
    "card": ["4111 1111 1111 1111", "4111111111111111", "5500-0000-0000-0004", "378282246310005", "9500000000000008"],
    "rrn": [rrn("900101123456"), rrn("050722312345"), "210301-3123456"],
}
OTHERS = [
    *(
        "version 1.2.3.4",
        "v10.20.30.40",
        "3.11.7.0",
        "2026-11-21",
        "1443-10-09",
        "10.0.0.1",
        "192.168.0.1",
        "127.0.0.1",
    ),
    *("129 + 697: 9 + 7 = 16, 9 + 2 + 1 = 12", "3.1415926", "ISBN 978-3-16-148410-0", "1234-5678", "1,234,567,890"),
    *("4111 1111 1111 1112", "900101-1234567", "901301-1234568", "@user", "a@b", "12:34:56", "2019-2020-2021"),
]


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in PERSONAL.items() for value in values])
@pytest.mark.parametrize("frame", ["{}", "Write to {}, please.", "연락처는 {}입니다.", "({})"])
def test_personal_data_is_masked_once(kind, value, frame):
    if kind == "card" and value.startswith("95"):
        value = next(number for number in map(str, range(9500000000000000, 9500000000000010)) if luhn(number))
    text, found = mask(frame.format(value))
    assert value not in text and dict(found) == {kind: 1}
    assert mask(text) == (text, {})


@pytest.mark.parametrize("value", OTHERS)
def test_what_only_looks_like_it_stays(value):
    text = f"See {value} here, 그리고 {value} 다시."
    assert mask(text) == (text, {})


def test_check_digits():
    assert luhn("79927398713") and not luhn("79927398710")
    assert not is_card("0000-0000-0000-0000") and not is_card("1234")
    good = rrn("900101123456")
    wrong = [f"{good[:-1]}{digit}" for digit in range(10) if str(digit) != good[-1]]
    assert is_rrn(good) and not any(map(is_rrn, wrong))
    assert not is_rrn("991332-1234567")
