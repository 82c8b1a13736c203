"""The documents tell the truth: commands parse, paths exist, tree and names of metrics are the real ones."""

import ast
import importlib
import itertools
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from accelerate.commands.launch import launch_command_parser

from aji import cli
from aji.config import parse
from aji.evals.exam import score
from aji.evals.identity import build_questions
from aji.evals.truthful import KNOWLEDGE, LOOKED_UP
from aji.generate import Completion
from aji.identity import load_identity
from aji.tool_loop import Answer
from aji.world import WorldArguments, build_world
from test_configs import argument_types, load_recipe


ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "recipes/README.md")]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md"))
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
# Shell commands that need no check of ours.
PLAIN = ("source", "sed", "cd", "git", "echo", "head", "pre-commit")


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def lines_of(script: str) -> list[list[str]]:
    """The commands of a shell script in words; a pipe makes two."""
    commands = []
    for line in script.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        groups = itertools.groupby(words, lambda word: word == "|")
        commands += [list(group) for is_pipe, group in groups if not is_pipe]
    return commands


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)


def commands_of(path: Path) -> list[list[str]]:
    return [command for block in blocks(path, "bash") for command in lines_of(block)]


def comment_commands(text: str) -> list[list[str]]:
    """The `accelerate launch` commands in a docstring, continued lines joined."""
    found = re.findall(r"^ *(accelerate launch (?:.*\\\n)*.*)", text, re.M)
    return [command for script in found for command in lines_of(script)]


def check_launch(words: list[str], copies: dict[str, str]) -> None:
    launched = launch_command_parser().parse_args(words)
    assert launched.config_file is None or Path(launched.config_file).is_file()
    script = Path(launched.training_script)
    assert script.parent == Path("recipes") and script.is_file(), f"no recipe {script}"
    argv = [copies.get(word, word) for word in launched.training_script_args]
    if argv != ["--help"]:
        parse(*argument_types(script.stem), argv=argv)


def check_make(words: list[str]) -> None:
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    assert Path(settings.get("ACCELERATE", "Makefile")).is_file()
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", "-n", *words], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr


def check_aji(words: list[str], monkeypatch) -> None:
    module = importlib.import_module(cli.COMMANDS[words[0]][0])
    seen = []
    monkeypatch.setattr(module, "main", seen.append)
    cli.main(words)
    assert len(seen) == 1


def copied(source: str, target: str) -> dict[str, str]:
    """Which file each file is a copy of after `cp source target`."""
    if Path(source).is_file():
        return {target: source}
    assert Path(source).is_dir(), f"cp: no {source}"
    return {f"{target}/{path.name}": str(path) for path in Path(source).iterdir()}


def check(command: list[str], copies: dict[str, str], monkeypatch) -> None:
    program, *words = command
    program = program.removeprefix(".venv/bin/")
    if program == "accelerate":
        assert words[0] == "launch"
        check_launch(words[1:], copies)
    elif program == "make":
        check_make(words)
    elif program == "aji":
        check_aji(words, monkeypatch)
    elif program == "cp":
        copies |= copied(*[word for word in words if not word.startswith("-")])
    else:
        assert program in PLAIN, f"unknown command {program}"


def test_there_are_commands_to_check():
    assert min(len(commands_of(ROOT / name)) for name in ("README.md", "recipes/README.md", "docs/sft.md")) > 0


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_commands_parse(path, monkeypatch):
    copies: dict[str, str] = {}
    for command in commands_of(path):
        try:
            check(command, copies, monkeypatch)
        except (Exception, SystemExit) as error:
            pytest.fail(f"{path.name}: {shlex.join(command)}\n{error}")


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.py")), ids=lambda path: path.name)
def test_commands_of_docstrings_parse(path, monkeypatch):
    commands = comment_commands(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))
    assert commands
    for command in commands:
        try:
            check(command, {}, monkeypatch)
        except (Exception, SystemExit) as error:
            pytest.fail(f"{path.name}: {shlex.join(command)}\n{error}")


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_links_and_paths_exist(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), f"{path.name} links to {target}"
        headings = re.findall(r"^#+ (.*)", linked.read_text(encoding="utf-8"), re.M) if anchor else []
        slugs = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, f"{path.name} links to {target}"
    for name in re.findall(r"`((?:src|recipes|configs|tests|docs|bench|\.ci)/[\w./-]+)`", text):
        invented = name.startswith("configs/mine") or "STAGE" in name
        assert invented or Path(name).exists(), f"{path.name} names {name}"


