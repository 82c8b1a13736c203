import math

import pytest
import torch
import trl
from trl import DPOConfig

import aji.dpo
from aji.dpo import check_first_loss, compare_replies, warnings
from aji.errors import UserError
from aji.generate import Completion
from aji.preferences import token_rows
from aji.upstream import DPOTrainer


def rows(tokenizer):
    generator = torch.Generator().manual_seed(1)
    stop = tokenizer.eos_token_id
    return [
        {
            side: torch.randint(20, 200, (length,), generator=generator).tolist() + [stop] * (side != "prompt_ids")
            for side, length in (("prompt_ids", 5 + n), ("chosen_ids", 3 + n % 3), ("rejected_ids", 2 + n % 4))
        }
        for n in range(8)
    ]


def trainer(model, tokenizer, tmp_path, cls=DPOTrainer, prompt=None, **settings):
    args = DPOConfig(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, activation_checkpointing=False, max_steps=3, max_length=64,
        logging_steps=1, per_device_train_batch_size=4, report_to="none", save_strategy="no", disable_tqdm=True,
        learning_rate=1e-3, **{"precompute_ref_log_probs": True, **settings},
    )  # fmt: skip
    pairs = [row | ({"prompt_ids": prompt} if prompt else {}) for row in rows(tokenizer)]
    data = token_rows(pairs, "prompt_ids", "chosen_ids", "rejected_ids")
    return cls(model=model, args=args, train_dataset=data, processing_class=tokenizer)


def test_the_first_loss_is_ln_2(fresh_model, tiny_tokenizer, tmp_path):
    trained = trainer(fresh_model(), tiny_tokenizer, tmp_path)
    assert check_first_loss(trained) == pytest.approx(math.log(2), abs=1e-5)
    trained.train()
    losses = [entry["loss"] for entry in trained.state.log_history if "loss" in entry]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-4) and losses[-1] < losses[0]


@pytest.mark.parametrize("more", [{}, {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.1]}])
def test_another_reference_is_noticed(fresh_model, tiny_tokenizer, tmp_path, more):
    trained = trainer(fresh_model(), tiny_tokenizer, tmp_path, **more)
    assert check_first_loss(trained) == pytest.approx(math.log(2), abs=1e-5)
    assert (trained.loss_types, trained.loss_weights) == (
        more.get("loss_type", ["sigmoid"]),
        more.get("loss_weights", [1.0]),
    )
    with torch.no_grad():
        for weight in trained.model.parameters():
            weight.add_(0.5 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(2)))
    with pytest.raises(UserError, match=r"the loss before the first step is .*, expected ln 2 = 0.6931"):
        check_first_loss(trained)


def test_losses_that_do_not_begin_at_ln_2_are_let_pass(fresh_model, tiny_tokenizer, tmp_path):
    assert check_first_loss(trainer(fresh_model(), tiny_tokenizer, tmp_path, loss_type=["ipo"])) == pytest.approx(25)


def test_prompts_are_read_once_and_losses_stay_the_same(fresh_model, tiny_tokenizer, tmp_path):
    runs, read = [], []
    for cls in (aji.dpo.DPOTrainer, DPOTrainer):
        run = trainer(fresh_model(), tiny_tokenizer, tmp_path, cls, prompt=list(range(20, 40)))
        counts = []
        run.model.get_input_embeddings().register_forward_pre_hook(lambda _, args, c=counts: c.append(args[0].numel()))
        run.train()
        runs.append([entry["loss"] for entry in run.state.log_history if "loss" in entry])
        read.append(counts[0])
    assert runs[0] == pytest.approx(runs[1], abs=1e-5) and len(runs[0]) == 3
    assert read[0] < read[1] / 3  # four pairs of one prompt


def test_the_reference_reads_prompts_once(fresh_model, tiny_tokenizer, tmp_path):
    read = []
    for cls in (aji.dpo.DPOTrainer, DPOTrainer):
        model, counts = fresh_model(), []
        model.get_input_embeddings().register_forward_pre_hook(lambda _, args, c=counts: c.append(args[0].numel()))
        run = trainer(model, tiny_tokenizer, tmp_path / cls.__module__, cls, prompt=list(range(20, 40)))
        read.append((counts[0], run.train_dataset["ref_chosen_logps"][:]))
    assert read[0][0] < read[1][0] / 3
    assert read[0][1] == pytest.approx(read[1][1], abs=1e-4)


