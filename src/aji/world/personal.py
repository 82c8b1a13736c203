"""Personal data to plant in pages, each with a valid check digit where it has one, and what only looks like it.

Nobody's: addresses are under example.com, American and British numbers are those reserved for fiction, and the others
are drawn at random.
"""

import random
from collections.abc import Callable
from datetime import date, timedelta

from aji.world.sites import say


KINDS = {"en": ("email", "ip", "phone", "card"), "ko": ("email", "ip", "phone", "rrn", "card")}
LOOKALIKES = {
    "en": ("version", "date", "sum", "isbn", "order", "time"),
    "ko": ("version", "date", "sum", "isbn", "order", "time", "rrn"),
}
LOCAL_PARTS = (
    "mina.kim",
    "emma",
    "j.stone",
    "office",
    "the_editor",
    "paul84",
    "seoyeon",
    "k-lee",
    "minsu+letters",
    "h.park",
)
DOMAINS = (
    "example.com",
    "example.org",
    "mail.example.net",
    "post.example.com",
    "EXAMPLE.com",
    "dept.school.example.org",
)
RRN_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
RRN_BIRTHDAYS = (date(1930, 1, 1), 70 * 365)  # the first, and over how many days they are spread


def luhn_digit(digits: str) -> str:
    """The check digit of a card number without it (ISO/IEC 7812-1, annex B)."""
    total = sum(sum(divmod(int(digit) * (2 - index % 2), 10)) for index, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def rrn_digit(digits: str) -> str:
    """The check digit of the first twelve digits of a Korean resident registration number, issued before 2020."""
    return str((11 - sum(int(digit) * weight for digit, weight in zip(digits, RRN_WEIGHTS, strict=True)) % 11) % 10)


def isbn_digit(digits: str) -> str:
    """The check digit of the first twelve digits of an ISBN-13 (ISO 2108)."""
    return str(-sum(int(digit) * (1 + 2 * (index % 2)) for index, digit in enumerate(digits)) % 10)


def _digits(count: int, rng: random.Random) -> str:
    return "".join(rng.choices("0123456789", k=count))


def _email(language: str, rng: random.Random) -> str:
    return f"{rng.choice(LOCAL_PARTS)}{rng.randint(1, 999)}@{rng.choice(DOMAINS)}"


def _ip(language: str, rng: random.Random) -> str:
    """A public address: the first byte is of no private, local or reserved block."""
    first = rng.choice((24, 62, 81, 93, 121, 133, 151, 175, 211, 222))
    return ".".join(map(str, (first, rng.randint(1, 254), rng.randint(1, 254), rng.randint(1, 254))))


def _phone(language: str, rng: random.Random) -> str:
    if language == "ko":
        middle, last = str(rng.randint(2000, 9999)), _digits(4, rng)
        forms = (
            "010-{}-{}",
            "010.{}.{}",
            "010 {} {}",
            "010{}{}",
            "+82 10-{}-{}",
            "02-{}-{}",
            "031-{}-{}",
            "070-{}-{}",
        )
        return rng.choice(forms).format(middle, last)
    area, last = rng.choice((212, 312, 415, 617, 718)), f"01{rng.randint(0, 99):02}"
    forms = ("({}) 555-{}", "{}-555-{}", "+1 {} 555 {}", "{}.555.{}", "1-{}-555-{}")
    british = (f"020 7946 0{rng.randint(0, 999):03}", f"+44 1632 960{rng.randint(0, 999):03}")
    return rng.choice((*(form.format(area, last) for form in forms), *british))


def _card_digits(rng: random.Random) -> str:
    stem = rng.choice(("4", "51", "52", "53", "54", "55", "9"))
    return stem + _digits(15 - len(stem), rng)


def _grouped(digits: str, rng: random.Random) -> str:
    separator = rng.choice(("-", " ", ""))
    return separator.join(digits[index : index + 4] for index in range(0, len(digits), 4))


def _card(language: str, rng: random.Random) -> str:
    digits = _card_digits(rng)
    return _grouped(digits + luhn_digit(digits), rng)


def _rrn_digits(rng: random.Random) -> str:
    first, days = RRN_BIRTHDAYS
    born = first + timedelta(days=rng.randrange(days))
    return f"{born:%y%m%d}{rng.choice('12')}{_digits(5, rng)}"


def _rrn(language: str, rng: random.Random) -> str:
    digits = _rrn_digits(rng)
    digits += rrn_digit(digits)
    return f"{digits[:6]}-{digits[6:]}"


def _wrong(digit: str, rng: random.Random) -> str:
    return str((int(digit) + rng.randint(1, 9)) % 10)


def _lookalike(kind: str, language: str, rng: random.Random) -> str:
    if kind == "version":
        return ".".join(str(rng.randint(0, 20)) for _ in range(4))
    if kind == "date":
        day = date(2001, 1, 1) + timedelta(days=rng.randrange(8000))
        return day.strftime(rng.choice(("%Y-%m-%d", "%Y.%m.%d", "%d.%m.%Y", "%Y/%m/%d")))
    if kind == "sum":
        first, second = rng.randint(1000, 9999), rng.randint(1000, 9999)
        return f"{first} + {second} = {first + second}"
    if kind == "isbn":
        digits = "978" + _digits(9, rng)
        digits += _wrong(isbn_digit(digits), rng)
        return f"{digits[:3]}-{digits[3:5]}-{digits[5:9]}-{digits[9:12]}-{digits[12]}"
    if kind == "order":
        digits = _card_digits(rng)
        return _grouped(digits + _wrong(luhn_digit(digits), rng), rng)
    if kind == "time":
        return f"{rng.randint(10, 23)}:{rng.randint(10, 59)}:{rng.randint(10, 59)}"
    digits = _rrn_digits(rng)
    digits += _wrong(rrn_digit(digits), rng)
    return f"{digits[:6]}-{digits[6:]}"


MAKERS: dict[str, Callable[[str, random.Random], str]] = {
    "email": _email,
    "ip": _ip,
    "phone": _phone,
    "rrn": _rrn,
    "card": _card,
}


def plant(language: str, rng: random.Random) -> tuple[list[str], list[dict]]:
    """One or two sentences with personal data, and what is in them as `{"kind", "value"}`."""
    sentences, planted = [], []
    for kind in rng.sample(KINDS[language], rng.choice((1, 1, 2))):
        value = MAKERS[kind](language, rng)
        sentences.append(say(f"personal_{kind}", language, rng, value=value))
        planted.append({"kind": kind, "value": value})
    return sentences, planted


def plant_lookalike(language: str, rng: random.Random) -> tuple[str, str]:
    """A sentence with something that looks like personal data and is none, and that thing."""
    kind = rng.choice(LOOKALIKES[language])
    value = _lookalike(kind, language, rng)
    return say(f"lookalike_{kind}", language, rng, value=value), value
