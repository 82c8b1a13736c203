"""How problems are asked: wordings of the two ways, word problems, and the names and things in them."""

from aji.world.facts import read_table


NAMES = {
    "en": ("Mina", "Tom", "Anna", "Ben", "Lily", "Sam", "Jane", "Leo", "Emma", "Max"),
    # All end in a vowel: spoken Korean adds a syllable to the others ("서연이는").
    "ko": ("민수", "영희", "지우", "수아", "하나", "유나", "민지", "준호", "은지", "도희"),
}

# The thing and how it is counted: nothing in English, where the plural does, a counter word in Korean.
ITEMS = {
    "en": tuple(
        (item, "") for item in ("apples", "marbles", "books", "pencils", "cards", "coins", "shells", "cookies")
    ),
    "ko": (
        *(("사과", "개"), ("구슬", "개"), ("책", "권"), ("연필", "자루")),
        *(("카드", "장"), ("동전", "개"), ("조개껍데기", "개"), ("쿠키", "개")),
    ),
}

OPERATOR_WORDS = {
    "en": {"+": "plus", "-": "minus", "*": "times"},
    "ko": {"+": "더하기", "-": "빼기", "*": "곱하기"},
}


def wordings(kind: str, name: str = "problem_wordings") -> dict[str, dict[str, dict[str, tuple[str, ...]]]]:
    """Table[name][language][split]. What the exam says is never said in training, but in words that training uses."""
    table = {}
    for row in read_table(name):
        if row["kind"] == kind:
            splits = table.setdefault(row["name"], {}).setdefault(row["language"], {})
            splits[row["split"]] = (*splits.get(row["split"], ()), row["text"])
    return table


# By way ("direct", "steps"); "{problem}" is an expression such as "47 + 85", "{story}" a word problem.
EXPRESSIONS = wordings("expression")
STORY_REQUESTS = wordings("request")
# By operators ("+", "+-", ...). {a}, {b}, {c} are counted numbers ("3", in Korean "3개"), {a_count} is the bare first.
STORIES = wordings("story")
