"""Korean particles that fit the word before them, so that one template serves every name, number and symbol."""

import re


# (form after a final consonant, form after a vowel): templates say "은(는)"; the reverse order is read as well.
_PAIRS = (
    ("은", "는"),
    ("이", "가"),
    ("을", "를"),
    ("과", "와"),
    ("으로", "로"),
    ("이라", "라"),
    ("이란", "란"),
    ("이랑", "랑"),
    ("이야", "야"),
    ("이나", "나"),
    ("이고", "고"),
    ("이며", "며"),
    ("이여", "여"),
    ("이지", "지"),
    ("이었", "였"),
    ("이에", "예"),
    ("이에요", "예요"),
    ("아", "야"),
)
_FORMS = {f"{first}({second})": (first, second) for first, second in _PAIRS}
_FORMS |= {f"{second}({first})": (first, second) for first, second in _PAIRS if (first, second) != ("아", "야")}
_FORMS |= {"이(였)": ("이었", "였"), "(이)": ("이", ""), "(으)로": ("으로", "로")}
_MARK = re.compile("|".join(re.escape(mark) for mark in sorted(_FORMS, key=len, reverse=True)))

_HANGUL_FIRST, _HANGUL_LAST = 0xAC00, 0xD7A3
_FINALS = 28
_FINAL_RIEUL = 8

_NONE, _RIEUL, _OTHER = "", "ㄹ", "*"
# 영 일 이 삼 사 오 육 칠 팔 구. A number that ends in zeros ends in 십, 백, 천, 만: a consonant too, like 영.
_DIGITS = {**dict.fromkeys("2459", _NONE), **dict.fromkeys("178", _RIEUL), **dict.fromkeys("036", _OTHER)}
# Names of letters: 엘, 엠, 엔, 알; the others end in a vowel.
_LETTERS = {"l": _RIEUL, "r": _RIEUL, "m": _OTHER, "n": _OTHER}
# Words: map 맵, book 북, Steven 스티븐; but Nike 나이키, Mars 마스, James 제임스, Hertz 헤르츠.
_WORD_ENDINGS = {"l": _RIEUL, **dict.fromkeys("bckmnpqt", _OTHER)}


def _final(text: str) -> str:
    """How the last letter or digit of text ends when read aloud: "" a vowel, "ㄹ", or "*" another consonant."""
    for end in range(len(text), 0, -1):
        character = text[end - 1]
        if _HANGUL_FIRST <= ord(character) <= _HANGUL_LAST:
            final = (ord(character) - _HANGUL_FIRST) % _FINALS
            return _RIEUL if final == _FINAL_RIEUL else _OTHER if final else _NONE
        if character in _DIGITS:
            return _DIGITS[character]
        if character.isalpha():
            return _latin_final(re.search(r"[^\W\d_]+$", text[:end]).group())
    return _NONE


def _latin_final(word: str) -> str:
    if len(word) <= 2 or word.isupper():
        return _LETTERS.get(word[-1].lower(), _NONE)
    if word.lower().endswith("ng"):
        return _OTHER
    return _WORD_ENDINGS.get(word[-1].lower(), _NONE)


def has_final(text: str) -> bool:
    """Whether the last letter or digit of text, read aloud in Korean, ends in a consonant. Quotes do not count."""
    return _final(text) != _NONE


def josa(text: str) -> str:
    """Text with every mark such as 은(는), 이(가), 을(를), 과(와), 으로(로), 이에요(예요), 이라(라) resolved.

    The form follows from the letter, digit or Hangul syllable before the mark, behind any quotes and brackets.
    Latin words are judged as read aloud: letter by letter when in capitals or at most two letters long, else by their
    last sound. 으로 becomes 로 after ㄹ as well.
    """
    if "(" not in text:
        return text
    pieces, end = [], 0
    for mark in _MARK.finditer(text):
        pieces.append(text[end : mark.start()])
        end = mark.end()
        consonant, vowel = _FORMS[mark.group()]
        final = _final(text[: mark.start()])
        short = final == _NONE or (final == _RIEUL and vowel == "로")
        pieces.append(vowel if short else consonant)
    pieces.append(text[end:])
    return "".join(pieces)
