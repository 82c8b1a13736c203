"""GRPO and RLOO of trl with rollouts and losses that a CPU can carry, and batch sizes that are checked in words.

Plain trl spends nearly all of a step on a CPU in `model.generate`, which goes on with rows that have ended, runs a
prompt once per completion and casts every weight anew for each token; the rest goes into padding and into completions
whose whole group got the same reward, so that nothing is learnt from them. What is computed here is the same:
tests/test_rollout.py compares distributions, log-probabilities, losses and gradients with trl's.
"""

import copy
from dataclasses import dataclass, fields

import torch
import trl
from accelerate.utils import is_peft_model

from aji import chatml
from aji.config import set_explicitly
from aji.diagnosis import Observations
from aji.errors import UserError
from aji.generate import generate
from aji.model import below_adapter
from aji.prefixes import logits_at, neighbours, read_once, score


# Losses that divide by a number of tokens fixed before the batch is cut, so rows without advantage can be left out.
COUNTS_TOKENS_FIRST = ("dapo", "cispo")
# Rows that the loss runs at once: those of a few prompts, each read once; or of one length, with little padding.
ROWS_AT_ONCE = 128


@dataclass
class GRPOConfig(trl.GRPOConfig):
    def __post_init__(self):
        check_batch(self)
        super().__post_init__()


def check_batch(args: trl.GRPOConfig) -> None:
    """Raise UserError, with numbers that would work, when the groups of completions do not fill the batch."""
    if args.num_generations < 2:
        raise UserError(
            f"num_generations is {args.num_generations}, expected 2 or more: completions of one prompt are compared."
        )
    if args.steps_per_generation is not None and args.generation_batch_size is not None:
        raise UserError("found steps_per_generation and generation_batch_size, expected one of them. Remove one")
    processes = args.distributed_state.num_processes if getattr(args, "distributed_state", None) else 1
    per_step = args.per_device_train_batch_size * processes
    steps = args.steps_per_generation or args.gradient_accumulation_steps
    batch = args.generation_batch_size or per_step * steps
    if args.generation_batch_size and batch % per_step:
        raise UserError(
            f"generation_batch_size is {batch}, expected a multiple of the {per_step} completions of a step. "
            f"{batch // per_step * per_step or per_step} would work."
        )
    if batch % args.num_generations:
        divisors = [n for n in range(2, batch + 1) if batch % n == 0]
        near = sorted(divisors, key=lambda n: abs(n - args.num_generations))[:3]
        up = next(
            size
            for size in range(args.per_device_train_batch_size, 10**6)
            if size * processes * steps % args.num_generations == 0
        )
        raise UserError(
            f"{batch} completions per generation (per_device_train_batch_size {args.per_device_train_batch_size} x "
            f"{steps} steps x {processes} processes) cannot be cut into groups of num_generations "
            f"{args.num_generations}. These work: per_device_train_batch_size {up}"
            + (f", or num_generations {' or '.join(map(str, sorted(near)))}." if near else ".")
        )


def rloo_config(args: trl.GRPOConfig) -> trl.RLOOConfig:
    """The settings of GRPO that the user made, or the machine, for RLOO, whose other defaults are its own.

    Raises UserError for a setting that RLOO does not know.
    """
    known = {field.name for field in fields(trl.RLOOConfig) if field.init}
    explicit = {name: getattr(args, name) for name in vars(args) if set_explicitly(args, name)}
    unknown = sorted(explicit.keys() - known)
    if unknown:
        raise UserError(f"algorithm rloo has no {unknown[0]}. Remove it, or use algorithm grpo.")
    machine = {name: getattr(args, name) for name in ("use_cpu", "bf16", "activation_checkpointing")}
    # GRPO's defaults where the two differ in what is no choice of the method.
    same = {"num_generations": args.num_generations, "logging_nan_inf_filter": False, "output_dir": args.output_dir}
    return trl.RLOOConfig(**(machine | same | explicit))


