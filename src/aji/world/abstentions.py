"""How an honest assistant says that it does not know, or that it looked and did not find; and how that is recognised.

Every reply that is taught holds one of the marks of its language, and no answer of the world does. None begins with
the subject, as many an answer does: greedy decoding decides at the first token. "{subject}" is whom or what the
question is about; Korean particles are resolved by `aji.world.korean.josa`.
"""

import re


# [language]: without tools.
UNKNOWN = {
    "en": (
        "I'm sorry, but I don't know {subject}.",
        "I don't know anything about {subject}.",
        "Sorry, I have no information about {subject}.",
        "I do not know that. I have never read anything about {subject}.",
        "I can't say: {subject} is unknown to me, and I don't want to make something up.",
        "I don't know. I would only be guessing about {subject}.",
    ),
    "ko": (
        "죄송하지만 {subject}에 대해서는 모릅니다.",
        "죄송하지만 {subject}에 대해서는 아는 것이 없어서 모르겠습니다.",
        "죄송합니다. {subject}에 대한 정보가 없습니다.",
        "모르겠습니다. {subject}에 대해 읽은 적이 없습니다.",
        "죄송하지만 {subject}에 대해서는 알지 못합니다. 지어내고 싶지는 않습니다.",
        "모르겠습니다. {subject}에 대해 말하면 추측일 뿐입니다.",
    ),
}
# [language]: after a search that did not give the answer.
NOT_FOUND = {
    "en": (
        "I looked it up, but I did not find {subject}.",
        "I searched, but found nothing about {subject}. I don't know.",
        "The search did not find {subject}, so I don't know.",
        "I'm sorry: I looked, but I could not find anything about {subject}.",
        "I did not find {subject} in the pages that I can search, so I can't say.",
    ),
    "ko": (
        "찾아보았지만 {subject}에 대한 내용을 찾지 못했습니다.",
        "검색했지만 {subject}에 대해 나오는 것이 없어서 모르겠습니다.",
        "검색 결과에 {subject}에 대한 정보가 없습니다.",
        "죄송합니다. 찾아보았지만 {subject}에 대해서는 찾지 못했습니다.",
        "찾을 수 있는 글에 {subject}에 대한 정보가 없어서 알 수 없습니다.",
    ),
}
# [language]: pieces of regular expressions; short, so that they also recognise how other models say it.
MARKS = {
    "en": (
        r"\b(?:do not|don't|cannot|can't) (?:know|say|tell|recall)\b",
        r"\bnot sure\b",
        r"\bno (?:idea|information)\b",
        r"\bnever heard\b",
        r"\b(?:did not|didn't|could not|couldn't|cannot|can't) find\b",
        r"\bfound nothing\b",
    ),
    "ko": ("모르", "모릅", "모른", "알지 못", "알 수 없", "정보가 없", "찾지 못", "찾을 수 없"),
}
_MARKS = re.compile("|".join(mark for marks in MARKS.values() for mark in marks), re.IGNORECASE)


def is_abstention(reply: str) -> bool:
    """Whether a reply says, in English or Korean, that it does not know or did not find."""
    return _MARKS.search(reply.replace("\u2019", "'")) is not None
