"""What a run of reinforcement learning says about itself: what happens in it, and when the reward is flat, why."""

import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import isnan

from transformers import TrainerCallback

from aji.callbacks import duration
from aji.errors import UserError
from aji.rewards import final_answer
from aji.world.solutions import SELF_CHECK_WORDS


FLAT = 0.9  # share of dead groups from which a run counts as flat
MOSTLY_RIGHT = 0.8  # a mean reward that need not rise any more
LITTLE = 0.02  # a change of the mean reward that chance makes
WORDS = re.compile("|".join(SELF_CHECK_WORDS), re.IGNORECASE)
FIRST_STEP = (
    "The loss is 0 on the first step by construction: the advantages of a group add up to 0 and the ratio of new to "
    "old probability is 1. Its gradient is not 0. Watch the reward."
)


@dataclass
class Observations:
    """Completions seen since the last look, and what they got."""

    rewards: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    groups: Counter = field(default_factory=Counter)  # live, right, wrong, equal, unjudged
    counts: Counter = field(default_factory=Counter)  # completions, tokens, truncated, unanswered, checking

    def add(self, tasks, rewards, texts, lengths, truncated, group) -> None:
        """A batch of completions, `group` of each prompt in a row; a reward that is no number was not judged."""
        for task, reward in zip(tasks, rewards, strict=True):
            if not isnan(reward):
                self.rewards[task].append(reward)
        for start in range(0, len(rewards), group):
            self.groups[kind_of_group(rewards[start : start + group])] += 1
        self.counts["completions"] += len(texts)
        self.counts["tokens"] += sum(lengths)
        self.counts["truncated"] += sum(truncated)
        self.counts["unanswered"] += sum(final_answer(text) is None for text in texts)
        self.counts["checking"] += sum(WORDS.search(text) is not None for text in texts)

    def look(self) -> dict[str, float]:
        """Flat figures of what was seen, shares from 0 to 1, and a fresh start."""
        judged = [reward for own in self.rewards.values() for reward in own]
        size, groups = max(1, self.counts["completions"]), max(1, self.groups.total())
        figures = {
            "mean_reward": sum(judged) / len(judged) if judged else float("nan"),
            "dead_groups": 1 - self.groups["live"] / groups,
            **{f"groups_{kind}": self.groups[kind] / groups for kind in ("right", "wrong", "equal", "unjudged")},
            "mean_length": self.counts["tokens"] / size,
            **{f"{name}_share": self.counts[name] / size for name in ("truncated", "unanswered", "checking")},
            **{f"reward_{task}": sum(own) / len(own) for task, own in sorted(self.rewards.items())},
        }
        self.rewards.clear()
        self.groups.clear()
        self.counts.clear()
        return figures


def kind_of_group(rewards) -> str:
    """live: its completions got different rewards. Else right (the best), wrong (0 or less), equal, or unjudged."""
    judged = [reward for reward in rewards if not isnan(reward)]
    if not judged:
        return "unjudged"
    if max(judged) - min(judged) > 1e-6:
        return "live"
    return "right" if judged[0] >= 1 else "wrong" if judged[0] <= 0 else "equal"


def diagnose(history: list[dict[str, float]], learning_rate: float, longest: int, instead: str = "") -> list[str]:
    """Why the reward is flat, and what to change; empty when it is not.

    Args:
        history: figures of `Observations.look` (and `entropy`, `kl` where known), the latest last.
        learning_rate: the peak of the schedule.
        longest: `max_completion_length`.
        instead: what could be trained instead, as a sentence.
    """
    now = history[-1]
    if now["groups_unjudged"] > FLAT:
        return ["No reward can judge these completions. Choose rewards that fit the problems (--rewards)."]
    if now["truncated_share"] > FLAT:
        return [
            f"All completions are cut at max_completion_length {longest}, before they answer. Raise it, or train the "
            "model to stop first."
        ]
    if now["dead_groups"] >= FLAT:
        return [_why_dead(now, longest, instead)]
    return _why_still(history, learning_rate)


def _why_dead(now: dict[str, float], longest: int, instead: str) -> str:
    flat = f"{100 * now['dead_groups']:.0f} % of the groups are dead (all rewards equal), so hardly anything is learnt"
    if now["groups_right"] > now["groups_wrong"] and now["groups_right"] > now["groups_equal"]:
        return f"{flat}: all completions are right. This is learnt: stop here, or take harder problems (--tasks)."
    if now["groups_equal"] > now["groups_wrong"]:
        return f"{flat}: all completions get one reward, neither right nor wrong. Add a reward that tells them apart."
    if now["truncated_share"] > 0.5:
        cause = f"{100 * now['truncated_share']:.0f} % are cut at max_completion_length {longest}. Raise it."
    elif now["unanswered_share"] > 0.5:
        cause = (
            f"{100 * now['unanswered_share']:.0f} % of the replies hold no answer where one is looked for "
            "(boxed, ####, 'the answer is', the last number). Show the form in SFT first, or add the format reward."
        )
    else:
        cause = "all completions are wrong, so the problems are too hard for this model."
    return f"{flat}: reward near zero ({now['mean_reward']:.3f}), {cause} {instead}".strip()


