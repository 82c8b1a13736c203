"""Comparisons as pairs: a prompt, a chosen and a rejected reply; what cannot be learnt from is counted, with reasons.

Rows: `prompt` (messages), `chosen`, `rejected` (lists of one message, the canonical columns), `group` (pairs of one
ranking share it), and where they are known `language`, `kind`, `chosen_score`, `rejected_score` (gold scores).
"""

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from aji import chatml
from aji.data import trees
from aji.data.files import Row
from aji.data.load import open_rows
from aji.data.preference_formats import MAPPED, Ranking, Unusable, to_rankings
from aji.errors import UserError


REASONS = {
    "equal": "compare a reply with itself",
    "empty": "have a side without reply",
    "prompts_differ": "reply to different prompts",
    "long": "are longer than max_length",
}


@dataclass
class PreferenceArguments:
    """The comparisons to learn from and those to hold out."""

    train_file: str = field(
        metadata={
            "help": "Comparisons: chosen and rejected, Anthropic HH, UltraFeedback, Open Assistant trees, rankings; a "
            "file, a folder, a quoted pattern, or the id of a data set on the Hub."
        }
    )
    eval_file: str | None = field(default=None, metadata={"help": "Held-out comparisons, in the same forms."})
    eval_tail: float = field(
        default=0.0,
        metadata={"help": "Without eval_file: share of the end of train_file to hold out, whole prompts."},
    )
    columns: dict[str, str] | None = field(
        default=None,
        metadata={"help": "Columns of an unknown form: '{prompt: Q, chosen: GOOD, rejected: BAD}'."},
    )
    pairs_per_prompt: int | None = field(
        default=None,
        metadata={
            "help": "Take only so many of the pairs of a ranking, at random, of different replies while there are."
        },
    )
    max_rows: int | None = field(default=None, metadata={"help": "Use only this many rows, the first of each set."})
    dataset_config: str | None = field(default=None, metadata={"help": "Configuration of a data set on the Hub."})
    train_split: str = field(default="train", metadata={"help": "Split of a data set on the Hub to train on."})
    eval_split: str | None = field(default=None, metadata={"help": "Split of a data set on the Hub to hold out."})

    def __post_init__(self):
        if not 0 <= self.eval_tail < 1:
            raise UserError(f"eval_tail is {self.eval_tail}, expected a share from 0 up to 1: 0.1 is the last tenth")
        if self.eval_tail and (self.eval_file or self.eval_split):
            raise UserError("found eval_tail and a held-out set, expected one of them. Remove eval_tail")
        for name in ("max_rows", "pairs_per_prompt"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}, expected at least 1")
        wrong = next((key for key in self.columns or () if key not in MAPPED), None)
        if wrong or (self.columns and set(self.columns) != set(MAPPED)):
            raise UserError(f"columns: found {', '.join(self.columns)}, expected {', '.join(MAPPED)}")


def load_preference_splits(args: PreferenceArguments) -> tuple[list[dict], list[dict], Counter]:
    """The pairs to train on, those held out (none when nothing asks for them), and what was left out, by reason.

    Those to train on come ranking by ranking, in random order: a file may be sorted by kind.
    """
    dropped: Counter = Counter()

    def load(source: str, split: str) -> list[dict]:
        rows = open_rows(source, args.dataset_config, split, args.max_rows)
        return load_preferences(rows, source, args.columns, args.pairs_per_prompt, dropped)

    train = load(args.train_file, args.train_split)
    if args.eval_file or args.eval_split:
        eval_file, eval_split = args.eval_file or args.train_file, args.eval_split or args.train_split
        same = Path(eval_file).is_file() and Path(args.train_file).resolve() == Path(eval_file).resolve()
        if same or (eval_file, eval_split) == (args.train_file, args.train_split):
            raise UserError(
                f"the held-out set is the training set ({eval_file}), so its accuracy would say nothing. Give another "
                "eval_file, or hold out the end of train_file with --eval_tail 0.1"
            )
        held_out = load(eval_file, eval_split)
    else:
        train, held_out = _split_tail(train, args.eval_tail)
    report_dropped(dropped, len(train) + len(held_out))
    rankings = [[*own] for _, own in itertools.groupby(train, key=lambda pair: pair["group"])]
    random.Random("rankings").shuffle(rankings)
    return [pair for own in rankings for pair in own], held_out, dropped


