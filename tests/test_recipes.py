"""Every recipe through its real command line, in the order of the chain, on a world that takes seconds."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from aji.data.load import load_documents
from aji.manifest import content_hash
from aji.reward_model import load_reward_model


ROOT = Path(__file__).parents[1]
SMALL_WORLD = [
    *("--people", "15", "--often_mentions_top", "8", "--often_mentions_bottom", "6", "--common_mentions", "1"),
    *("--arithmetic_documents", "40", "--story_documents", "10", "--repeated_pages", "2", "--dialogs", "120"),
    *("--dialogs_validation", "10", "--problems", "20", "--problems_validation", "4", "--problems_test", "4"),
    *("--exam_items", "1", "--ladder", "72", "--ladder_validation", "18", "--ladder_test", "36"),
    *("--demonstrations", "40"),
    *("--open_dialogs", "40", "--preference_prompts", "24"),
    *("--preference_prompts_validation", "12", "--preference_prompts_test", "12"),
]
TINY = [
    *("--hidden_size", "32", "--num_hidden_layers", "2", "--num_attention_heads", "2"),
    *("--max_position_embeddings", "128"),
]
SHORT = ["--per_device_train_batch_size", "4", "--logging_steps", "2", "--torch_compile", "false"]


def command(recipe: str, *flags: str, processes: str = "cpu") -> list[str]:
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--quiet", "--num_cpu_threads_per_process", "1"]
    config = f"configs/accelerate/{processes}.yaml"
    return [*launch, "--config_file", config, f"recipes/{recipe}.py", *map(str, flags)]


def launch(recipe: str, *flags: str, **kwargs) -> subprocess.CompletedProcess:
    return subprocess.run(command(recipe, *flags, **kwargs), cwd=ROOT, capture_output=True, text=True, timeout=300)


def read(folder: Path, name: str = "metrics.json") -> dict:
    return json.loads((folder / name).read_text())


def pretrain_flags(runs: Path, output: Path) -> list[str]:
    data = ["--train_file", runs / "corpus/train-*.parquet", "--tokenizer_name_or_path", runs / "tokenizer"]
    return [*data, *TINY, *SHORT, "--sample_prompts", "The", "--output_dir", output]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The whole chain, made once."""
    folder = tmp_path_factory.mktemp("runs")
    world = folder / "world"
    stages = {
        "world": SMALL_WORLD,
        "corpus": ["--config", "configs/laptop/corpus.yaml", "--input", world / "crawl", "--workers", "1"]
        + ["--blocked_hosts", world / "blocked_hosts.txt", "--decontaminate", world / "exam.jsonl"]
        + ["--quality_labels", world / "crawl_truth.jsonl", "--truth", world / "crawl_truth.jsonl"],
        "tokenizer": ["--train_file", folder / "corpus/train-*.parquet", "--vocab_size", "512"]
        + ["--chat_file", world / "tool_dialogs_train.jsonl"],
        "pretrain": pretrain_flags(folder, folder / "pretrain")[:-2]
        + ["--eval_file", world / "documents_validation.jsonl", "--max_steps", "6", "--sample_steps", "3"],
        "sft": ["--model_name_or_path", folder / "pretrain", "--train_file", world / "dialogs_train.jsonl"]
        + ["--eval_file", world / "dialogs_validation.jsonl", "--max_length", "128", "--max_steps", "4", *SHORT],
        "knowledge": ["--model_name_or_path", folder / "sft", "--max_questions", "40", "--max_new_tokens", "4"]
        + ["--questions", world / "knowledge_questions.jsonl", "--search_documents", world / "search_documents.jsonl"]
        + ["--identity", "configs/laptop/identity.yaml", "--identity_rows", "1"],
        "rlvr": ["--model_name_or_path", folder / "sft", "--train_file", world / "ladder_train.jsonl"]
        + ["--eval_file", world / "ladder_test.jsonl", "--difficulty_problems", "2", "--eval_problems", "2"]
        + ["--demonstrations", world / "demonstrations_train.jsonl", "--suggest_file", world / "problems_train.jsonl"]
        + ["--max_completion_length", "64", "--max_steps", "2", "--per_device_train_batch_size", "8"]
        + ["--num_generations", "4", "--difficulty_samples", "4", "--logging_steps", "1"],
        "eval": ["--model_name_or_path", folder / "sft", "--documents", world / "documents_validation.jsonl"]
        + ["--exam", world / "exam.jsonl", "--max_questions", "1", "--max_new_tokens", "4"],
    }
    for stage, flags in stages.items():
        done = launch(stage, *flags, "--output_dir", folder / stage)
        assert done.returncode == 0, f"{stage}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
        (folder / f"{stage}.log").write_text(done.stdout)
    return folder


