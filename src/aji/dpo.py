"""Direct preference optimisation (Rafailov et al. 2023), watched: its first loss is known, its usual ills are told."""

import math
from collections.abc import Collection, Mapping, Sequence
from statistics import fmean

import torch
from transformers import Trainer, TrainerCallback

from aji import upstream
from aji.errors import UserError
from aji.evals.intervals import mean
from aji.evals.wins import outcomes, win_metrics
from aji.generate import Completion
from aji.preferences import gold_scores
from aji.prefixes import read_once
from aji.replay import Replays


# Losses that are ln 2 as long as the policy is its reference.
LN2_LOSSES = {"sigmoid", "sigmoid_norm", "robust"}
# bf16 rounds the sum of log-probabilities of a reply by some hundredths; beta makes that a thousandth or two.
TOLERANCE = 0.02
LONGER = 1.5


class DPOTrainer(Replays, upstream.DPOTrainer):
    """DPO that may learn something else again in every step, so as not to forget it."""

    def __init__(self, model, *args, **kwargs):
        super().__init__(read_once(model), *args, **kwargs)  # upstream looks at the reference in there


def check_first_loss(trainer: Trainer) -> float:
    """The loss on pairs before the first step, which must be ln 2: policy and reference are then the same model.

    What `sft` adds beside another loss is left out; it looks at no pair. Raises UserError for another first loss than
    ln 2, and for a loss that does not exist. Losses of which the first value is not ln 2 are only returned.
    """
    rows = [trainer.train_dataset[i] for i in range(min(trainer.args.train_batch_size, len(trainer.train_dataset)))]
    every = trainer.loss_types, trainer.loss_weights
    try:
        losses = list(zip(*every, strict=True))
        names, weights = zip(*[one for one in losses if one[0] != "sft"] or losses, strict=True)
        trainer.loss_types, trainer.loss_weights = list(names), list(weights)
        with torch.no_grad(), trainer.compute_loss_context_manager():
            loss = trainer.compute_loss(trainer.model, trainer._prepare_inputs(trainer.data_collator(rows))).item()
    except ValueError as error:  # a loss that trl does not have: it only looks when it computes it
        raise UserError(f"loss_type: {error}") from error
    finally:
        trainer.loss_types, trainer.loss_weights = every
    for own in trainer._metrics.values():
        own.clear()
    trainer._total_train_tokens = 0
    if set(names) <= LN2_LOSSES and abs(loss / sum(weights) - math.log(2)) > TOLERANCE:
        raise UserError(
            f"the loss before the first step is {loss:.4f}, expected ln 2 = 0.6931: the reference is not the model "
            "that is trained. Set precompute_ref_log_probs: true, or give the model_name_or_path that was loaded."
        )
    return loss


class PreferenceWatch(TrainerCallback):
    """Prints how far chosen and rejected replies part, and keeps what the end says of it."""

    def __init__(self):
        self.last: Mapping[str, float] = {}

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not logs or "rewards/margins" not in logs:
            return
        self.last = dict(logs)
        if state.is_world_process_zero:
            print(
                f"  pairs in order {100 * logs['rewards/accuracies']:.0f} %, margin {logs['rewards/margins']:.2f}, "
                f"log-probability of chosen {logs['logps/chosen']:.1f}, of rejected {logs['logps/rejected']:.1f}",
                flush=True,
            )

    def metrics(self, beta: float) -> dict[str, float]:
        """`chosen_logps_change`, `rejected_logps_change`: nats per reply against the reference, at the last log."""
        if not self.last:
            return {}
        return {
            f"{side}_logps_change": round(self.last[f"rewards/{side}"] / beta, 3) for side in ("chosen", "rejected")
        }


def compare_replies(
    rows: Sequence[Mapping],
    ours: Sequence[Completion],
    theirs: Sequence[Completion],
    kinds: Collection[str] | None = None,
    samples: int = 1,
) -> dict:
    """Our replies against those of the model before, by the gold labeler: win rates, scores, lengths, stopping.

    Win rates are also told of the prompts whose kind is among `kinds` (`trained`): a model that learnt from pairs of
    jokes is to tell better jokes, and to stay as it was elsewhere. And of the replies that are other ones than before
    (`changed`): the same ones tie at equal length, where the regression on length sees hardly anything else.
    With several replies to a prompt, `rows` is the prompts over and over, `samples` times.
    """
    mine, before = gold_scores(rows, ours), gold_scores(rows, theirs)
    known = {
        (id(row), one.text): value
        for row, one, value in [*zip(rows, ours, mine, strict=True), *zip(rows, theirs, before, strict=True)]
    }

    def judge(row: Mapping, a: str, b: str) -> float:
        first, second = known[id(row), a], known[id(row), b]
        return 0.5 if first == second else float(first > second)

    wins = outcomes(rows, [one.text for one in ours], [one.text for one in theirs], judge)
    lengths = [[len(one.ids) for one in side] for side in (ours, theirs)]
    changed = [place for place, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a.text != b.text]
    trained = [place for place, row in enumerate(rows) if kinds and row["kind"] in kinds]
    return (
        win_metrics(rows, wins, *lengths, {"trained": trained, "changed": changed}, samples)
        | mean("gold_score", _of_prompts(mine, samples))
        | mean("gold_score_before", _of_prompts(before, samples))
        | {
            "reply_tokens": round(fmean(lengths[0]), 2),
            "reply_tokens_before": round(fmean(lengths[1]), 2),
            "replies_stopped": round(100 * fmean(one.stopped for one in ours), 2),
        }
    )


def _of_prompts(scores: Sequence[float], samples: int) -> list[float]:
    """The mean score of each prompt's replies."""
    prompts = len(scores) // samples
    return [fmean(scores[place::prompts]) for place in range(prompts)]


def warnings(metrics: Mapping[str, float]) -> list[str]:
    """What a user of DPO should know of this run and would not see in its loss."""
    found = []
    chosen, rejected = metrics.get("chosen_logps_change", 0), metrics.get("rejected_logps_change", 0)
    if chosen < 0:
        found.append(
            f"the chosen replies became less likely too ({chosen:.1f} nats a reply; rejected {rejected:.1f}): the "
            "margin grows by pushing both down. A smaller learning_rate, a larger beta, or more of sft in loss_type "
            "[sigmoid, sft] holds them."
        )
    now, before = metrics.get("reply_tokens", 0), metrics.get("reply_tokens_before", 0)
    if before and now > LONGER * before:
        found.append(
            f"replies became longer: {now:.0f} tokens instead of {before:.0f}. Look at win_rate_length_controlled; "
            "loss_type [sigmoid, sft] with loss_weights such as [1.0, 0.1] holds the length."
        )
    return found
