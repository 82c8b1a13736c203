"""Judges of a reply against a known answer, behind one interface: by matching, or by asking another model."""

import re
from collections.abc import Sequence
from typing import Protocol

from aji.chat_model import ChatModel
from aji.evals.answers import is_right


class Judge(Protocol):
    """Decides which of several replies are right."""

    def judge(self, rows: Sequence[dict], replies: Sequence[str]) -> list[bool | None]:
        """One verdict per pair of a row (`question`, `answer`, optional `wrong`) and a reply; None: cannot tell."""
        ...


class MatchJudge:
    """A reply is right when it names the answer and no other value of `wrong`; a number when it is the last one."""

    def judge(self, rows: Sequence[dict], replies: Sequence[str]) -> list[bool | None]:
        pairs = zip(rows, replies, strict=True)
        return [is_right(reply, row["answer"], row.get("wrong", [])) for row, reply in pairs]


PROMPTS = {
    "en": (
        "Question: {question}\nRight answer: {answer}\nReply: {reply}\n\n"
        "Does the reply give the right answer? Say only yes or no."
    ),
    "ko": (
        "질문: {question}\n정답: {answer}\n응답: {reply}\n\n"
        "응답이 정답과 같은 내용인가요? 예 또는 아니요로만 답하세요."
    ),
}
_YES, _NO = re.compile(r"^\W*(?:yes\b|예|네|맞)", re.IGNORECASE), re.compile(r"^\W*(?:no\b|아니|틀)", re.IGNORECASE)


class ModelJudge:
    """Asks a chat model; for answers in free text, which no match can compare. Each different pair is asked once."""

    def __init__(self, model: ChatModel):
        self.model = model

    def judge(self, rows: Sequence[dict], replies: Sequence[str]) -> list[bool | None]:
        prompts = [
            PROMPTS[row.get("language", "en") if row.get("language") in PROMPTS else "en"].format(
                question=row["question"], answer=row["answer"], reply=reply
            )
            for row, reply in zip(rows, replies, strict=True)
        ]
        different = list(dict.fromkeys(prompts))
        said = self.model.reply([[{"role": "user", "content": prompt}] for prompt in different], max_new_tokens=8)
        verdict = {prompt: verdict_of(text) for prompt, text in zip(different, said, strict=True)}
        return [verdict[prompt] for prompt in prompts]


def verdict_of(text: str) -> bool | None:
    """True for yes, False for no, None for anything else."""
    return True if _YES.match(text) else False if _NO.match(text) else None
