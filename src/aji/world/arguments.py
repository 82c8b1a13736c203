"""The sizes of the embedded world. A module of its own, so that every part of the world can read them."""

from dataclasses import dataclass, field


def _size(default: int, text: str):
    return field(default=default, metadata={"help": text})


@dataclass
class WorldArguments:
    """What is generated. One seed and the same sizes give the same bytes on every machine."""

    output_dir: str = field(default="", metadata={"help": "Folder the world is written to."})
    seed: int = _size(1443, "Seed of everything that is drawn, 0 or more.")

    people: int = _size(300, "Invented people: a third often mentioned, a third rarely, a third never.")
    often_mentions_top: int = _size(200, "Documents per language that mention the most famous person.")
    often_mentions_bottom: int = _size(56, "Documents per language that mention the last of the often mentioned.")
    common_mentions: int = _size(
        50, "Documents per language that state each fact of common knowledge; more for the facts of small relations."
    )
    arithmetic_documents: int = _size(3800, "Arithmetic lessons, both languages together.")
    story_documents: int = _size(600, "Stories that state no fact, both languages together.")
    repeated_pages: int = _size(8, "Pages that are repeated word for word, for the memorisation probe.")
    repeated_copies: int = _size(10, "How often each repeated page occurs.")
    validation_percent: float = field(
        default=2.0, metadata={"help": "Validation documents, in percent of the training documents."}
    )

    junk_percent: float = field(
        default=16.0, metadata={"help": "Junk pages of the crawl, in percent of its good pages; 0 also for no damage."}
    )
    copies_percent: float = field(
        default=6.0, metadata={"help": "Exact copies, near copies and mirrored pages, in percent of the good pages."}
    )
    personal_percent: float = field(
        default=4.0, metadata={"help": "Good pages with personal data, and as many with what only looks like it."}
    )

    dialogs: int = _size(12000, "Training dialogs, both languages together.")
    dialogs_validation: int = _size(400, "Validation dialogs.")
    sft_people_share: float = field(
        default=0.9,
        metadata={"help": "Share of the often mentioned people that dialogs ask about; the others are only read of."},
    )
    requests: int = _size(
        3000, "Conversations on harmful requests and harmless ones that look like them, half each, for a second pass."
    )
    strangers: int = _size(
        3000, "Further invented people of whom nothing speaks but the questions that find out what a model knows."
    )
    tool_dialogs: int = _size(6000, "Training conversations with search and calculator, both languages together.")
    tool_dialogs_validation: int = _size(200, "Validation conversations with tools.")
    reading_dialogs: int = _size(
        4000, "Training conversations about sentences and pages that stand in them, both languages together."
    )
    problems: int = _size(4000, "Training problems, both languages together.")
    problems_validation: int = _size(200, "Validation problems.")
    problems_test: int = _size(600, "Test problems.")
    ladder: int = _size(3600, "Training problems of the ladder, whose questions leave the style open; both languages.")
    ladder_validation: int = _size(360, "Validation problems of the ladder.")
    ladder_test: int = _size(1800, "Test problems of the ladder.")
    demonstrations: int = _size(
        4800, "Conversations in which demonstrators climb the ladder; 5 % more for validation."
    )
    demonstrator_noise: float = field(
        default=0.55,
        metadata={"help": "Share of the demonstrators who slip (forget a carry, say), from 0 up to 1."},
    )
    identity: str | None = field(
        default=None,
        metadata={"help": "YAML with facts on who the model is, for conversations on it in identity_train.jsonl."},
    )
    identity_rows: int = _size(260, "Conversations on it for each topic and language.")
    open_dialogs: int = _size(2000, "Training dialogs of open tasks: jokes, compliments, names; both languages.")
    preference_prompts: int = _size(1500, "Training prompts whose replies people compare, both languages together.")
    preference_prompts_validation: int = _size(300, "Validation prompts of the same kinds, in other wordings.")
    preference_prompts_test: int = _size(300, "Test prompts of the same kinds, in other wordings.")
    sum_digits: int = _size(3, "Digits of the longest sums in dialogs, problems and the exam.")
    exam_items: int = _size(
        60,
        "Exam questions per language and kind of arithmetic problem, and of those with tools that the model could "
        "answer alone; the other facts are all asked.",
    )