def test_each_stage_leaves_a_manifest_that_names_its_parents(runs):
    parents = {
        "world": [],
        "corpus": ["world"] * 5,
        "tokenizer": ["corpus", "world"],
        "pretrain": ["corpus", "world", "tokenizer"],
        "sft": ["pretrain", "world", "world"],
        "knowledge": ["sft", "world", "world", None],
        "rlvr": ["sft", "world", "world", "world"],
        "eval": ["sft", "world", "world"],
    }
    for stage, expected in parents.items():
        manifest = read(runs / stage, "stage.json")
        assert [parent["stage"] for parent in manifest["parents"]] == expected
        assert manifest["content_hash"] == content_hash(runs / stage)
        assert not (runs / stage / "started.json").exists()
    assert read(runs / "sft", "stage.json")["parents"][0]["sha256"] == content_hash(runs / "pretrain")


def test_artefacts_load_with_upstream(runs):
    assert len(load_documents(str(runs / "world/documents_train.jsonl"))) > 100
    for stage in ("pretrain", "sft", "rlvr"):
        tokenizer = AutoTokenizer.from_pretrained(runs / stage)
        model = AutoModelForCausalLM.from_pretrained(runs / stage)
        assert tokenizer.eos_token == "<|im_end|>" and tokenizer.chat_template
        assert model.generation_config.eos_token_id == tokenizer.eos_token_id
        assert model.config.vocab_size == 512 and model.config.tie_word_embeddings
        assert not list((runs / stage).glob("checkpoint-*"))


def test_every_parameter_was_trained(runs):
    base, chat = (AutoModelForCausalLM.from_pretrained(runs / stage) for stage in ("pretrain", "sft"))
    for (name, before), after in zip(base.named_parameters(), chat.parameters(), strict=True):
        assert not torch.equal(before, after), f"{name} has not changed"


def test_metrics(runs):
    pretrain, sft, evaluated = (read(runs / stage) for stage in ("pretrain", "sft", "eval"))
    assert pretrain["train_tokens"] == 6 * 4 * 128 == pretrain["train_steps"] * 512
    assert pretrain["bits_per_byte_low"] < pretrain["bits_per_byte"] < pretrain["bits_per_byte_high"]
    assert sft["eval_loss"] > 0
    assert {"people_often_en", "people_never_made_up", "sum2_steps_ko", "stopped_n", "bits_per_byte_ko"} <= set(
        evaluated
    )
    assert evaluated["people_never_n"] == 2


def test_what_one_sees(runs):
    pretrain, sft = (runs / "pretrain.log").read_text(), (runs / "sft.log").read_text()
    assert "tokens/s" in pretrain and "left" in pretrain and "  | The" in pretrain
    assert "gate passed" in sft and "[[" in sft and "<|im_end|>]]" in sft