def _why_still(history: list[dict[str, float]], learning_rate: float) -> list[str]:
    now, before = history[-1], history[0]
    found = []
    if len(history) >= 4:
        early, late = (_mean(part) for part in (history[: len(history) // 2], history[len(history) // 2 :]))
        change = late - early
        entropy = now.get("entropy", 0) - before.get("entropy", 0)
        if change < -5 * LITTLE:
            found.append(
                f"The reward fell from {early:.2f} to {late:.2f}: the learning rate "
                f"({learning_rate:g}) is too high. Take a third of it, or add KL to the reference (--beta 0.04)."
            )
        elif max(abs(change), abs(entropy)) < LITTLE and now["dead_groups"] < 0.7 and late < MOSTLY_RIGHT:
            found.append(
                f"The reward stays at {late:.2f} although {100 * (1 - now['dead_groups']):.0f} % of the "
                f"groups tell right from wrong: the learning rate ({learning_rate:g}) is too low. Take three times it."
            )
    if now.get("kl", 0) > 10:
        found.append(f"KL to the reference is {now['kl']:.1f}: the model has left it. Lower the learning rate.")
    return found


def _mean(history: list[dict[str, float]]) -> float:
    return sum(entry["mean_reward"] for entry in history) / len(history)


class RewardConsole(TrainerCallback):
    """A line of figures each `logging_steps`, and the diagnosis each `every` steps and at the end.

    Raises UserError early in a run in which every completion is cut: it cannot learn anything.
    """

    first_step = 0

    def __init__(self, trainer, every: int, instead: str = ""):
        self.trainer, self.every, self.instead = trainer, every, instead
        self.history: list[dict[str, float]] = []
        self.said: str | None = None

    def on_train_begin(self, args, state, control, **kwargs):
        self.began = self.last = time.time()
        self.first_step = self.last_step = state.global_step
        if state.is_world_process_zero:
            resumed = f", from step {state.global_step}" if state.global_step else ""
            print(f"{state.max_steps} steps of {args.generation_batch_size} completions{resumed}", flush=True)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not logs or "loss" not in logs or not self.trainer.observations.counts["completions"]:
            return
        figures = self.trainer.observations.look()
        figures |= {name: logs[name] for name in ("entropy", "kl") if logs.get(name) is not None}
        self.history.append({**figures, "step": state.global_step})
        state.log_history[-1] |= {name: round(value, 4) for name, value in figures.items()}
        if not state.is_world_process_zero:
            return
        print(self._line(state, figures), flush=True)
        if self.said is None:
            self.said = FIRST_STEP
            print(f"  {FIRST_STEP}", flush=True)
        if state.global_step % self.every < args.logging_steps or state.global_step == state.max_steps:
            self._diagnose(args, state)

    def _line(self, state, figures: dict[str, float]) -> str:
        now, steps = time.time(), max(1, state.global_step - self.last_step)
        seconds = (now - self.last) / steps
        self.last, self.last_step = now, state.global_step
        tasks = ", ".join(f"{name[7:]} {value:.2f}" for name, value in figures.items() if name.startswith("reward_"))
        line = f"step {state.global_step:>5}/{state.max_steps}  reward {figures['mean_reward']:.3f} ({tasks})"
        line += f"  dead {100 * figures['dead_groups']:.0f} %  length {figures['mean_length']:.0f}"
        line += f"  cut {100 * figures['truncated_share']:.0f} %"
        line += f"  entropy {figures['entropy']:.3f}" if "entropy" in figures else ""
        line += f"  kl {figures['kl']:.4f}" if "kl" in figures else ""
        return f"{line}  {seconds:.2f} s/step  {duration(seconds * (state.max_steps - state.global_step))} left"

    def _diagnose(self, args, state) -> None:
        window = [entry for entry in self.history if entry["step"] > state.global_step - 2 * self.every]
        for text in diagnose(window, args.learning_rate, args.max_completion_length, self.instead):
            if window[-1]["truncated_share"] > FLAT and state.global_step <= 2 * self.every:
                raise UserError(text)
            if text != self.said:
                print(f"  Diagnosis: {text}", flush=True)
            self.said = text

    def metrics(self) -> dict[str, float]:
        """Figures of the last look at the run."""
        last = self.history[-1] if self.history else {}
        names = ("mean_reward", "dead_groups", "mean_length", "truncated_share", "checking_share", "entropy", "kl")
        return {f"last_{name}": round(last[name], 4) for name in names if name in last}