class Upstream(trl.DPOTrainer):
    """trl's, but for the preparation, which would encode the rows again."""

    def _prepare_dataset(self, dataset, *args, **kwargs):
        return dataset


@pytest.mark.parametrize("loss_type", ["sigmoid", "ipo", "sft"])
def test_the_light_head_trains_as_trls_does(fresh_model, tiny_tokenizer, tmp_path, loss_type):
    found = []
    for cls in (Upstream, DPOTrainer):
        trained = trainer(fresh_model(), tiny_tokenizer, tmp_path / cls.__name__, cls, loss_type=[loss_type])
        trained.train()
        found.append([entry for entry in trained.state.log_history if "loss" in entry])
    for theirs, ours in zip(*found, strict=True):
        for name in ("loss", "grad_norm", "logps/chosen", "logps/rejected", "entropy", "logits/chosen",
                     "mean_token_accuracy", "rewards/margins"):  # fmt: skip
            assert ours[name] == pytest.approx(theirs[name], rel=1e-2, abs=2e-3), name


def test_trls_head_still_scores_prompts_and_padding(fresh_model, tiny_tokenizer, tmp_path, monkeypatch):
    """Fails when trl scores labelled positions only on a CPU too: then drop `score_labelled_only`."""
    from trl.trainer import utils

    seen = []
    kernel = utils._ChunkedLogProbFunction

    class Spy:
        @staticmethod
        def apply(hidden, *args):
            seen.append(len(hidden))
            return kernel.apply(hidden, *args)

    monkeypatch.setattr(utils, "_ChunkedLogProbFunction", Spy)
    trained = trainer(fresh_model(), tiny_tokenizer, tmp_path / "a", Upstream)
    batch = trained.data_collator([trained.train_dataset[i] for i in range(4)])
    assert seen[0] == batch["input_ids"][:, 1:].numel() > batch["completion_mask"].sum()
    seen.clear()
    trainer(fresh_model(), tiny_tokenizer, tmp_path / "b").train()
    assert seen == []


def reply(text, tokens):
    return Completion(list(range(tokens)), text, True)


def test_replies_are_compared_by_the_guidelines():
    row = {"kind": "fact", "language": "en", "answer": "Seoul", "wrong": ["Busan"], "references": [], "topic": ""}
    ours = [reply("It is Seoul.", 6), reply("It is Seoul.", 6)]
    theirs = [reply("It is Busan.", 3), reply("It is Seoul.", 3)]
    metrics = compare_replies([row, dict(row)], ours, theirs)
    assert metrics["win_rate"] == 75
    assert metrics["gold_score"] > metrics["gold_score_before"]
    assert (metrics["reply_tokens"], metrics["reply_tokens_before"], metrics["replies_stopped"]) == (6, 3, 100)


def test_win_rates_of_what_was_trained_on_and_of_what_changed():
    row = {"kind": "fact", "language": "en", "answer": "Seoul", "wrong": ["Busan"], "references": [], "topic": ""}
    right, wrong = reply("It is Seoul.", 3), reply("It is Busan.", 3)
    rows = [row, {**row, "kind": "problem"}] * 2  # two prompts, two replies to each
    metrics = compare_replies(rows, [right, right, wrong, wrong], [wrong, right, right, wrong], {"fact"}, samples=2)
    assert metrics["win_rate_trained"] == metrics["win_rate_changed"] == metrics["win_rate"] == 50
    assert (metrics["win_rate_n"], metrics["win_rate_trained_n"], metrics["win_rate_changed_n"]) == (2, 1, 1)
    assert metrics["gold_score_n"] == 2
    better = compare_replies(rows, [right] * 4, [wrong, right] * 2, None, samples=2)
    assert (better["win_rate"], better["win_rate_changed"]) == (75, 100) and "win_rate_trained" not in better
    assert "win_rate_changed" not in compare_replies(rows, [right] * 4, [right] * 4, samples=2)


def test_the_two_usual_ills_are_told():
    ill = {"chosen_logps_change": -2.0, "rejected_logps_change": -9.0, "reply_tokens": 40, "reply_tokens_before": 20}
    falling, longer = warnings(ill)
    assert "chosen replies became less likely too (-2.0 nats a reply; rejected -9.0)" in falling
    assert "40 tokens instead of 20" in longer
    assert warnings({"chosen_logps_change": 1.0, "reply_tokens": 21, "reply_tokens_before": 20}) == []
    assert warnings({}) == []
