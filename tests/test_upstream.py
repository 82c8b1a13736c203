import runpy
import time
import warnings

import pytest
import torch
import trl
from trl import SFTConfig
from trl.models.utils import disable_gradient_checkpointing

from aji import upstream
from aji.data.packing import pack_conversations, packed_collator
from aji.machine import can_compile
from aji.upstream import SFTTrainer, skip_vector_trials


@pytest.fixture
def trials(monkeypatch):
    """The trial builds of vector instructions, none of which is done; what was found out before is forgotten."""
    from torch._inductor import config, cpu_vec_isa

    if not (cpu_vec_isa.x86_isa_checker() and can_compile()):
        pytest.skip("only on x86 with a compiler are there trials")
    built = []
    monkeypatch.setattr(cpu_vec_isa.VecISA, "check_build", lambda self, code: built.append(str(self)) or True)
    kinds = {kind for isa in cpu_vec_isa.supported_vec_isa_list for kind in type(isa).__mro__}
    methods = [method for kind in kinds for method in vars(kind).values()]
    caches = [known for known in (cpu_vec_isa.valid_vec_isa_list, *methods) if hasattr(known, "cache_clear")]
    with config.patch({"cpp.vec_isa_ok": None}):
        for cache in caches:
            cache.cache_clear()
        yield built
    for cache in caches:
        cache.cache_clear()


def test_vector_instructions_are_found_without_trials(trials):
    from torch._inductor import cpu_vec_isa

    tried = [str(isa) for isa in cpu_vec_isa.valid_vec_isa_list()]
    assert trials  # else torch has changed: drop the correction
    trials.clear()
    cpu_vec_isa.valid_vec_isa_list.cache_clear()
    assert skip_vector_trials()
    assert [str(isa) for isa in cpu_vec_isa.valid_vec_isa_list()] == tried
    assert not trials


def test_a_compiler_that_does_not_know_them_is_tried(trials, monkeypatch):
    from torch._inductor import config, cpp_builder

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", lambda: "false")
    assert not skip_vector_trials()
    assert config.cpp.vec_isa_ok is None


def trainer(cls, model, tokenizer, tmp_path):
    torch.manual_seed(0)
    rows = [
        {"input_ids": torch.randint(20, 200, (n,)).tolist(), "labels": [-100, *range(20, 19 + n)]}
        for n in (30, 20, 25, 10)
    ]
    args = SFTConfig(
        output_dir=str(tmp_path),
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
        max_steps=3,
        logging_steps=1,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=2,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        learning_rate=1e-3,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
    )
    return cls(
        model=model,
        args=args,
        train_dataset=pack_conversations(rows, 32),
        data_collator=packed_collator(32, tokenizer.pad_token_id),
        processing_class=tokenizer,
    )


def losses(trained):
    trained.train()
    return [(entry["loss"], entry["grad_norm"]) for entry in trained.state.log_history if "loss" in entry]


def test_the_own_loss_equals_the_fused_one(fresh_model, tiny_tokenizer, tmp_path):
    fused = losses(trainer(trl.SFTTrainer, fresh_model(), tiny_tokenizer, tmp_path / "a"))
    own = losses(trainer(SFTTrainer, fresh_model(), tiny_tokenizer, tmp_path / "b"))
    for (fused_loss, fused_norm), (own_loss, own_norm) in zip(fused, own, strict=True):
        assert own_loss == pytest.approx(fused_loss, abs=1e-3)
        assert own_norm == pytest.approx(fused_norm, rel=1e-2)


def scored(model, inputs):
    """How many positions the head computes logits at when the model computes its loss."""
    seen = []
    hook = model.get_output_embeddings().register_forward_hook(
        lambda head, found, out: seen.append(out[..., 0].numel())
    )
    model(**inputs)
    hook.remove()
    return seen[0]


def test_logits_are_computed_where_a_label_is(fresh_model, tiny_tokenizer, tmp_path):
    """The first figure is upstream's: fails when the model's own loss has learnt it, then drop the correction."""
    model = fresh_model()
    inputs = {"input_ids": torch.arange(20, 50).repeat(40, 1), "labels": torch.full((40, 30), -100)}
    inputs["labels"][:, 0] = inputs["labels"][:, 23:] = 30  # nothing predicts the first token: 280 labels
    assert scored(model, inputs) == 1200
    expected = model(**inputs).loss.item()
    trainer(SFTTrainer, model, tiny_tokenizer, tmp_path)
    assert scored(model, inputs) == 512
    assert model(**inputs).loss.item() == pytest.approx(expected, rel=1e-5)
    assert model(input_ids=inputs["input_ids"]).logits.shape[:2] == (40, 30)


def test_a_model_that_caps_its_logits_keeps_its_own_loss(tiny_tokenizer, tmp_path):
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=512, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, head_dim=16,
        num_key_value_heads=2, pad_token_id=0, final_logit_softcapping=1.0,
    )  # fmt: skip
    model = Gemma2ForCausalLM(config)
    assert "forward" not in vars(trainer(SFTTrainer, model, tiny_tokenizer, tmp_path).model)


@pytest.mark.parametrize("hushed", [False, True])
def test_what_upstream_deprecates_in_itself_is_no_news_to_users(fresh_model, hushed):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if hushed:
            runpy.run_path(upstream.__file__)
        with disable_gradient_checkpointing(fresh_model()):
            pass
        warnings.warn("something else", FutureWarning, stacklevel=1)
    texts = [str(one.message) for one in told]
    assert any("is_gradient_checkpointing" in text for text in texts) != hushed, "not told at all: drop the filter"
    assert "something else" in texts


@pytest.mark.slow
def test_the_correction_is_still_needed(tiny_tokenizer, tmp_path):
    """Fails when trl's fused head has become as fast as the model's own loss on this CPU: then drop the subclass."""
    from transformers import LlamaConfig, LlamaForCausalLM

    def seconds(cls):
        config = LlamaConfig(
            vocab_size=8192, hidden_size=128, intermediate_size=256, num_hidden_layers=1, num_attention_heads=2
        )
        trained = trainer(cls, LlamaForCausalLM(config), tiny_tokenizer, tmp_path / cls.__module__)
        trained.args.max_steps = 30
        began = time.perf_counter()
        trained.train()
        return time.perf_counter() - began

    assert min(seconds(trl.SFTTrainer) for _ in range(2)) > 1.2 * min(seconds(SFTTrainer) for _ in range(2))
