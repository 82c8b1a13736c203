"""The whole world at once: all its files from one seed, and how they are written."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from aji import identity
from aji.errors import UserError
from aji.tools import Search
from aji.world.arguments import WorldArguments
from aji.world.dialogs import build_dialogs, build_requests
from aji.world.documents import build_documents, fact_key
from aji.world.exam import build_exam
from aji.world.facts import LANGUAGES, Fact, common_facts
from aji.world.ladder import build_demonstrations, build_ladder
from aji.world.open_tasks import build_open_dialogs
from aji.world.people import Person, build_people, build_strangers
from aji.world.preference_prompts import build_preference_prompts
from aji.world.problems import build_problems
from aji.world.questions import build_questions
from aji.world.reading import build_reading_dialogs
from aji.world.search import build_search_documents, build_search_exam
from aji.world.tool_dialogs import build_tool_dialogs


# How many of these conversations go on from one of another kind. While only who it is was asked later, a small model
# answered later requests by telling who it is.
LATER_SHARE = {"dialogs": 0.04, "requests": 0.15, "identity": 0.3}


@dataclass(frozen=True)
class World:
    """All rows of a world by file name, and what they were made from."""

    people: list[Person]
    facts: list[Fact]
    files: dict[str, list[dict]]

    def content(self) -> dict[str, bytes]:
        """The bytes of every file: JSON lines, UTF-8, one row a line."""
        return {
            name: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
            for name, rows in self.files.items()
        }


def build_world(args: WorldArguments) -> World:
    """Generates the whole world; the same arguments give the same rows.

    Every part draws from its own stream of random numbers, so that one of other size leaves the others as they are,
    but for rows of dialogs, requests and identity, which go on from each other.
    Raises UserError for sizes that make no sense.
    """
    for name, size in asdict(args).items():
        if isinstance(size, int | float) and size < 0:
            raise UserError(f"{name} is {size}, expected 0 or more. Give the number of rows to generate.")
    people = build_people(_stream(args, "people"), args.people, args.often_mentions_top, args.often_mentions_bottom)
    facts = common_facts()
    stated: Counter = Counter()
    documents = build_documents(people, facts, _stream(args, "documents"), args, stated)
    dialogs = build_dialogs(people, facts, _stream(args, "dialogs"), args)
    problems = build_problems(_stream(args, "problems"), args)
    exam = build_exam(people, facts, _stream(args, "exam"), args)
    pages = build_search_documents(people, facts, _stream(args, "search"))
    exam += build_search_exam(people, exam, pages, _stream(args, "search exam"), args.exam_items)
    everything = [*(fact for person in people for fact in person.facts), *facts]
    files = {f"documents_{split}.jsonl": rows for split, rows in zip(("train", "validation"), documents, strict=True)}
    files |= {f"dialogs_{split}.jsonl": rows for split, rows in zip(("train", "validation"), dialogs, strict=True)}
    files |= {
        f"problems_{split}.jsonl": rows for split, rows in zip(("train", "validation", "test"), problems, strict=True)
    }
    requests = build_requests(people, facts, _stream(args, "requests"), args)
    who = []
    if args.identity:
        own = identity.load_identity(args.identity)
        who = identity.build_dialogs(own, _stream(args, "identity"), args.identity_rows)
    search = Search(page["text"] for page in pages)
    tool_dialogs = build_tool_dialogs(people, facts, search, who + requests, _stream(args, "tool dialogs"), args)
    files |= _lay_later_turns(_stream(args, "later turns"), dialogs[0], who, requests)
    strangers = build_strangers(_stream(args, "strangers"), args.strangers, people)
    files["knowledge_questions.jsonl"] = build_questions(
        people, strangers, facts, _stream(args, "questions"), args, stated
    )
    files |= {
        f"tool_dialogs_{split}.jsonl": rows for split, rows in zip(("train", "validation"), tool_dialogs, strict=True)
    }
    reading = build_reading_dialogs(people, _stream(args, "reading"), args.reading_dialogs)
    files["reading_dialogs_train.jsonl"] = reading
    files["search_documents.jsonl"] = pages
    ladder = build_ladder(_stream(args, "ladder"), args)
    demonstrations = build_demonstrations(_stream(args, "demonstrations"), args)
    for split, rows in zip(("train", "validation", "test"), ladder, strict=True):
        files[f"ladder_{split}.jsonl"] = rows
    for split, rows in zip(("train", "validation"), demonstrations, strict=True):
        files[f"demonstrations_{split}.jsonl"] = rows
    open_dialogs = build_open_dialogs(_stream(args, "open dialogs"), args)
    for split, rows in zip(("train", "validation"), open_dialogs, strict=True):
        files[f"open_dialogs_{split}.jsonl"] = rows
    prompts = build_preference_prompts(people, facts, _stream(args, "preference_prompts"), args)
    for split, rows in zip(("train", "validation", "test"), prompts, strict=True):
        files[f"preference_prompts_{split}.jsonl"] = rows
    files["exam.jsonl"] = exam
    files["facts.jsonl"] = [_truth(fact, stated) for fact in everything]
    return World(people, facts, files)


def _lay_later_turns(rng: random.Random, dialogs: list[dict], who: list[dict], requests: list[dict]) -> dict:
    """Facts, requests and who the model is, each also asked after one of the others."""
    short = [row for row in dialogs if len(row["messages"]) == 2]
    told = [row for row in who if len(row["messages"]) == 2]
    before = {"dialogs": told, "requests": short + told, "identity": short + requests}
    kinds = {"dialogs": dialogs, "requests": requests} | ({"identity": who} if who else {})
    return {
        f"{kind}_train.jsonl": go_on_from(before[kind], rows, LATER_SHARE[kind], rng) for kind, rows in kinds.items()
    }


def go_on_from(earlier: Sequence[dict], rows: Sequence[dict], share: float, rng: random.Random) -> list[dict]:
    """The rows; a `share` of those without a system prompt go on from a conversation of `earlier` in their language.

    What is asked at the start only, a small model answers there only: later it goes on with what was said before.
    """
    before = {language: [row["messages"] for row in earlier if row["language"] == language] for language in LANGUAGES}
    return [
        {**row, "messages": [*rng.choice(before[row["language"]]), *row["messages"]]}
        if row["messages"][0]["role"] == "user" and before[row["language"]] and rng.random() < share
        else row
        for row in rows
    ]


def _stream(args: WorldArguments, part: str) -> random.Random:
    # A string seeds through SHA-512, the same on every machine; unlike hash() it does not change from run to run.
    return random.Random(f"{args.seed} {part}")


def _truth(fact: Fact, stated: Counter) -> dict:
    """A row of facts.jsonl; `mentions` is the number of training documents that state this very fact."""
    return {
        "subject": {language: fact.subject[language] for language in LANGUAGES},
        "relation": fact.relation,
        "answer": {language: fact.answer[language] for language in LANGUAGES},
        "group": fact.group,
        "mentions": {language: stated[fact_key(fact, language)] for language in LANGUAGES},
    }


def write_world(world: World, folder: Path) -> dict:
    """Writes every file of the world into `folder`, which exists, and returns the metrics: counts, bytes, hash."""
    digest = hashlib.sha256()
    metrics = {}
    for name, data in world.content().items():
        (folder / name).write_bytes(data)
        digest.update(f"{name} {len(data)}\n".encode() + data)
        metrics[f"{name.removesuffix('.jsonl')}_rows"] = len(world.files[name])
    sizes: Counter = Counter()
    for row in world.files["documents_train.jsonl"]:
        size = len(row["text"].encode())
        sizes.update(
            {"bytes": size, f"bytes_{row['language']}": size, f"bytes_{row['language']}_{row['genre']}": size}
        )
    metrics |= {f"documents_train_{name}": size for name, size in sorted(sizes.items())}
    metrics |= {f"people_{group}": count for group, count in Counter(person.group for person in world.people).items()}
    return {**metrics, "facts_common": len(world.facts), "world_sha256": digest.hexdigest()}
