"""The strict parser: what it accepts, and the one line it answers with when it does not."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import transformers
import trl

from aji import config
from aji.errors import UserError


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Plain:
    name: str = field(default="x", metadata={"help": "a string"})
    maybe: str | None = field(default=None, metadata={"help": "a string or null"})
    steps: int = field(default=1, metadata={"help": "an int"})
    rate: float = field(default=0.5, metadata={"help": "a float"})
    limit: int | None = field(default=8, metadata={"help": "an int or null"})
    words: list[str] = field(default_factory=list, metadata={"help": "strings"})
    table: dict[str, str] | None = field(default=None, metadata={"help": "a mapping"})
    mode: Literal["fast", "slow"] = field(default="fast", metadata={"help": "a literal"})
    colour: Colour = field(default="red", metadata={"help": "an enum"})
    strategy: Colour | str = field(default="red", metadata={"help": "the name of one"})
    kind: str = field(default="a", metadata={"help": "a choice", "choices": ["a", "b", "no"]})
    switch: bool = field(default=False, metadata={"help": "a bool"})
    anything: Any = field(default=None, metadata={"help": "anything"})
    if_exists: str = field(default="refuse", metadata={"help": "ours"})


@dataclass
class Needy:
    train_file: str = field(metadata={"help": "required"})


@dataclass
class Machine:
    use_cpu: bool = field(default=False, metadata={"help": ""})
    bf16: bool | None = field(default=None, metadata={"help": ""})
    fp16: bool = field(default=False, metadata={"help": ""})
    activation_checkpointing: bool = field(default=True, metadata={"help": ""})
    gradient_checkpointing: bool = field(default=True, metadata={"help": ""})
    logging_nan_inf_filter: bool = field(default=True, metadata={"help": ""})


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        Path("c.yaml").write_text(text, encoding="utf-8")
        return "c.yaml"

    return write


def parse_plain(write, text, *flags):
    return config.parse(Plain, argv=["--config", write(text), *flags])[0]


@pytest.mark.parametrize(
    ("yaml", "key", "value"),
    [
        ("name: word", "name", "word"),
        ("maybe: null", "maybe", None),
        ("steps: 3", "steps", 3),
        ("rate: 2", "rate", 2),
        ("rate: 1e-3", "rate", 0.001),  # a string in YAML 1.1
        ("rate: 1.0e-3", "rate", 0.001),
        ("limit: null", "limit", None),
        ("words: [a, b]", "words", ["a", "b"]),
        ("words: a", "words", ["a"]),
        ("table: {a: b}", "table", {"a": "b"}),
        ("table:\n  a: b", "table", {"a": "b"}),
        ("mode: slow", "mode", "slow"),
        ("colour: blue", "colour", "blue"),
        ("strategy: blue", "strategy", "blue"),
        ("kind: no", "kind", "no"),  # False in YAML 1.1
        ("switch: true", "switch", True),
        ("anything: [1, {a: 2}]", "anything", [1, {"a": 2}]),
    ],
)
def test_yaml_values_are_taken(write, yaml, key, value):
    found = getattr(parse_plain(write, yaml), key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("name: 1", "line 1: name: found 1 (an int), expected a string. Put it in quotes"),
        ("name: yes", "line 1: name: found True (a boolean), expected a string. Put it in quotes"),
        ("name: [a]", "line 1: name: found ['a'] (a list), expected a string"),
        ("name: null", "line 1: name: found None (null), expected a string"),
        ("maybe: 2024-01-01", "(a date), expected a string or null. Put it in quotes"),
        ("rate: 1\nsteps: 1.5", "line 2: steps: found 1.5 (a float), expected a whole number"),
        ("steps: '3'", "line 1: steps: found '3' (a string), expected a whole number"),
        ("steps: true", "line 1: steps: found True (a boolean), expected a whole number"),
        ("rate: [1]", "line 1: rate: found [1] (a list), expected a number"),
        ("rate: fast", "line 1: rate: found 'fast' (a string), expected a number"),
        ("rate: true", "line 1: rate: found True (a boolean), expected a number"),
        ("limit: none", "line 1: limit: found 'none' (a string), expected a whole number or null"),
        ("words: [1]", "line 1: words: found [1] (a list), expected a list of str"),
        ("table: [a]", "line 1: table: found ['a'] (a list), expected a mapping or null"),
        ("mode: medium", "line 1: mode: found 'medium', expected one of fast, slow"),
        ("colour: green", "line 1: colour: found 'green', expected one of red, blue"),
        ("strategy: green", "line 1: strategy: found 'green', expected one of red, blue"),
        ("kind: c", "line 1: kind: found 'c', expected one of a, b, no"),
        ("kind: yes", "line 1: kind: found True, expected one of a, b, no"),
        ("switch: 1", "line 1: switch: found 1 (an int), expected true or false"),
        ("switch: 'true'", "line 1: switch: found 'true' (a string), expected true or false"),
        ("stepps: 3", "line 1: found unknown key 'stepps', did you mean steps?"),
        ("qqqqqq: 3", "line 1: found unknown key 'qqqqqq', expected one of those that --help lists"),
        ("1: 3", "line 1: found unknown key 1, expected one of those that --help lists"),
        ("overwrite_output_dir: true", "found unknown key 'overwrite_output_dir', which is gone: see if_exists"),
        ("env: {A: b}", "found unknown key 'env', which is gone: libraries read the environment before this file"),
        ("steps: 1\nname: a\nsteps: 2", "line 3: found key 'steps' a second time (first on line 1), expected each"),
        ("table:\n  a: b\n  a: c", "line 3: found key 'a' a second time (first on line 2), expected each key once"),
        ("", "c.yaml: found an empty file, expected lines `key: value`"),
        ("# only a comment\n", "c.yaml: found an empty file, expected lines `key: value`"),
        ("- steps", "c.yaml: found a list, expected lines `key: value`"),
        ("steps", "c.yaml: found a string, expected lines `key: value`"),
        ("steps: 1\nwords: [a", "line 2: not YAML (expected ',' or ']', but got '<stream end>'), expected lines"),
        ("\tsteps: 1", "line 1: not YAML (found character '\\t' that cannot start any token), expected lines"),
        ("name: \x01", "c.yaml: not YAML (unacceptable character #x0001"),
        ("name: !!python/object:os.system x", "line 1: not YAML (could not determine a constructor"),
    ],
)
def test_yaml_mistakes_are_named(write, yaml, message):
    with pytest.raises(UserError) as error:
        parse_plain(write, yaml)
    assert str(error.value).startswith("c.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--step", "3"], "found unknown flag --step, did you mean --steps?"),  # no abbreviations
        (["--qqqqqq=3"], "found unknown flag --qqqqqq, expected one of those that --help lists"),
        (
            ["--overwrite_output_dir", "true"],
            "found unknown flag --overwrite_output_dir, which is gone: see if_exists",
        ),
        (["--steps", "1.5"], "flag --steps: found '1.5', expected a whole number"),
        (["--rate", "fast"], "flag --rate: found 'fast', expected a number"),
        (["--mode", "medium"], "flag --mode: found 'medium', expected one of 'fast', 'slow'"),
        (["--strategy", "green"], "flag --strategy: found 'green', expected one of 'red', 'blue'"),
        (["--kind", "c"], "flag --kind: found 'c', expected one of 'a', 'b', 'no'"),
        (["--switch", "maybe"], "flag --switch: found 'maybe', expected true or false"),
        (["--table", "{a"], "flag --table: found '{a', expected a mapping such as '{key: value}'"),
        (["--steps"], "flag --steps: expected one argument"),
        (["c.yaml"], "found 'c.yaml', expected --key value. Did you mean --config c.yaml?"),
        (["word"], "found 'word', expected --key value."),
        (["--config"], "found --config without a value, expected the path of a YAML file"),
        (["--config", "--steps"], "found --config without a value, expected the path of a YAML file"),
        (["--config="], "found --config without a value, expected the path of a YAML file"),
        (["--config", "a", "--config=b"], "found a second --config (a came first), expected one"),
        (["--config", "none.yaml"], "none.yaml: cannot read it (No such file or directory), expected a YAML file"),
        (["--config", "."], ".: cannot read it (Is a directory), expected a YAML file"),
    ],
)
def test_flag_mistakes_are_named(flags, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        config.parse(Plain, argv=flags)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_not_utf8(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes("name: 이름".encode("cp949"))
    with pytest.raises(UserError, match=r"c.yaml: found byte 0xc0, expected UTF-8 text"):
        config.parse(Plain, argv=["--config", str(path)])


def test_missing_key(write):
    with pytest.raises(UserError, match="^missing: train_file. Set it in the YAML file or by the flag --train_file$"):
        config.parse(Needy, argv=[])
    assert config.parse(Needy, argv=["--config", write("train_file: a.txt")])[0].train_file == "a.txt"


@pytest.mark.parametrize(
    "flags",
    [["--limit", "null"], ["--limit=null"], ["--maybe", "x", "--limit", "null"], ["--limit", "3", "--limit", "null"]],
)
def test_a_flag_takes_an_optional_value_back(write, flags):
    assert parse_plain(write, "limit: 3").limit == 3
    assert parse_plain(write, "limit: 3", *flags).limit is None


def test_a_flag_for_one_source_replaces_the_other_of_the_file(write):
    """`--config configs/laptop/sft.yaml --train_file mine.jsonl`, whose file has a mixture."""
    from aji.data.load import DataArguments

    file = ["--config", write("mixture: {a.jsonl: 1}\nmax_rows: 3")]
    mine = config.parse(DataArguments, argv=[*file, "--train_file", "b.jsonl"])[0]
    assert (mine.train_file, mine.mixture, mine.max_rows) == ("b.jsonl", None, 3)
    assert config.parse(DataArguments, argv=file)[0].mixture == {"a.jsonl": 1}
    other = config.parse(DataArguments, argv=["--config", write("train_file: a.txt"), "--mixture", "{b.jsonl: 2}"])[0]
    assert (other.train_file, other.mixture) == (None, {"b.jsonl": 2})
    with pytest.raises(UserError, match="found both train_file and mixture"):
        config.parse(DataArguments, argv=["--train_file", "a", "--mixture", "{b: 1}"])


def test_null_is_a_word_where_nothing_is_no_value(write):
    assert parse_plain(write, "name: x", "--name", "null").name == "null"
    with pytest.raises(UserError, match="steps"):
        parse_plain(write, "name: x", "--steps", "null")


@pytest.mark.parametrize("form", [["--config", "c.yaml"], ["--config=c.yaml"]])
def test_flags_win_over_yaml_before_and_after_it(write, form):
    write("steps: 3\nrate: 0.1\nswitch: true")
    plain = config.parse(Plain, argv=["--rate", "0.2", *form, "--switch", "false"])[0]
    assert (plain.steps, plain.rate, plain.switch, plain.name) == (3, 0.2, False, "x")


def test_mapping_flags(write):
    assert parse_plain(write, "steps: 1", "--table", "{user: Q, assistant: A}").table == {
        "user": "Q",
        "assistant": "A",
    }
    assert parse_plain(write, "table: {a: b}", "--table", "none").table is None


def test_set_explicitly(write):
    plain = parse_plain(write, "steps: 1", "--rate", "0.5", "--switch")  # 1 and 0.5 are the defaults
    assert [key for key in vars(plain) if config.set_explicitly(plain, key)] == ["steps", "rate", "switch"]
    assert not config.set_explicitly(Plain(), "steps")


def test_args_file_beside_the_script_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "sft.args").write_text("--steps 9")
    monkeypatch.setattr("sys.argv", [str(tmp_path / "sft.py")])
    assert config.parse(Plain)[0].steps == 1


def test_one_key_in_two_dataclasses():
    @dataclass
    class Other:
        steps: int = 2

    with pytest.raises(ValueError, match="Plain and Other both have a field 'steps'.*rename one of them"):
        config.parse(Plain, Other, argv=[])


def test_a_dataclass_that_refuses_itself_is_the_users_mistake(write):
    @dataclass
    class Picky:
        size: int = 1

        def __post_init__(self):
            raise ValueError("size must\n  be even")

    with pytest.raises(UserError, match="^c.yaml: size must be even$"):
        config.parse(Picky, argv=["--config", write("size: 3")])
    with pytest.raises(UserError, match="unknown flag --sise, did you mean --size"):  # ours comes first
        config.parse(Picky, argv=["--sise", "3"])


MACHINES = {  # accelerator, its bf16, the CPU's bf16 -> use_cpu, bf16, activation_checkpointing
    (False, False, False): (True, False, False),
    (False, False, True): (True, True, False),
    (True, True, False): (False, True, True),
    (True, False, True): (False, False, True),
}


@pytest.mark.parametrize(("machine", "expected"), MACHINES.items())
def test_machine_defaults(monkeypatch, machine, expected):
    accelerator, gpu_bf16, cpu_bf16 = machine
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: accelerator)
    monkeypatch.setattr(config, "is_torch_bf16_gpu_available", lambda: gpu_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: cpu_bf16)
    found = config.parse(Machine, argv=[])[0]
    assert (found.use_cpu, found.bf16, found.activation_checkpointing) == expected
    assert found.logging_nan_inf_filter is False
    assert not config.set_explicitly(found, "use_cpu")


@pytest.mark.parametrize(
    ("flags", "key", "value"),
    [
        (["--use_cpu", "true"], "bf16", True),  # follows the CPU, which has it
        (["--use_cpu", "true"], "activation_checkpointing", False),
        (["--bf16", "false"], "bf16", False),
        (["--fp16", "true"], "bf16", False),  # upstream takes only one of the two
        (["--use_cpu", "true", "--gradient_checkpointing", "true"], "activation_checkpointing", True),
        (["--logging_nan_inf_filter", "true"], "logging_nan_inf_filter", True),
    ],
)
def test_the_user_wins_over_the_machine(monkeypatch, flags, key, value):
    monkeypatch.setattr(config, "has_accelerator", lambda: True)
    monkeypatch.setattr(config, "is_torch_bf16_gpu_available", lambda: "--use_cpu" not in flags)
    monkeypatch.setattr(config, "cpu_has_bf16", lambda: True)
    assert getattr(config.parse(Machine, argv=flags)[0], key) is value


# Upstream's own dataclasses: their hints are looser than what they take.

UPSTREAM = [
    (transformers.TrainingArguments,),
    (trl.SFTConfig, trl.ModelConfig),
    (trl.DPOConfig, trl.ModelConfig),
    (trl.RewardConfig, trl.ModelConfig),
    (trl.RLOOConfig, trl.ModelConfig),
    (trl.GRPOConfig, trl.ModelConfig),
]


@pytest.fixture
def cpu(monkeypatch):
    monkeypatch.setattr(config, "has_accelerator", lambda: False)
    monkeypatch.setattr(config, "cpu_has_bf16", lambda: True)


@pytest.mark.parametrize("classes", UPSTREAM, ids=lambda classes: classes[0].__name__)
def test_upstream_defaults_and_help(classes, cpu, tmp_path, capsys):
    args = config.parse(*classes, argv=["--output_dir", str(tmp_path)])[0]
    assert (args.use_cpu, args.bf16, args.activation_checkpointing) == (True, True, False)
    with pytest.raises(SystemExit) as exit_:
        config.parse(*classes, argv=["--help"], description="What it does.")
    text = capsys.readouterr().out
    assert exit_.value.code == 0
    assert "[--config FILE.yaml] [--key value ...]" in text
    assert "What it does." in text
    assert "--learning_rate" in text


def test_upstream_yaml(write, cpu, tmp_path):
    text = f"""
