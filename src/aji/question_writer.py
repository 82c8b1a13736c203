"""Questions with known answers from any text: a chat model reads a paragraph and writes one, with its answer."""

import logging
import re
from collections.abc import Sequence

from aji.chat_model import ChatModel
from aji.errors import UserError
from aji.knowledge import language_of


logger = logging.getLogger(__name__)

PROMPTS = {
    "en": (
        "Read this paragraph:\n\n{paragraph}\n\nWrite one question that it answers, clear without the paragraph, and "
        "the short answer, in this form:\nQuestion: ...\nAnswer: ..."
    ),
    "ko": (
        "다음 글을 읽으세요.\n\n{paragraph}\n\n이 글로 답할 수 있고 글이 없어도 뜻이 분명한 질문 하나와 짧은 답을 "
        "이 형식으로 쓰세요.\n질문: ...\n답: ..."
    ),
}
_WRITTEN = re.compile(
    r"(?:question|질문)\s*:\s*(?P<question>.+?)\s*\n\s*(?:answer|답|답변|정답)\s*:\s*(?P<answer>.+?)\s*(?:\n|$)",
    re.IGNORECASE | re.DOTALL,
)


def paragraphs(texts: Sequence[str], most: int | None, shortest: int = 80, longest: int = 1_200) -> list[str]:
    """Different paragraphs of `shortest` to `longest` characters, at most `most`, evenly spread over the texts."""
    found = [piece.strip() for text in texts for piece in re.split(r"\n\s*\n|\n", text)]
    fitting = list(dict.fromkeys(piece for piece in found if shortest <= len(piece) <= longest))
    if not fitting:
        raise UserError(
            f"found no paragraph of {shortest} to {longest} characters in {len(texts)} documents, expected some. "
            "Give texts with longer lines, or questions of your own with --questions"
        )
    count = min(most or len(fitting), len(fitting))
    return [fitting[index * len(fitting) // count] for index in range(count)]


def write_questions(model: ChatModel, chosen: Sequence[str], max_new_tokens: int = 128) -> list[dict]:
    """Rows `question`, `answer`, `language`, `paragraph`.

    What the model wrote in another form is left out and counted. Raises UserError when nothing is left.
    """
    languages = [language_of(paragraph) for paragraph in chosen]
    prompts = [
        PROMPTS[language].format(paragraph=paragraph) for language, paragraph in zip(languages, chosen, strict=True)
    ]
    written = model.reply([[{"role": "user", "content": prompt}] for prompt in prompts], max_new_tokens)
    rows = []
    for paragraph, language, text in zip(chosen, languages, written, strict=True):
        if found := _WRITTEN.search(text):
            rows.append({**found.groupdict(), "language": language, "paragraph": paragraph})
    if not rows:
        raise UserError(
            f"the question model wrote no question in the form that was asked for, but {written[0][:60]!r}. "
            "Give one that follows instructions"
        )
    if len(rows) < len(chosen):
        logger.warning("left out %d of %d paragraphs: no question in the form asked for", len(chosen) - len(rows),
                       len(chosen))  # fmt: skip
    return rows