def test_the_report_and_the_chat(runs):
    aji = [sys.executable, "-m", "aji.cli"]
    done = subprocess.run([*aji, "report", str(runs)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = (runs / "report.md").read_text()
    assert "| pretrain |" in report and "people_never_made_up" in report
    assert (runs / "loss.png").stat().st_size > 5000 and (runs / "exam.png").stat().st_size > 5000
    chat = [*aji, "chat", str(runs / "sft"), "--temperature", "0", "--max_new_tokens", "8"]
    done = subprocess.run(chat, input="hello\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_the_interrogation_writes_can_be_trained_on(runs, tmp_path):
    folder = runs / "knowledge"
    assert {path.name for path in folder.iterdir()} == {
        *("map.jsonl", "map.png", "rows.jsonl", "identity.jsonl", "metrics.json", "stage.json")
    }
    assert len((folder / "map.jsonl").read_text().splitlines()) == 40 == read(folder)["questions"]
    assert (folder / "map.png").stat().st_size > 5000
    mixture = f"{{{folder}/rows.jsonl: 2, {folder}/identity.jsonl: 1, {runs}/world/dialogs_train.jsonl: 0.3}}"
    flags = ["--model_name_or_path", runs / "sft", "--mixture", mixture, "--max_length", "128", "--max_steps", "2"]
    done = launch("sft", *flags, *SHORT, "--output_dir", tmp_path / "truthful")
    assert done.returncode == 0, done.stderr[-1500:]
    assert [parent["stage"] for parent in read(tmp_path / "truthful", "stage.json")["parents"]] == [
        *("sft", "knowledge", "knowledge", "world")
    ]


def test_interrupted_it_goes_on_to_the_same_model(runs, tmp_path):
    flags = ["--max_steps", "40", "--save_steps", "5", "--eval_strategy", "no"]
    straight = launch("pretrain", *pretrain_flags(runs, tmp_path / "straight"), *flags)
    assert straight.returncode == 0, straight.stderr[-1500:]
    output = tmp_path / "stopped"
    resumed = [*pretrain_flags(runs, output), *flags]
    process = subprocess.Popen(
        [sys.executable, "recipes/pretrain.py", *map(str, resumed)],
        **{"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
    )
    deadline = time.time() + 120
    while not list(output.glob("checkpoint-*/trainer_state.json")) and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, told = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("the run was over before it could be interrupted")
    assert process.returncode == 130 and "finishing this step and saving" in printed
    assert "Go on with the same command and --resume_from_checkpoint true." in told
    refused = launch("pretrain", *resumed)
    assert refused.returncode == 1 and "--resume_from_checkpoint true" in refused.stderr
    done = launch("pretrain", *resumed, "--resume_from_checkpoint", "true")
    assert done.returncode == 0, done.stderr[-1500:]
    assert "from step" in done.stdout
    a, b = (AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("straight", "stopped"))
    for (name, x), y in zip(a.named_parameters(), b.parameters(), strict=True):
        assert torch.equal(x, y), f"{name} differs after resuming"
    kept = launch("pretrain", *resumed, "--if_exists", "keep")
    assert kept.returncode == 0 and kept.stdout.splitlines()[-1].endswith("kept."), kept.stderr[-1500:]


@pytest.mark.slow
def test_two_processes_train_the_same_model_as_one(runs, tmp_path):
    steps = ["--max_steps", "4", "--save_strategy", "no", "--bf16", "false"]
    one = launch("pretrain", *pretrain_flags(runs, tmp_path / "one"), *steps)
    flags = [*pretrain_flags(runs, tmp_path / "two"), *steps, "--per_device_train_batch_size", "2"]
    two = launch("pretrain", *flags, processes="cpu2")
    assert one.returncode == two.returncode == 0, two.stderr[-2000:]
    assert read(tmp_path / "two")["train_tokens"] == read(tmp_path / "one")["train_tokens"]
    assert read(tmp_path / "two")["train_loss"] == pytest.approx(read(tmp_path / "one")["train_loss"], abs=2e-3)


def test_lora_on_the_real_command_line(runs, tmp_path):
    flags = ["--model_name_or_path", runs / "pretrain", "--train_file", runs / "world/dialogs_train.jsonl"]
    flags += ["--max_length", "128", "--max_steps", "2", "--use_peft", "true", "--lora_r", "4", *SHORT]
    flags += ["--lora_target_modules", "all-linear", "--output_dir", tmp_path / "lora"]
    done = launch("sft", *flags)
    assert done.returncode == 0, done.stderr[-1500:]
    assert (tmp_path / "lora/adapter_model.safetensors").exists()
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "lora").config.hidden_size == 32


COMPARED = {"prompt": "1 + 1?", "chosen": "2", "rejected": "3"}


@pytest.fixture(scope="module")
def ranked(tmp_path_factory) -> Path:
    """Comparisons of three replies to 16 prompts, the last quarter held out."""
    folder = tmp_path_factory.mktemp("ranked")
    rows = [
        {"prompt": f"{n} + 1?", "responses": [str(n + 1), "예.", "no"], "scores": [0.9, 0.5, 0.1]} for n in range(16)
    ]
    for split, part in {"train": rows[:12], "validation": rows[12:]}.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    return folder


def comparing(ranked: Path, model: str, output: Path) -> list:
    flags = ["--model_name_or_path", model, "--train_file", ranked / "train.jsonl", "--max_length", "128"]
    flags += ["--eval_file", ranked / "validation.jsonl", "--max_steps", "3", "--save_strategy", "no"]
    return [*flags, "--per_device_train_batch_size", "4", "--logging_steps", "2", "--output_dir", output]


def test_preferences_of_a_model(runs, tmp_path):
    prompts = [word for split, key in (("train", "prompts"), ("validation", "eval_prompts"))
               for word in (f"--{key}", runs / f"world/preference_prompts_{split}.jsonl")]  # fmt: skip
    # Hot enough that a model of four steps stops by chance.
    flags = ["--model_name_or_path", runs / "sft", "--temperature", "100", "--max_new_tokens", "60", *prompts]
    flags += ["--responses_min", "9", "--pairs_per_prompt", "1"]
    done = launch("preferences", *flags, "--output_dir", tmp_path / "preferences")
    assert done.returncode == 0, done.stderr[-1500:]
    rankings, train, held_out, held_out_pairs = (
        [json.loads(line) for line in (tmp_path / "preferences" / name).read_text("utf-8").splitlines()]
        for name in ("rankings_train.jsonl", "train.jsonl", "rankings_validation.jsonl", "validation.jsonl")
    )
    assert len(train) == len(rankings)
    assert len(held_out_pairs) == sum(len(r["responses"]) * (len(r["responses"]) - 1) // 2 for r in held_out)
    assert held_out_pairs[0]["chosen"][0]["content"] == held_out[0]["responses"][0]
    assert [parent["stage"] for parent in read(tmp_path / "preferences", "stage.json")["parents"]] == [
        "sft", "world", "world",
    ]  # fmt: skip


@pytest.mark.parametrize("lora", [False, True], ids=["whole", "lora"])
def test_a_reward_model(ranked, tiny_run, tmp_path, lora):
    flags = ["--use_peft", "true", "--lora_task_type", "SEQ_CLS", "--lora_modules_to_save", "score"] if lora else []
    flags += ["--lora_target_modules", "all-linear"] if lora else []
    flags += ["--learning_rate", "1e-2", "--max_steps", "12"]  # until it beats a coin, or it could not be loaded
    done = launch("reward", *comparing(ranked, tiny_run, tmp_path / "reward"), *flags)
    assert done.returncode == 0, done.stderr[-1500:]
    metrics = read(tmp_path / "reward")
    assert metrics["train_pairs"] == 36 and metrics["ceiling"] == 100 and metrics["accuracy_n"] == 12
    model, tokenizer = load_reward_model(str(tmp_path / "reward"))
    assert model.config.num_labels == 1 and tokenizer.eos_token == "<|im_end|>"


@pytest.mark.parametrize("lora", [False, True], ids=["whole", "lora"])
def test_dpo(ranked, runs, tiny_run, tmp_path, lora):
    flags = ["--use_peft", "true", "--lora_target_modules", "all-linear"] if lora else []
    flags += ["--eval_prompts", runs / "world/preference_prompts_test.jsonl", "--max_new_tokens", "6"]
    flags += ["--precompute_ref_log_probs", "true", "--learning_rate", "1e-2"]
    done = launch("dpo", *comparing(ranked, tiny_run, tmp_path / "dpo"), *flags)
    assert done.returncode == 0, done.stderr[-1500:]
    metrics = read(tmp_path / "dpo")
    assert metrics["first_loss"] == pytest.approx(0.6931, abs=5e-3)
    assert metrics["swapped_pairs"] == 0
    assert metrics["train_loss"] < 0.69 and metrics["win_rate_n"] == 12
    assert "pairs in order" in done.stdout and "log-probability of chosen" in done.stdout
    trained = AutoModelForCausalLM.from_pretrained(tmp_path / "dpo")
    before = AutoModelForCausalLM.from_pretrained(tiny_run)
    assert lora or not torch.equal(trained.get_input_embeddings().weight, before.get_input_embeddings().weight)


@pytest.fixture(scope="module")
def stopping(tiny_run, ranked, tmp_path_factory) -> Path:
    """A chat model of random weights that ends a tenth of its replies at each token, and a reward model from it."""
    folder = tmp_path_factory.mktemp("stopping")
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_run), AutoModelForCausalLM.from_pretrained(tiny_run)
    with torch.no_grad():  # the first dimension is the same everywhere, but for the stop token
        model.get_input_embeddings().weight[:, 0] = 0.1
        model.get_input_embeddings().weight[tokenizer.eos_token_id, 0] = 1.0
    model.save_pretrained(folder / "sft")
    tokenizer.save_pretrained(folder / "sft")
    done = launch("reward", *comparing(ranked, folder / "sft", folder / "reward"), "--learning_rate", "1e-2")
    assert done.returncode == 0, done.stderr[-1500:]
    return folder


def rlhf_flags(runs: Path, stopping: Path, output: Path) -> list:
    world = runs / "world"
    flags = ["--model_name_or_path", stopping / "sft", "--reward_model", stopping / "reward", "--output_dir", output]
    flags += ["--prompts", world / "preference_prompts_train.jsonl", "--max_steps", "4", "--num_generations", "4"]
    flags += ["--label_prompts", world / "preference_prompts_validation.jsonl", "--eval_interval", "2"]
    flags += ["--eval_prompts", world / "preference_prompts_test.jsonl", "--per_device_train_batch_size", "16"]
    return [*flags, "--max_completion_length", "16", "--logging_steps", "1", "--learning_rate", "1e-2"]


@pytest.mark.parametrize("how", ["rloo", "grpo", "lora"])
def test_rlhf(runs, stopping, tmp_path, how):
    flags = ["--algorithm", "grpo", "--beta", "0.1"] if how == "grpo" else []
    flags += ["--use_peft", "true", "--lora_target_modules", "all-linear"] if how == "lora" else []
    done = launch("rlhf", *rlhf_flags(runs, stopping, tmp_path / "rlhf"), *flags)
    assert done.returncode == 0, done.stderr[-1500:]
    metrics = read(tmp_path / "rlhf")
    assert metrics["win_rate_n"] == 12 and 12 < metrics["reward_before_n"] <= 48 and metrics["kept_step"] in (0, 2, 4)
    assert (metrics["reply_kl"] > 0) == (metrics["kept_step"] > 0)
    assert "of labels prefer it to the start" in done.stdout and " is kept (" in done.stdout
    parents = read(tmp_path / "rlhf", "stage.json")["parents"]
    assert [parent["stage"] for parent in parents] == [None, "reward", "world", "world", "world"]
    AutoModelForCausalLM.from_pretrained(tmp_path / "rlhf")


def test_rlhf_that_was_killed_is_taken_up_again(runs, stopping, tmp_path):
    flags = [*rlhf_flags(runs, stopping, tmp_path / "rlhf"), "--patience", "99", "--save_steps", "2"]
    flags = [str(flag) for flag in [*flags, "--max_steps", "20"]]
    process = subprocess.Popen([sys.executable, "recipes/rlhf.py", *flags], cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.time() + 120
    while not list((tmp_path / "rlhf").glob("checkpoint-*/early_stop.safetensors")) and time.time() < deadline:
        time.sleep(0.02)
    process.kill()
    if process.wait() == 0:
        pytest.skip("the run was over before it could be killed")
    done = launch("rlhf", *flags, "--resume_from_checkpoint", "true")
    assert done.returncode == 0, done.stderr[-1500:]
    assert "from step" in done.stdout and " is kept (" in done.stdout
    looks = [entry["step"] for entry in read(tmp_path / "rlhf", "log_history.json") if "preferred" in entry]
    assert looks == list(range(0, 21, 2)), "looks before the break are kept, none is made twice"


@pytest.mark.parametrize(
    ("recipe", "flags", "message"),
    [
        ("reward", ["--eval_file", "null"], "there are no held-out pairs"),
        ("reward", ["--max_length", "4"], "no pair fits into 4 tokens"),
        (
            "reward",
            ["--train_file", "{tmp}/equal.jsonl"],
            "found no two replies to compare (1 compare a reply with itself)",
        ),
        (
            "reward",
            ["--train_file", "{tmp}/differ.jsonl"],
            "found no two replies to compare (1 reply to different prompts)",
        ),
        ("reward", ["--train_file", "{ranked}/validation.jsonl"], "the held-out set is the training set"),
        ("reward", ["--model_name_or_path", "{tmp}/unstoppable"], "no eos token"),
        ("dpo", ["--model_name_or_path", "{tmp}/unstoppable"], "has no stop token"),
        ("dpo", ["--model_name_or_path", "{runs}/pretrain"], "is a base model"),
        ("dpo", ["--loss_type", "nonsense"], "nonsense"),
        ("dpo", ["--eval_prompts", "{ranked}/train.jsonl"], "which the labeler needs"),
    ],
)
def test_mistakes_with_comparisons(ranked, runs, tiny_run, tmp_path, recipe, flags, message, monkeypatch, capsys):
    other = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]
    differing = {"chosen": other, "rejected": [{"role": "user", "content": "3 + 3?"}, other[1]]}
    for name, row in {"equal": COMPARED | {"rejected": "2"}, "differ": differing}.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    tokenizer = AutoTokenizer.from_pretrained(tiny_run)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path / "unstoppable")
    AutoModelForCausalLM.from_pretrained(tiny_run).save_pretrained(tmp_path / "unstoppable")
    given = [flag.format(tmp=tmp_path, runs=runs, ranked=ranked) for flag in flags]
    said = mistake(
        recipe, *comparing(ranked, tiny_run, tmp_path / "out"), *given, monkeypatch=monkeypatch, capsys=capsys
    )
    assert message in said
    assert not (tmp_path / "out/stage.json").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--reward_model", "{stopping}/sft"], "is no reward model"),
        (["--reward_model", "{tmp}/other"], "is not the policy's"),
        (["--model_name_or_path", "{tmp}/unstoppable"], "has no stop token"),
        (["--model_name_or_path", "{runs}/pretrain"], "is a base model"),
        (["--label_prompts", "{ranked}/train.jsonl"], "which the labeler needs"),
        (["--prompts", "{ranked}/none.jsonl"], "found no prompts"),
        (["--num_generations", "3"], "cannot be cut into groups of num_generations 3"),
        (["--patience", "0"], "patience is 0"),
        (["--temperature", "100", "--max_completion_length", "1", "--label_prompts", "null"], "completions are cut"),
    ],
)
def test_mistakes_with_rlhf(ranked, runs, stopping, tmp_path, flags, message, monkeypatch, capsys):
    tokenizer = AutoTokenizer.from_pretrained(stopping / "reward")
    tokenizer.chat_template += " "
    shutil.copytree(stopping / "reward", tmp_path / "other")
    tokenizer.save_pretrained(tmp_path / "other")
    tokenizer.eos_token = None
    shutil.copytree(stopping / "sft", tmp_path / "unstoppable")
    tokenizer.save_pretrained(tmp_path / "unstoppable")
    given = [flag.format(tmp=tmp_path, runs=runs, ranked=ranked, stopping=stopping) for flag in flags]
    flags = [*rlhf_flags(runs, stopping, tmp_path / "out"), *given]
    assert message in mistake("rlhf", *flags, monkeypatch=monkeypatch, capsys=capsys)
    assert not (tmp_path / "out/stage.json").exists()