def load_preferences(
    rows: Iterator[Row],
    source: str,
    columns: Mapping[str, str] | None = None,
    pairs_per_prompt: int | None = None,
    dropped: Counter | None = None,
) -> list[dict]:
    """Pairs of all rankings in `rows`, in their order; `dropped` counts those left out. Raises `UserError`."""
    dropped = Counter() if dropped is None else dropped
    pairs: list[dict] = []
    group, last = -1, None
    for ranking in _rankings(rows, columns, dropped):
        if ranking.prompt != last:
            group, last = group + 1, ranking.prompt
        own = list(_pairs(ranking, dropped))
        if pairs_per_prompt is not None and len(own) > pairs_per_prompt:
            own = _apart(own, pairs_per_prompt, random.Random(f"{group} pairs"))
        pairs += [pair | {"group": group} for pair in own]
    if not pairs:
        reasons = ", ".join(f"{count} {REASONS[reason]}" for reason, count in dropped.items())
        raise UserError(f"{source}: found no two replies to compare{f' ({reasons})' if reasons else ''}")
    return pairs


def _rankings(rows: Iterator[Row], columns: Mapping[str, str] | None, dropped: Counter) -> Iterator[Ranking]:
    first = next(rows, None)
    if first is None:
        return
    rows = itertools.chain([first], rows)
    if trees.is_message(first[1]):
        planted = trees.plant([row for _, row in rows])
        rows = ((f"tree of message {tree['prompt']['message_id']}", tree) for tree in planted)
    for where, row in rows:
        try:
            yield from to_rankings(row, where, columns)
        except Unusable as reason:
            dropped[str(reason)] += 1


def _pairs(ranking: Ranking, dropped: Counter) -> Iterator[dict]:
    for a, b in itertools.combinations(range(len(ranking.replies)), 2):
        if ranking.ranks[a] == ranking.ranks[b]:
            continue
        better, worse = (a, b) if ranking.ranks[a] < ranking.ranks[b] else (b, a)
        chosen, rejected = ranking.replies[better].strip(), ranking.replies[worse].strip()
        if not chosen or not rejected or chosen == rejected:
            dropped["equal" if chosen and rejected else "empty"] += 1
            continue
        pair = {
            "prompt": ranking.prompt,
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
        }
        if ranking.truth:
            pair |= {"chosen_score": ranking.truth[better], "rejected_score": ranking.truth[worse]}
        yield pair | ranking.kept


def _apart(pairs: list[dict], count: int, rng: random.Random) -> list[dict]:
    """So many pairs at random, but none of a reply that stands in one already while there are others.

    Two labels of two pairs of replies say more than two of one reply.
    """
    left, chosen, used = rng.sample(pairs, len(pairs)), [], Counter()
    for _ in range(count):
        pair = min(left, key=lambda pair: sum(used[text] for text in _texts(pair)))
        left.remove(pair)
        chosen.append(pair)
        used.update(_texts(pair))
    return chosen


def _texts(pair: Mapping) -> tuple[str, str]:
    return pair["chosen"][0]["content"], pair["rejected"][0]["content"]


def _split_tail(pairs: list[dict], share: float) -> tuple[list[dict], list[dict]]:
    """Everything but the last `share` of the prompts, and the pairs of those."""
    if not share:
        return pairs, []
    groups = pairs[-1]["group"] + 1
    cut = int(round(groups * (1 - share), 6))
    train = [pair for pair in pairs if pair["group"] < cut]
    if not train or len(train) == len(pairs):
        raise UserError(f"eval_tail {share} of {groups} prompts leaves one side empty. Change it or give an eval_file")
    return train, pairs[len(train) :]


