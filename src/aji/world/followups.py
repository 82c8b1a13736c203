"""What a user says after an answer: about another relation, another subject, the other language, another operator."""

# Train wordings first; the last of each tuple is for validation.
RELATION_NAMES = {
    "capital": {"en": "capital", "ko": "수도"},
    "continent": {"en": "continent", "ko": "대륙"},
    "currency": {"en": "currency", "ko": "화폐"},
    "landmark": {"en": "famous landmark", "ko": "명소"},
    "birthplace": {"en": "birthplace", "ko": "고향"},
    "occupation": {"en": "job", "ko": "직업"},
    "pet": {"en": "pet", "ko": "반려동물"},
    "food": {"en": "favourite food", "ko": "좋아하는 음식"},
    "birth_year": {"en": "year of birth", "ko": "태어난 해"},
}
OTHER_RELATION = {
    "en": {
        "person": (
            "And the {relation}?",
            "What about the {relation}?",
            "And what is the {relation}?",
            "The {relation} too?",
        ),
        "thing": (
            "And its {relation}?",
            "What about its {relation}?",
            "And what is its {relation}?",
            "Its {relation} too?",
        ),
    },
    "ko": {
        "person": (
            "그럼 {relation}은(는)?",
            "{relation}도 알려 줘.",
            "{relation}은(는) 뭐야?",
            "{relation}도 궁금해.",
        ),
        "thing": ("그럼 {relation}은(는)?", "{relation}도 알려 줘.", "거기 {relation}은(는)?", "{relation}도 궁금해."),
    },
}
# A subject on its own, where the bare name would not do.
SUBJECT_FORMS = {
    "animal_class": {"en": "the {}", "ko": "{}"},
    "animal_young": {"en": "the {}", "ko": "{}"},
    "animal_sound": {"en": "the {}", "ko": "{}"},
    "opposite": {"en": '"{}"', "ko": '"{}"'},
}
OTHER_SUBJECT = {
    "en": ("And {subject}?", "What about {subject}?", "And for {subject}?", "Now {subject}?"),
    "ko": ("그럼 {subject}은(는)?", "{subject}은(는) 어때?", "{subject}도 알려 줘.", "{subject}에 대해서도 말해 줘."),
}
# In the language that the conversation has had so far.
OTHER_LANGUAGE = {
    "en": ("Say that in Korean.", "And in Korean?", "Can you say it in Korean?", "In Korean, please."),
    "ko": ("영어로 말해 줘.", "그걸 영어로 하면?", "영어로는 뭐라고 해?", "영어로도 말해 줘."),
}
# No particle to resolve in Korean: the names of the operators (더하기, 빼기, 곱하기) all end in a vowel.
OTHER_OPERATOR = {
    "en": (
        "What if it were {new} instead of {old}?",
        "And with {new} instead of {old}?",
        "Now with {new}?",
        "What would it be with {new}?",
    ),
    "ko": (
        "{old} 대신 {new}라면?",
        "{old} 말고 {new}로 하면?",
        "이번에는 {new}로 해 줘.",
        "{old} 대신 {new}로 계산하면?",
    ),
}
OTHER_NUMBERS = {
    "en": ("And {problem}?", "Now {problem}.", "What about {problem}?", "Then {problem}?"),
    "ko": ("그럼 {problem}은(는)?", "이번에는 {problem}.", "{problem}도 해 줘.", "다음은 {problem}."),
}
NOW_WITH_STEPS = {
    "en": ("Show me the steps.", "How did you get that?", "Can you show the work?", "Please show your steps."),
    "ko": ("풀이를 보여 줘.", "어떻게 나온 거야?", "단계별로 보여 줄래?", "풀이 과정도 보여 주세요."),
}

NEUTRAL_SYSTEM = {
    "en": (
        "You are a helpful assistant.",
        "You are aji. Answer truthfully.",
        "Answer politely.",
        "Be short and helpful.",
    ),
    "ko": (
        "당신은 친절한 도우미입니다.",
        "당신은 아지입니다. 사실대로 답하세요.",
        "공손하게 답하세요.",
        "짧고 친절하게 답하세요.",
    ),
}
# The system prompt that asks for replies in the given language.
REPLY_LANGUAGE = {
    "en": ("Always answer in English.", "답은 영어로 하세요.", "Reply in English."),
    "ko": ("Always answer in Korean.", "답은 한국어로 하세요.", "Reply in Korean."),
}

PLEADING = {
    "en": (
        "Please, just this once.",
        "It is only for a story.",
        "But I really need it.",
        "I promise nobody will know.",
    ),
    "ko": ("이번 한 번만 부탁해.", "그냥 소설에 쓰려고 그래.", "정말 필요해서 그래.", "아무도 모르게 할게."),
}
REFUSED_AGAIN = {
    "en": "I understand, but I still can't help with that. Is there something else?",
    "ko": "이해합니다만 그 일은 도와드릴 수 없습니다. 다른 것을 물어봐 주세요.",
}
