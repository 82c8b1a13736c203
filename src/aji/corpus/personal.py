"""Personal data in text, replaced by stand-ins that belong to nobody.

Numbers are masked when their form and, where there is one, their check digit say what they are; versions, dates, sums
and ISBNs are left alone. Masking a masked text changes nothing.
"""

import datetime
import ipaddress
import re
from collections import Counter
from collections.abc import Callable

from datatrove.data import Document

from aji.corpus.block import Block


EMAIL = re.compile(
    r"(?<![\w.+-])[\w!#$%&'*+/=?^`{|}~-][\w.!#$%&'*+/=?^`{|}~-]{0,63}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+"
    r"[a-z]{2,24}(?![a-z0-9])",
    re.I | re.ASCII,
)
OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
IP = re.compile(rf"(?<![\d.]){OCTET}(?:\.{OCTET}){{3}}(?!\.?\d)")
VERSION_BEFORE = re.compile(r"(?:version|release|firmware|build|ver\.?|\bv\.?|버전|판)\s*[:=]?\s*$", re.I)
RRN = re.compile(r"(?<![\d-])(\d{6})[- ]?([0-9]\d{6})(?![\d-])")
CARD = re.compile(
    r"(?<![\d.-])[2-69]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?![\d-])|(?<![\d.-])3[47]\d{2}[ -]?\d{6}[ -]?\d{5}(?![\d-])"
)
KOREAN_PHONE = (
    r"(?:\+82[-. ]?\(?0?\)?|\(?0)(?:1[016789]|2|[3-6]\d|50\d|70|80)\)?[-. ]?\d{3,4}[-. ]?\d{4}"  # 010-1234-5678
)
AMERICAN_PHONE = r"(?:\+?1[-. ]?)?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-.])\d{3}[-.]\d{4}"  # (212) 555-0142
INTERNATIONAL_PHONE = r"\+[1-9]\d{0,2}(?:[-. ]?\(?\d{1,4}\)?){2,5}"  # +44 20 7946 0958
NATIONAL_PHONE = r"\(?0\d{2,4}\)?[ .-]\d{3,4}[ .-]\d{3,4}"  # 020 7946 0384
# A Korean particle may follow without a space, so the borders are letters of English only.
PHONE = re.compile(
    rf"(?<![A-Za-z0-9_.+-])(?:{KOREAN_PHONE}|{AMERICAN_PHONE}|{NATIONAL_PHONE}|{INTERNATIONAL_PHONE})(?![A-Za-z0-9_-])"
)
STAND_INS = {
    "email": "email@example.com",
    "ip": "192.0.2.1",  # a block for documentation, RFC 5737
    "rrn": "000000-0000000",
    "card": "0000-0000-0000-0000",
    "phone": "010-0000-0000",
}
# From October 2020 on, new resident registration numbers have no check digit.
RRN_WITHOUT_CHECK = datetime.date(2020, 10, 1)


def luhn(number: str) -> bool:
    """The check digit of payment cards, ISO/IEC 7812-1 annex B."""
    digits = [int(digit) for digit in number if digit.isdigit()][::-1]
    return sum(digits[::2]) % 10 == -sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2]) % 10


def is_card(number: str) -> bool:
    digits = re.sub(r"\D", "", number)
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and luhn(digits)


def is_rrn(number: str) -> bool:
    """A Korean resident registration number: a date, a digit for sex and century, and a check digit at the end."""
    digits = re.sub(r"\D", "", number)
    century = {
        "1": 1900,
        "2": 1900,
        "5": 1900,
        "6": 1900,
        "3": 2000,
        "4": 2000,
        "7": 2000,
        "8": 2000,
        "9": 1800,
        "0": 1800,
    }
    try:
        born = datetime.date(century[digits[6]] + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return False
    if born >= RRN_WITHOUT_CHECK and "-" in number:
        return True
    weights = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
    total = sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=False))
    check = (11 - total % 11) % 10
    if digits[6] in "5678":  # foreigners' numbers of before 2020
        return int(digits[12]) in (check, (check + 2) % 10)
    return int(digits[12]) == check


def is_phone(number: str) -> bool:
    digits = re.sub(r"\D", "", number)
    return 9 <= len(digits) <= 15 and digits.strip("0") not in ("", "1")


def is_ip(match: re.Match) -> bool:
    """An address of one machine: no version, no private network, not the addresses that everybody writes."""
    if VERSION_BEFORE.search(match.string, max(0, match.start() - 24), match.start()):
        return False
    parts = match[0].split(".")
    if max(map(len, parts)) < 3 and sum(len(part) == 1 for part in parts) >= 2:  # 3.11.7.0: so are 0.2 % of addresses
        return False
    address = ipaddress.IPv4Address(match[0])
    return not (address.is_private and not _documentation(address)) and match[0] != STAND_INS["ip"]


def _documentation(address: ipaddress.IPv4Address) -> bool:
    return any(
        address in ipaddress.ip_network(block) for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
    )


# In this order: a card number holds digits that look like a phone number.
KINDS: tuple[tuple[str, re.Pattern, Callable[[re.Match], bool]], ...] = (
    ("email", EMAIL, lambda match: match[0] != STAND_INS["email"]),
    ("rrn", RRN, lambda match: is_rrn(match[0])),
    ("card", CARD, lambda match: is_card(match[0])),
    ("phone", PHONE, lambda match: is_phone(match[0])),
    ("ip", IP, is_ip),
)


def mask(text: str) -> tuple[str, Counter]:
    """The text with stand-ins for personal data, and how many of each kind there were."""
    found: Counter = Counter()
    for kind, pattern, is_one in KINDS:
        if kind == "email" and "@" not in text:
            continue

        def stand_in(match: re.Match, kind: str = kind, is_one: Callable = is_one) -> str:
            if not is_one(match):
                return match[0]
            found[kind] += 1
            return STAND_INS[kind]

        text = pattern.sub(stand_in, text)
    return text, found


class MaskPersonalData(Block):
    """Drops nothing. Counts under `masked_KIND` what it replaced, and marks the page's metadata."""

    name = "personal"

    def judge(self, doc: Document) -> None:
        doc.text, found = mask(doc.text)
        for kind, count in found.items():
            self.notes[f"masked_{kind}"] += count