def files_of_the_checkout() -> list[str]:
    git = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(git, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not in a checkout of git")
    return [name for name in done.stdout.split("\0") if name and Path(name).exists()]


def tree_of_the_readme() -> dict[str, set[str]]:
    """Folder -> names in it; "" is the top. A folder has a / at its end; what follows # is a comment.

    tests/ mirrors src/aji, so what is in it is not listed.
    """
    block = next(block for block in blocks(ROOT / "README.md", "text") if "pyproject.toml" in block)
    tree: dict[str, set[str]] = {"": set()}
    for line in block.splitlines():
        words = line.partition("#")[0].split()
        if not line.startswith(" "):
            (folder,) = words
            tree[""].add(folder.partition("/")[0] + "/" * ("/" in folder))
        else:
            assert not tree.get(folder, set()) & set(words), f"twice in the tree: {words}"
            tree.setdefault(folder, set()).update(words)
    return tree


def test_the_tree_in_the_readme_is_that_of_the_files():
    files = files_of_the_checkout()
    tree = tree_of_the_readme()
    for folder, names in tree.items():
        inside = [name.removeprefix(folder) for name in files if name.startswith(folder)]
        real = {name.partition("/")[0] + "/" * ("/" in name) for name in inside}
        assert sorted(names) == sorted(real), f"the tree of the README at {folder or 'the top'}"
    shown = {name for name in tree[""] if name.endswith("/") and not name.startswith(".")} - {"tests/"}
    assert {folder.partition("/")[0] + "/" for folder in tree if folder} == shown


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


# docs/metrics.md


def sections() -> dict[str, str]:
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    found = re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    merged: dict[str, str] = {}
    for title, body in found:
        for name in title.split(", "):
            merged[name] = merged.get(name, "") + body
    return merged


def placeholders() -> dict[str, str]:
    """Capitals of the names -> a pattern of what can stand for them."""
    patterns = {"GROUP": r"[\w.-]+", "TOKENIZER": r"[\w.-]+"}
    for line in sections()["What the capitals stand for"].splitlines():
        if cells := re.match(r"\| `([A-Z]+)` \| (.*) \|", line):
            patterns.setdefault(cells[1], "|".join(re.findall(r"`([^`]+)`", cells[2].partition(";")[0])))
    return patterns


def documented(stage: str) -> dict[str, bool]:
    """Regular expressions of the names of a stage, and whether they have an interval."""
    fill = placeholders()
    names = {}
    for line in sections()[stage].splitlines():
        if not line.startswith("| `"):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for name in re.findall(r"`([^`]+)`", cells[0]):
            expression = re.sub("[A-Z]+", lambda word: f"(?:{fill[word[0]]})", name)
            names[expression] = cells[-1] in ("questions", "replies", "windows", "problems", "pairs", "prompts")
    return names


def assert_documented(stage: str, metrics: dict, absent: tuple[str, ...] = ()) -> None:
    """Every name is documented, with its interval where it has one, and every documented one but `absent` is there."""
    patterns = documented(stage)
    bases = {name for name in metrics if not re.search(r"_(?:low|high|n)$", name)}
    unknown = [name for name in bases if not any(re.fullmatch(pattern, name) for pattern in patterns)]
    assert unknown == [], f"docs/metrics.md does not tell of {unknown} in {stage}"
    for pattern, has_interval in patterns.items():
        matching = [name for name in bases if re.fullmatch(pattern, name)]
        assert matching or pattern in absent, f"docs/metrics.md tells of {pattern}, which {stage} does not write"
        for name in matching:
            beside = {f"{name}_{part}" for part in ("low", "high", "n")}
            assert beside & metrics.keys() == (beside if has_interval else set()), name


def small_world() -> WorldArguments:
    sizes = {"people": 15, "often_mentions_top": 6, "often_mentions_bottom": 6, "common_mentions": 1}
    sizes |= {"arithmetic_documents": 10, "story_documents": 4, "repeated_pages": 2, "exam_items": 1}
    sizes |= {
        "dialogs": 20,
        "dialogs_validation": 20,
        "tool_dialogs": 20,
        "tool_dialogs_validation": 20,
        "reading_dialogs": 20,
    }
    sizes |= {"problems": 40, "problems_validation": 40, "problems_test": 40}
    sizes |= {"ladder": 36, "ladder_validation": 18, "ladder_test": 18, "demonstrations": 40}
    sizes |= {"open_dialogs": 40, "preference_prompts": 60, "preference_prompts_validation": 60}
    sizes |= {"preference_prompts_test": 10}
    return WorldArguments(**sizes)


def run_recipe(stem: str, *argv: str) -> dict:
    """The metrics of a recipe that runs in this process."""
    arguments = parse(*argument_types(stem), argv=argv)
    load_recipe(stem).main(*arguments)
    return json.loads((Path(argv[-1]) / "metrics.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def documents(tmp_path_factory) -> str:
    rows = build_world(small_world()).files["documents_train.jsonl"]
    chosen = [row for row in rows if row["genre"] in ("story", "news")][:30]
    path = tmp_path_factory.mktemp("data") / "documents.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="utf-8")
    return str(path)


def test_metrics_of_the_world(tmp_path, capsys):
    sizes = {key: value for key, value in vars(small_world()).items() if key != "output_dir" and value is not None}
    argv = [word for key, value in sizes.items() for word in (f"--{key}", str(value))]
    argv += ["--identity", "configs/laptop/identity.yaml"]
    assert_documented("world", run_recipe("world", *argv, "--output_dir", str(tmp_path / "world")))


def test_metrics_of_the_tokenizer(tmp_path, documents, tiny_run, capsys):
    argv = ["--train_file", documents, "--vocab_size", "512", "--compare", tiny_run]
    assert_documented("tokenizer", run_recipe("tokenizer", *argv, "--output_dir", str(tmp_path / "tokenizer")))


def test_metrics_of_training(tmp_path, documents, tiny_run, capsys):
    config = tmp_path / "pretrain.yaml"
    config.write_text(
        "hidden_size: 32\nnum_hidden_layers: 1\nnum_attention_heads: 2\nmax_position_embeddings: 64\n"
        "eval_tail: 0.2\nsample_prompts: []\nbf16: false\nmax_steps: 1\nper_device_train_batch_size: 2\n"
    )
    argv = ["--config", str(config), "--train_file", documents, "--tokenizer_name_or_path", tiny_run]
    metrics = run_recipe("pretrain", *argv, "--output_dir", str(tmp_path / "pretrain"))
    assert_documented("pretrain", metrics)
    # Both stages end in `fit`; what pretraining adds to it is told under its own name.
    shared = {name: value for name, value in metrics.items() if not name.startswith("bits_per_byte")}
    assert_documented("sft", shared)


def test_metrics_of_the_interrogation(tmp_path, tiny_run, capsys):
    questions = build_world(small_world()).files["knowledge_questions.jsonl"]
    rows = list({(row["group"], row["language"]): row for row in questions}.values())
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows * 4), encoding="utf-8")
    argv = ["--model_name_or_path", tiny_run, "--questions", str(path), "--max_new_tokens", "2"]
    argv += ["--identity", "configs/laptop/identity.yaml", "--identity_rows", "1"]
    assert_documented("knowledge", run_recipe("knowledge", *argv, "--output_dir", str(tmp_path / "knowledge")))


def test_metrics_of_trial(tmp_path, tiny_run, capsys):
    world = build_world(small_world()).files
    for name in ("ladder_train", "ladder_test", "demonstrations_train"):
        rows = [row for row in world[f"{name}.jsonl"] if row["task"] in ("carry2", "copy")]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    argv = ["--model_name_or_path", tiny_run, "--train_file", str(tmp_path / "ladder_train.jsonl")]
    argv += ["--eval_file", str(tmp_path / "ladder_test.jsonl"), "--difficulty", "all"]
    argv += ["--demonstrations", str(tmp_path / "demonstrations_train.jsonl"), "--difficulty_range", "0.0", "1.0"]
    argv += ["--max_steps", "1", "--per_device_train_batch_size", "16", "--num_generations", "4", "--bf16", "false"]
    argv += ["--max_completion_length", "64", "--logging_steps", "1", "--difficulty_problems", "2", "--beta", "0.1"]
    metrics = run_recipe("rlvr", *argv, "--output_dir", str(tmp_path / "rlvr"))
    assert_documented("rlvr", metrics, absent=("eval_loss",))


def test_metrics_of_rlhf(tmp_path, tiny_run, capsys):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from aji.reward_model import build_reward_model

    tokenizer, model = AutoTokenizer.from_pretrained(tiny_run), AutoModelForCausalLM.from_pretrained(tiny_run)
    model.get_input_embeddings().weight.data[:, 0] = 0.1  # so that replies stop: a direction that all states share
    model.get_input_embeddings().weight.data[tokenizer.eos_token_id, 0] = 1.0
    model.save_pretrained(tmp_path / "sft")
    build_reward_model(str(tmp_path / "sft"), tokenizer).save_pretrained(tmp_path / "reward")
    for folder in ("sft", "reward"):
        tokenizer.save_pretrained(tmp_path / folder)
    rows = list(
        {row["kind"]: row for row in build_world(small_world()).files["preference_prompts_train.jsonl"]}.values()
    )
    path = str(tmp_path / "prompts.jsonl")
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    argv = ["--model_name_or_path", str(tmp_path / "sft"), "--reward_model", str(tmp_path / "reward")]
    argv += ["--prompts", path, "--label_prompts", path, "--eval_prompts", path, "--logging_steps", "1"]
    argv += ["--max_steps", "1", "--per_device_train_batch_size", "8", "--num_generations", "4", "--bf16", "false"]
    argv += ["--max_completion_length", "20", "--kinds", "joke", "name", "--replay", f"{{{path}: 1}}"]
    metrics = run_recipe("rlhf", *argv, "--output_dir", str(tmp_path / "rlhf"))
    same = tuple(pattern for pattern in documented("rlhf") if "changed" in pattern)  # the start is kept
    assert_documented("rlhf", metrics, absent=("eval_loss", *same))


def test_metrics_of_preferences(tmp_path, tiny_run, capsys):
    world = build_world(small_world()).files
    for split in ("train", "validation"):
        rows = list({row["kind"]: row for row in world[f"preference_prompts_{split}.jsonl"]}.values())
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    argv = ["--model_name_or_path", tiny_run, "--prompts", str(tmp_path / "train.jsonl"), "--temperature", "100"]
    argv += ["--eval_prompts", str(tmp_path / "validation.jsonl"), "--responses_min", "9", "--max_new_tokens", "60"]
    made = tmp_path / "preferences"
    assert_documented("preferences", run_recipe("preferences", *argv, "--output_dir", str(made)))

    argv = ["--model_name_or_path", tiny_run, "--train_file", str(made / "train.jsonl"), "--max_length", "128"]
    argv += ["--eval_file", str(made / "validation.jsonl"), "--max_steps", "1", "--bf16", "false"]
    argv += ["--per_device_train_batch_size", "2", "--logging_steps", "1"]
    reward = run_recipe("reward", *argv, "--output_dir", str(tmp_path / "reward"))
    assert_documented("reward", reward, absent=("dropped_(?:equal|empty|prompts_differ|long)",))
    argv += ["--eval_prompts", str(tmp_path / "validation.jsonl"), "--max_new_tokens", "4"]
    argv += ["--precompute_ref_log_probs", "true", "--learning_rate", "0.1"]  # so that replies change
    dpo = run_recipe("dpo", *argv, "--output_dir", str(tmp_path / "dpo"))
    assert_documented("dpo", dpo, absent=("dropped_(?:equal|empty|prompts_differ|long)",))


def test_metrics_of_evaluation(tmp_path, documents, tiny_run, capsys):
    exam = build_world(small_world()).files["exam.jsonl"]
    plain = {row["task"]: row for row in exam if not row.get("tools") and row["task"] != "paragraph"}
    rows = [plain["people_never"], *list(plain.values())[::7]]
    path = tmp_path / "exam.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    argv = ["--model_name_or_path", tiny_run, "--documents", documents, "--exam", str(path), "--max_new_tokens", "2"]
    metrics = run_recipe("eval", *argv, "--output_dir", str(tmp_path / "eval"))
    with_tools = tuple(name for name in documented("eval") if name.endswith("_calls"))
    assert_documented("eval", metrics, absent=with_tools)


def test_metrics_of_the_whole_exam():
    exam = build_world(small_world()).files["exam.jsonl"]
    said = {False: Completion([], "I do not know.", True), True: Answer("I do not know.", True)}
    metrics, _ = score(exam, [said[bool(row.get("tools"))] for row in exam], chat=True)
    bits = tuple(pattern for pattern in documented("eval") if pattern.startswith("bits_per_byte"))
    assert_documented("eval", metrics, absent=bits)
    tasks = set(placeholders()["TASK"].split("|"))
    identity = {row["task"] for row in build_questions(load_identity("configs/laptop/identity.yaml"))}
    assert tasks == {row["task"] for row in exam} | identity
    assert set(placeholders()["FACTTASK"].split("|")) == set(KNOWLEDGE + LOOKED_UP)


@pytest.mark.parametrize("path", [*DOCUMENTS, *sorted((ROOT / "configs").rglob("*.yaml"))], ids=str)
def test_no_figure_is_left_open(path):
    text = path.read_text(encoding="utf-8")
    open_ones = [number for number, line in enumerate(text.splitlines(), start=1) if "MEASURED" in line]
    assert open_ones == [], f"{path.relative_to(ROOT)}: measure these lines and fill them in"