output_dir: {tmp_path}
eval_strategy: no
lr_scheduler_type: warmup_stable_decay
lr_scheduler_kwargs: {{num_decay_steps: 3}}
learning_rate: 1e-3
warmup_steps: 0.1
report_to: none
resume_from_checkpoint: true
max_length: null
fsdp: false
lora_target_modules: all-linear
"""
    args, model = config.parse(trl.SFTConfig, trl.ModelConfig, argv=["--config", write(text)])
    assert args.eval_strategy == "no"
    assert args.lr_scheduler_kwargs == {"num_decay_steps": 3}
    assert (args.learning_rate, args.warmup_steps, args.max_length) == (0.001, 0.1, None)
    assert args.resume_from_checkpoint is True
    assert args.report_to == []
    assert model.lora_target_modules == "all-linear"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--resume_from_checkpoint", "true"], True),
        (["--resume_from_checkpoint"], True),
        (["--resume_from_checkpoint", "false"], False),
        (["--resume_from_checkpoint", "runs/checkpoint-3"], "runs/checkpoint-3"),
        ([], None),
    ],
)
def test_resume_from_checkpoint(cpu, tmp_path, flags, expected):
    args = config.parse(trl.SFTConfig, argv=["--output_dir", str(tmp_path), *flags])[0]
    assert args.resume_from_checkpoint == expected
    assert type(args.resume_from_checkpoint) is type(expected)


def test_upstream_mapping_flag(cpu, tmp_path):
    argv = ["--output_dir", str(tmp_path), "--lr_scheduler_kwargs", '{"min_lr_rate": 0.1}']
    assert config.parse(trl.SFTConfig, argv=argv)[0].lr_scheduler_kwargs == {"min_lr_rate": 0.1}


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("packing_strategy: nope", "packing_strategy: found 'nope', expected one of bfd, bfd_split, wrapped"),
        ("eval_strategy: nope", "eval_strategy: found 'nope', expected one of no, steps, epoch"),
        ("lr_scheduler_type: cosin", "lr_scheduler_type: found 'cosin', expected one of linear, cosine,"),
        ("max_steps: 1.5", "max_steps: found 1.5 (a float), expected a whole number"),
        ("per_device_train_batch_size: 2.5", "found 2.5 (a float), expected a whole number"),
        ("num_train_epochs: true", "num_train_epochs: found True (a boolean), expected a number"),
        ("learning_rate: [1]", "learning_rate: found [1] (a list), expected a number"),
        ("output_dir: [a, b]", "output_dir: found ['a', 'b'] (a list), expected a string"),
        ("report_to: 3", "report_to: found 3 (an int), expected a string or a list of str or null"),
        ("dtype: half", "dtype: found 'half', expected one of auto, bfloat16, float16, float32"),
        ("learning_rat: 1", "found unknown key 'learning_rat', did you mean learning_rate?"),
        ("learning-rate: 1", "found unknown key 'learning-rate', did you mean learning_rate?"),
        ("torch_dtype: auto", "found unknown key 'torch_dtype', which is gone: write dtype"),
        ("warmup_ratio: 0.1", "which is gone: write warmup_steps: a float below 1 is a share of the run"),
        ("evaluation_strategy: steps", "which is gone: write eval_strategy"),
        ("max_seq_length: 12", "which is gone: write max_length"),
        ("load_best_model_at_end: true", "--load_best_model_at_end requires the save and eval strategy to match"),
    ],
)
def test_upstream_mistakes(write, cpu, yaml, message):
    with pytest.raises(UserError) as error:
        config.parse(trl.SFTConfig, trl.ModelConfig, argv=["--config", write(yaml)])
    assert str(error.value).startswith("c.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_retired_keys_are_retired():
    alive = {name for classes in UPSTREAM for cls in classes for name in cls.__dataclass_fields__}
    assert not alive & config.RETIRED.keys()
    assert {now for now, _ in config.RETIRED.values() if now} - alive == {"if_exists", "train_file"}
