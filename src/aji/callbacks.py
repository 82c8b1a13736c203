"""What one sees of a training run: a line of numbers, samples of what the model says, and a clean stop."""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedTokenizerBase, TrainerCallback

from aji.errors import UserError
from aji.generate import generate


def duration(seconds: float) -> str:
    """Seconds as `m:ss`, or `h:mm:ss` from an hour on."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class ConsoleCallback(TrainerCallback):
    """One line each `logging_steps`: step, loss, learning rate, tokens per second, time left.

    Args:
        tokens_per_step: tokens that one optimizer step takes in, over all processes.
    """

    def __init__(self, tokens_per_step: int):
        self.tokens_per_step = tokens_per_step

    def on_train_begin(self, args, state, control, **kwargs):
        self.began = self.last = time.time()
        self.first_step = self.last_step = state.global_step
        if state.is_world_process_zero:
            resumed = f", from step {state.global_step}" if state.global_step else ""
            print(f"{state.max_steps} steps of {self.tokens_per_step:,} tokens{resumed}", flush=True)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        now, steps = time.time(), state.global_step - self.last_step
        # The pace of the last interval, since the first step also compiles.
        seconds_per_step = (now - self.last) / max(1, steps)
        left = (state.max_steps - state.global_step) * seconds_per_step
        line = f"step {state.global_step:>6}/{state.max_steps}  loss {logs['loss']:.4f}"
        line += f"  lr {logs['learning_rate']:.1e}" if "learning_rate" in logs else ""
        line += f"  grad norm {logs['grad_norm']:.2f}" if "grad_norm" in logs else ""
        line += f"  {self.tokens_per_step / seconds_per_step:,.0f} tokens/s  {duration(left)} left"
        print(line, flush=True)
        self.last, self.last_step = now, state.global_step


class StopCallback(TrainerCallback):
    """Stops on a loss that is no number, and on Ctrl-C after the step is finished and saved."""

    requested = False

    def on_log(self, args, state, control, logs=None, **kwargs):
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            raise UserError(
                f"the loss became {loss} at or before step {state.global_step}: lower the learning rate, clip harder "
                "(--max_grad_norm), or look at the data there. Checkpoints saved so far are kept."
            )

    def on_step_end(self, args, state, control, **kwargs):
        if self.requested:
            control.should_save = control.should_training_stop = True

    @contextmanager
    def on_interrupt(self) -> Iterator[None]:
        """While the block runs, the first Ctrl-C asks for a stop; the second one stops at once."""

        def request(signum, frame):
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.requested = True
            print("\nCtrl-C: finishing this step and saving. Once more stops at once.", flush=True)

        before = signal.signal(signal.SIGINT, request)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


class SampleCallback(TrainerCallback):
    """Prints how the model goes on from a few openings, so that one sees the babble become language.

    Args:
        tokenizer: of the model.
        openings: texts to continue.
        every: interval in steps.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, openings: list[str], every: int):
        self.tokenizer, self.openings, self.every = tokenizer, openings, every
        self.prompts = [tokenizer.encode(opening, add_special_tokens=False) for opening in openings]

    def on_step_end(self, args, state, control, model=None, **kwargs):
        due = state.global_step % self.every == 0 or state.global_step == state.max_steps
        if not (due and state.is_world_process_zero and self.prompts):
            return
        ends = [self.tokenizer.bos_token_id]
        replies = generate(model, self.tokenizer, self.prompts, 40, temperature=0.7, seed=state.global_step, stop=ends)
        for opening, reply in zip(self.openings, replies, strict=True):
            print(f"  | {opening}{reply.text}".replace("\n", " / "), flush=True)
