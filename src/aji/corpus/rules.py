"""The rules of Gopher, C4 and FineWeb for each language: datatrove's filters with the numbers of this table.

What a config's `rules` does not name keeps these values. English has the published ones, which are also the defaults
of datatrove's classes (Gopher: Rae et al. 2021, table A1; C4: Raffel et al. 2020; FineWeb: Penedo et al. 2024), with
FineWeb's one change to C4. Korean has FineWeb-2's numbers (configs/kor_Hang.yml, Penedo et al. 2025) where they do not
depend on how words are cut, and counts on real Korean text where they do: on 3,809 pieces of 50 to 300 eojeol of
novels, documentation and newspaper sentences, eojeol have 2.55 to 5.31 letters in the mean (1st and 99th percentile;
3.34 in the median), and 66 % to 93 % of the tokens hold a letter.
"""

import inspect
from typing import Any

from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.filters.base_filter import BaseFilter

from aji.corpus.block import Block
from aji.corpus.repetition import QuickGopherRepetition
from aji.corpus.words import RegexWords
from aji.errors import UserError


FILTERS: dict[str, type[BaseFilter]] = {
    "gopher_repetition": QuickGopherRepetition,
    "gopher_quality": GopherQualityFilter,
    "c4": C4QualityFilter,
    "fineweb": FineWebQualityFilter,
}
# Eojeol of their own among the 60 most frequent of the pieces above; particles are glued to nouns and cannot be found.
_STOP_WORDS = """
    수 이 그 저 것 등 및 더 또 한 두 때 할 하는 있는
    없는 같은 다른 대한 모든 위해 다시 때문에 그리고 그러나 하지만 있다 없다 한다 있다.
    없다. 한다. 했다. 것이다. 있습니다 합니다 않습니다 됩니다 입니다 것은 것이 것을 나는 우리
"""
KOREAN_STOP_WORDS = _STOP_WORDS.split()
RULES: dict[str, dict[str, dict[str, Any]]] = {
    "en": {
        "gopher_repetition": {},
        "gopher_quality": {},
        "c4": {"filter_no_terminal_punct": False},
        "fineweb": {},
    },
    "ko": {
        "gopher_repetition": {
            "dup_line_frac": 0.374,
            "top_n_grams": [[2, 0.282], [3, 0.228], [4, 0.185]],
            "dup_n_grams": [[5, 0.201], [6, 0.184], [7, 0.168], [8, 0.154], [9, 0.14], [10, 0.127]],
        },
        "gopher_quality": {
            "min_avg_word_length": 2,
            "max_avg_word_length": 7,
            "max_non_alpha_words_ratio": 0.6,
            "stop_words": KOREAN_STOP_WORDS,
            "min_stop_words": 1,
        },
        "c4": {"filter_no_terminal_punct": False, "min_words_per_line": 2},
        "fineweb": {"line_punct_thr": 0.062, "new_line_ratio": 0.196},
    },
}


class Rules(Block):
    """One of datatrove's filters, with the settings of each page's language.

    Args:
        name: a key of `FILTERS`.
        languages: those that can come; one without rules of its own here is judged by those for English.
        changes: {language: {filter: {setting: value}}}, as in a config. None as a value switches a rule off where
            datatrove's filter can do that.
    """

    def __init__(self, name: str, languages: list[str], changes: dict[str, dict[str, dict[str, Any]]] | None = None):
        self.name = name
        super().__init__()
        words = RegexWords()
        self.filters = {
            language: FILTERS[name](
                **RULES.get(language, RULES["en"])[name] | ((changes or {}).get(language) or {}).get(name, {}),
                language=words,
            )
            for language in languages
        }

    def judge(self, doc) -> str | None:
        verdict = self.filters[doc.metadata["language"]].filter(doc)
        if verdict is True:
            return None if doc.text else "empty"
        return verdict[1]


def check_rules(changes: dict[str, Any], languages: list[str]) -> None:
    """Raise `UserError` for a language, filter or setting in `changes` that does not exist."""
    for language, filters in changes.items():
        _known(language, languages, "rules", "a kept language")
        for name, settings in (filters or {}).items():
            _known(name, FILTERS, f"rules of {language}", "a filter")
            upstream = GopherRepetitionFilter if name == "gopher_repetition" else FILTERS[name]
            known = set(inspect.signature(upstream).parameters) - {"exclusion_writer", "language"}
            for setting in settings or {}:
                _known(setting, known, f"rules of {language}, {name}", "a setting")


def _known(found: str, known, where: str, what: str) -> None:
    if found not in known:
        raise UserError(f"{where}: found {found!r}, expected {what}: {', '.join(sorted(known))}")