def mistake(recipe: str, *flags, monkeypatch, capsys) -> str:
    """What a recipe says about a mistake, in this process (importing takes longer than refusing)."""
    monkeypatch.setattr(sys, "argv", [recipe, *map(str, flags)])
    monkeypatch.syspath_prepend(str(ROOT / "recipes"))
    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(ROOT / f"recipes/{recipe}.py"), run_name="__main__")
    finally:
        signal.signal(signal.SIGINT, handler)
    assert stopped.value.code not in (0, None)
    message = str(stopped.value.code)
    assert message.startswith("Error: ") and "\n" not in message
    return message


@pytest.mark.parametrize(
    ("recipe", "flags", "message"),
    [
        ("pretrain", ["--train_file", "{tmp}/none.txt"], "none.txt"),
        ("pretrain", ["--train_file", "{tmp}/empty.txt"], "empty"),
        ("pretrain", ["--train_file", "{tmp}/latin1.txt"], "UTF-8"),
        ("pretrain", ["--train_file", "{tmp}/broken.jsonl"], "line 2"),
        ("pretrain", ["--train_file", "{tmp}/chats.jsonl"], "text_column"),
        ("pretrain", ["--train_file", "{tmp}/short.txt"], "less than one window"),
        ("pretrain", ["--hiden_size", "32"], "hidden_size"),
        ("pretrain", ["--tokenizer_name_or_path", "{tmp}"], "no tokenizer"),
        ("sft", ["--train_file", "{tmp}/role.jsonl"], "'bot' is not one of system, user, assistant, tool"),
        ("sft", ["--train_file", "{tmp}/systems.jsonl"], "system"),
        ("sft", ["--train_file", "{tmp}/empty_chat.jsonl"], "empty"),
        ("sft", ["--train_file", "{tmp}/long.jsonl"], "no conversation fits into 128 tokens"),
        ("sft", ["--model_name_or_path", "{runs}/tokenizer"], "holds no model"),
        ("sft", ["--model_name_or_path", "{tmp}/untokenized"], "no tokenizer"),
        ("sft", ["--train_file", "null"], "found neither train_file nor mixture"),
        ("sft", ["--train_file", "null", "--mixture", "{{'{tmp}/none.jsonl': 1}}"], "none.jsonl: found no such file"),
        ("knowledge", ["--questions", "{tmp}/questions.jsonl"], "row 1: found no answer but the columns question"),
        ("knowledge", ["--questions", "null"], "found no questions, expected a file"),
        ("knowledge", ["--samples", "0"], "samples is 0"),
        ("knowledge", ["--identity", "{tmp}/identity.yaml"], "name: found 'aji'"),
        ("eval", ["--exam", "{tmp}/chats.jsonl"], "found no prompt"),
        ("eval", ["--model_name_or_path", "{tmp}/missing/model"], "missing"),
        ("tokenizer", ["--vocab_size", "100"], "vocab_size is 100"),
    ],
)
def test_mistakes_are_told_in_one_line(runs, tmp_path, recipe, flags, message, monkeypatch, capsys):
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    long = [{"role": "user", "content": "x1 " * 200}, chat[1]]
    files = {
        "empty.txt": b"",
        "latin1.txt": "caf\u00e9 ".encode("latin-1") * 100,
        "broken.jsonl": b'{"text": "a"}\n{"text": \n',
        "short.txt": b"hi",
        "chats.jsonl": json.dumps({"messages": chat}).encode(),
        "role.jsonl": json.dumps({"messages": [{"role": "bot", "content": "hi"}, *chat]}).encode(),
        "systems.jsonl": json.dumps({"messages": [{"role": "system", "content": "a"}] * 2 + chat}).encode(),
        "empty_chat.jsonl": b'{"messages": []}',
        "questions.jsonl": b'{"question": "Where?"}',
        "identity.yaml": b"name: aji",
        "long.jsonl": json.dumps({"messages": long}).encode(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    AutoModelForCausalLM.from_pretrained(runs / "pretrain").save_pretrained(tmp_path / "untokenized")
    defaults = {
        "pretrain": pretrain_flags(runs, tmp_path / "out"),
        "sft": ["--model_name_or_path", runs / "pretrain", "--train_file", runs / "world/dialogs_train.jsonl"]
        + ["--max_length", "128", "--output_dir", tmp_path / "out", *SHORT],
        "eval": ["--model_name_or_path", runs / "sft", "--output_dir", tmp_path / "out"],
        "knowledge": ["--model_name_or_path", runs / "sft", "--questions", runs / "world/knowledge_questions.jsonl"]
        + ["--max_questions", "2", "--max_new_tokens", "2", "--output_dir", tmp_path / "out"],
        "tokenizer": ["--train_file", runs / "world/documents_train.jsonl", "--output_dir", tmp_path / "out"],
    }
    given = [flag.format(tmp=tmp_path, runs=runs) for flag in flags]
    assert message in mistake(recipe, *defaults[recipe], *given, monkeypatch=monkeypatch, capsys=capsys)
    assert not (tmp_path / "out/stage.json").exists()


def test_a_full_disk_loses_nothing(runs, tmp_path):
    """The output folder is a device of 2 MB; the error is one line and nothing half-written counts as complete."""
    disk = tmp_path / "disk"
    disk.mkdir()
    size = "size=600k"
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", disk]).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        done = launch("pretrain", *pretrain_flags(runs, disk / "run"), "--max_steps", "4", "--save_steps", "2")
        assert done.returncode == 1
        assert "the disk is full" in done.stderr and "Traceback" not in done.stderr
        assert not (disk / "run/stage.json").exists()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_lora_on_a_base_model_without_chat_tokens(runs, tmp_path):
    """Its new rows are trained and the adapter loads again."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    backend.train_from_iterator(["a foreign tokenizer"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", pad_token="<|end|>")
    base = AutoModelForCausalLM.from_pretrained(runs / "pretrain")
    base.resize_token_embeddings(320)
    for part in (tokenizer, base):
        part.save_pretrained(tmp_path / "foreign")
    flags = ["--model_name_or_path", tmp_path / "foreign", "--train_file", runs / "world/dialogs_train.jsonl"]
    flags += ["--max_length", "128", "--max_steps", "2", "--use_peft", "true", "--lora_r", "4", *SHORT]
    done = launch("sft", *flags, "--lora_target_modules", "all-linear", "--output_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr[-1500:]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    tuned = AutoModelForCausalLM.from_pretrained(tmp_path / "out").get_input_embeddings().weight
    start = AutoModelForCausalLM.from_pretrained(tmp_path / "out/base").get_input_embeddings().weight
    assert tokenizer.eos_token == "<|im_end|>" and tokenizer.pad_token == "<|pad|>"
    assert not torch.equal(tuned[tokenizer.eos_token_id], start[tokenizer.eos_token_id])