class Rollouts:
    """What is laid over trl's trainers; on accelerators and with vLLM it leaves the work to them."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.observations = Observations()
        self._encoded: dict[str, list[int]] = {}
        self._twin: torch.nn.Module | None = None
        self._computed: tuple[dict, tuple] | None = None  # what the next loss needs, by the texts it is of
        unusual = (self.top_k or None, self.min_p, self.args.generation_kwargs, self.args.cache_implementation)
        self.samples_itself = (
            self.args.device.type == "cpu"
            and not self.use_vllm
            and not self.args.use_transformers_continuous_batching
            and self.repetition_penalty == 1.0
            and not any(unusual)
        )
        # With several processes the gradients are joined by a wrapper that has to see the whole forward pass.
        self.scores_itself = (
            self.args.device.type == "cpu" and self.accelerator.num_processes == 1 and not self.args.torch_compile
        )
        for model in filter(None, (self.model, getattr(self, "ref_model", None))):
            read_once(model)

    # Rollouts

    def _tokenize_prompts(self, prompts: list):
        """Every prompt once, and so that its text cannot become a control token."""
        if not isinstance(prompts[0], list) or getattr(self, "tools", None):
            return super()._tokenize_prompts(prompts)
        keys = [repr(prompt) for prompt in prompts]
        new = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in self._encoded}
        encoded = chatml.encode(self.processing_class, list(new.values()), add_generation_prompt=True)
        self._encoded |= dict(zip(new, (prompt.input_ids for prompt in encoded), strict=True))
        return [self._encoded[key] for key in keys], None, {}

    def _generate_single_turn(self, prompt_ids, *args, **kwargs):
        if not self.samples_itself:
            return super()._generate_single_turn(prompt_ids, *args, **kwargs)
        replies = generate(
            self.policy(),
            self.processing_class,
            prompt_ids,
            self.max_completion_length,
            temperature=self.temperature,
            top_p=self.top_p,
            batch_size=len(prompt_ids),
            stop=self.eos_token_ids,
            decode=False,
        )
        ids = [reply.ids + ([reply.stop_token] if reply.stopped else []) for reply in replies]
        return (ids, None) if isinstance(self, trl.GRPOTrainer) else ids

    @torch.no_grad()
    def policy(self) -> torch.nn.Module:
        """The model as it is now, for sampling: in bf16, where training runs so too, as a copy without wrappers."""
        if not self.args.bf16:
            return self.accelerator.unwrap_model(self.model)
        model = self.accelerator.unwrap_model(self.model)
        if self._twin is None:
            patched = below_adapter(model)
            forward = vars(patched).pop("forward", None)  # bound to the original: a copy of it would run that
            self._twin = copy.deepcopy(model).requires_grad_(False)
            if forward is not None:
                patched.forward = forward
            for parameter in self._twin.parameters():
                parameter.data = parameter.data.to(torch.bfloat16)
        for twin, parameter in zip(self._twin.parameters(), model.parameters(), strict=True):
            twin.copy_(parameter)
        return self._twin

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        weighted = (rewards * self.reward_weights.to(rewards.device)).nansum(1)
        weighted[rewards.isnan().all(1)] = float("nan")
        mine = slice(
            self.accelerator.process_index * len(prompts), (self.accelerator.process_index + 1) * len(prompts)
        )
        stops = {*self.eos_token_ids}
        self.observations.add(
            tasks=[row.get("task") or "problems" for row in inputs],
            rewards=weighted[mine].tolist(),
            texts=[
                completion[0]["content"] if isinstance(completion, list) else completion for completion in completions
            ],
            lengths=[len(ids) for ids in completion_ids_list],
            truncated=[ids[-1] not in stops for ids in completion_ids_list],
            group=self.num_generations if self.model.training else self.num_generations_eval,
        )
        return rewards

    # Losses

    def _get_per_token_logps_and_entropies(
        self, model, input_ids, attention_mask, logits_to_keep, batch_size=None, compute_entropy=False, **others
    ):
        """Log-probability and entropy of each completion token, both (rows, logits_to_keep), padding excluded.

        RLOO asks before the reward, without gradient, and again in the loss: what it got first serves for both.
        """
        if not self.scores_itself or any(value is not None and value is not False for value in others.values()):
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy=compute_entropy, **others
            )
        written = attention_mask[:, -logits_to_keep:].sum(1).tolist()
        whole = (ids[keep].tolist() for ids, keep in zip(input_ids, attention_mask.bool(), strict=True))
        texts = [(length, *ids) for length, ids in zip(written, whole, strict=True)]
        if self._computed is not None and torch.is_grad_enabled():
            known, (logps, entropies) = self._computed
            self._computed = None
            rows = [known[text] for text in texts]
            return logps[rows, :logits_to_keep], entropies[rows, :logits_to_keep] if compute_entropy else None, None
        if model is not self.model or torch.is_grad_enabled() or not self._learns_at_once():
            return *self._log_probs(model, input_ids, attention_mask, logits_to_keep, compute_entropy), None
        with torch.enable_grad():
            found = self._log_probs(model, input_ids, attention_mask, logits_to_keep, compute_entropy=True)
        self._computed = dict(zip(texts, range(len(texts)), strict=True)), found
        return found[0].detach(), found[1] if compute_entropy else None, None

    def _learns_at_once(self) -> bool:
        """Whether one step follows a generation: its loss is of the log-probabilities that the reward needed."""
        once = self.num_iterations == self.args.steps_per_generation == self.args.gradient_accumulation_steps == 1
        adapter = is_peft_model(self.model)  # without it the same model is the reference
        return once and self.model.training and not adapter and not self.model.is_activation_checkpointing

    def _log_probs(self, model, input_ids, attention_mask, logits_to_keep, compute_entropy):
        model = below_adapter(self.accelerator.unwrap_model(model))
        keep = attention_mask.bool()
        columns = torch.arange(input_ids.shape[1], device=input_ids.device)
        # Prompts stand right, completions left: a stable sort closes the gap between, and padding comes last.
        order = (~keep).to(torch.int8).argsort(dim=1, stable=True)
        ids, lengths = input_ids.gather(1, order), keep.sum(1)
        known = columns < lengths[:, None]
        logps = input_ids.new_zeros(len(input_ids), logits_to_keep, dtype=torch.float32)
        entropies = torch.zeros_like(logps)
        prompt = input_ids.shape[1] - logits_to_keep
        scored = known & (columns[order] >= prompt)
        scored[:, 0] = False  # nothing comes before it
        near = neighbours(model, [row[:length] for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)])
        found, places = [], []
        for rows in torch.tensor(near, device=ids.device).split(ROWS_AT_ONCE):
            longest = int(lengths[rows].max())
            if longest == 0:
                continue
            part, counts = ids[rows, :longest], scored[rows, :longest]
            with self.accelerator.autocast():
                before = torch.nn.functional.pad(counts[:, 1:], (0, 1))
                logits, which = logits_at(model, before, part, known[rows, :longest].long())
            one, entropy = score(logits.float() / self.temperature, which, part[counts], compute_entropy)
            found.append((one, entropy))
            row_of = rows[:, None].expand_as(counts)[counts]
            places.append((row_of, columns[order[rows, :longest]][counts] - prompt))
        if not found:
            return logps + sum(p.sum() * 0 for p in model.parameters()), entropies if compute_entropy else None
        where = tuple(torch.cat(part) for part in zip(*places, strict=True))
        logps = logps.index_put(where, torch.cat([one for one, _ in found]))
        if compute_entropy:
            entropies = entropies.index_put(where, torch.cat([entropy for _, entropy in found]))
        return logps, entropies if compute_entropy else None

    def _compute_loss(self, model, inputs):
        return super()._compute_loss(model, self.with_advantage(inputs) if self.scores_itself else inputs)

    def with_advantage(self, inputs: dict) -> dict:
        """The batch without rows of no advantage, where these add nothing to loss and gradient; never empty."""
        if (
            getattr(self, "loss_type", None) not in COUNTS_TOKENS_FIRST
            or self.beta
            or self._entropy_bonus_enabled
            or self.top_entropy_quantile < 1
            or self.off_policy_mask_threshold is not None
        ):
            return inputs
        rows = inputs["advantages"].nonzero().squeeze(1)
        if len(rows) == len(inputs["advantages"]):
            return inputs
        rows = rows if len(rows) else inputs["completion_mask"].sum(1).argmin()[None]
        size = len(inputs["advantages"])
        kept = {
            name: value[rows] if torch.is_tensor(value) and value.ndim and len(value) == size else value
            for name, value in inputs.items()
        }
        longest = max(1, int(kept["completion_mask"].sum(1).max()))
        width = inputs["completion_ids"].shape[1]
        return {
            name: value[:, :longest]
            if torch.is_tensor(value) and value.ndim == 2 and value.shape[1] == width and not name.startswith("prompt")
            else value
            for name, value in kept.items()
        }


class GRPOTrainer(Rollouts, trl.GRPOTrainer):
    """Group relative policy optimisation (Shao et al. 2024)."""


class RLOOTrainer(Rollouts, trl.RLOOTrainer):
    """REINFORCE with the mean of the other completions as baseline (Ahmadian et al. 2024)."""


ALGORITHMS = {"grpo": GRPOTrainer, "rloo": RLOOTrainer}