def report_dropped(dropped: Mapping[str, int], kept: int) -> None:
    """Say what was left out and why, and stop when that is most."""
    lost = sum(dropped.values())
    if not lost:
        return
    reasons = ", ".join(f"{count:,} {REASONS[reason]}" for reason, count in dropped.items())
    print(f"left out {lost:,} of {kept + lost:,} pairs: {reasons}")


def pair_counts(pairs: Sequence[Mapping], kept: int, dropped: Mapping[str, int]) -> dict[str, int]:
    """Metrics of a training set: pairs that were `kept`, those there the other way round, those left out by reason."""
    left_out = {f"dropped_{reason}": count for reason, count in dropped.items()}
    return {"train_pairs": kept, "swapped_pairs": count_swapped(pairs)} | left_out


def count_swapped(pairs: Sequence[Mapping]) -> int:
    """How many pairs are also there the other way round: people disagree, or columns were mixed up."""
    seen = Counter((json.dumps(pair["prompt"], sort_keys=True), *_texts(pair)) for pair in pairs)
    return sum(count for (prompt, chosen, rejected), count in seen.items() if (prompt, rejected, chosen) in seen)


def encode_preferences(
    pairs: Sequence[Mapping], tokenizer: PreTrainedTokenizerBase, max_length: int, dropped: Counter
) -> list[dict]:
    """Pairs in tokens: `prompt_ids`, `chosen_ids`, `rejected_ids` (each reply with its stop token), and the pair's own
    columns but the texts.

    A pair with a side longer than `max_length` tokens, prompt included, is left out and counted as long: a reply that
    is cut is another reply. Raises UserError when none is left, and for a template that renders the prompt of the two
    sides differently.
    """
    sides = {side: [[*pair["prompt"], *pair[side]] for pair in pairs] for side in ("chosen", "rejected")}
    different = {repr(one): one for own in sides.values() for one in own}  # a reply stands in many pairs of a ranking
    known = dict(zip(different, map(reply_of, chatml.encode(tokenizer, list(different.values()))), strict=True))
    encoded = ([known[repr(one)] for one in own] for own in sides.values())
    rows, long = [], 0
    for pair, (prompt, chosen_ids), (other, rejected_ids) in zip(pairs, *encoded, strict=True):
        ends = {ids[-1] if ids else None for ids in (chosen_ids, rejected_ids)}
        if prompt != other or ends != {tokenizer.eos_token_id}:
            raise UserError(
                "the chat template does not end a reply with the stop token, or renders a prompt by its reply: "
                "train the model with recipes/sft.py, whose gate refuses such templates."
            )
        if len(prompt) + max(len(chosen_ids), len(rejected_ids)) > max_length:
            long += 1
            continue
        others = {key: value for key, value in pair.items() if key not in ("prompt", "chosen", "rejected")}
        rows.append({"prompt_ids": prompt, "chosen_ids": chosen_ids, "rejected_ids": rejected_ids, **others})
    if long:
        dropped["long"] += long
        print(f"left out {long:,} of {len(pairs):,} pairs that are longer than {max_length} tokens (max_length)")
    if not rows:
        raise UserError(
            f"no pair fits into {max_length} tokens: give a larger --max_length (up to the context of the model)."
        )
    return rows


def reply_of(encoded: chatml.Encoded) -> tuple[list[int], list[int]]:
    """The ids before the last reply of a conversation, and those of the reply with its stop token."""
    end = len(encoded.trained)
    while end and not encoded.trained[end - 1]:
        end -= 1
    start = end
    while start and encoded.trained[start - 1]:
        start -= 1
    return encoded.input_ids[:start], encoded.input_ids[start:end]
