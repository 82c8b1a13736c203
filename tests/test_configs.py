"""Every YAML parses strictly with its recipe's own dataclasses, says how to start it, and reads what others wrote."""

import fnmatch
import functools
import importlib.util
import itertools
import re
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

import pytest
import yaml
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

import aji.stage
from aji.config import parse
from aji.identity import load_identity
from aji.world import WorldArguments, build_world, write_crawl


ROOT = Path(__file__).parents[1]
YAMLS = sorted(path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.yaml"))
HARDWARE = [path for path in YAMLS if path.parent.name == "accelerate"]
FACTS = [path for path in YAMLS if path.stem == "identity"]  # not a recipe's: facts that recipes read
CONFIGS = [path for path in YAMLS if path.parent.name != "accelerate" and path not in FACTS]
PROFILES = sorted({path.parent.name for path in CONFIGS})
RECIPES = sorted(path.relative_to(ROOT) for path in (ROOT / "recipes").glob("*.py"))


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@functools.cache
def load_recipe(stem: str) -> ModuleType:
    """The module of a recipe, which is a script and not part of a package."""
    spec = importlib.util.spec_from_file_location(f"recipe_{stem}", ROOT / f"recipes/{stem}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def argument_types(stem: str) -> tuple[type, ...]:
    """The dataclasses that a recipe takes its settings from."""
    hints = get_type_hints(load_recipe(stem).main)
    return tuple(hint for name, hint in hints.items() if name != "return")


def recipe_of(path: Path) -> str:
    """The stem of the recipe of a config: `sft.yaml` and its variant `sft-truthful.yaml` are both of sft."""
    return path.stem.partition("-")[0]


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def strings(value) -> list[str]:
    """All strings of a value, in lists and in the keys and values of mappings too."""
    if isinstance(value, dict | list):
        items = [*value, *value.values()] if isinstance(value, dict) else value
        return [text for item in items for text in strings(item)]
    return [value] if isinstance(value, str) else []


def stages_read(path: Path) -> set[str]:
    """The stages whose outputs a config names."""
    keys = {key: value for key, value in read(path).items() if key != "output_dir"}
    return {Path(text).parts[2] for text in strings(keys) if text.startswith("runs/")}


def test_there_are_configs_and_each_has_a_recipe():
    assert PROFILES and HARDWARE
    assert {len(path.parts) for path in YAMLS} == {3}, "expected configs/<profile>/<stage>.yaml only"
    assert {recipe_of(path) for path in CONFIGS} <= {path.stem for path in RECIPES}


def test_every_recipe_has_a_laptop_config():
    assert {recipe_of(path) for path in CONFIGS if path.parent.name == "laptop"} == {path.stem for path in RECIPES}


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_config_parses_strictly(path):
    instances = parse(*argument_types(recipe_of(path)), argv=["--config", str(path)])
    settings = {key: value for instance in instances for key, value in vars(instance).items()}
    for key, value in read(path).items():
        found = settings[key]
        if isinstance(value, float | int | bool):  # upstream turns names into enums and texts into mappings
            assert found == value, f"{path}: {key} is {found} after parsing"


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_header_says_how_it_is_started(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    header = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    command = f"accelerate launch recipes/{recipe_of(path)}.py --config {path.as_posix()}"
    assert command in [line.lstrip("# ") for line in header], f"expected a comment '#   {command}' at the top"
    assert len(header[0].lstrip("# ")) > 10, "expected a first comment line that says what the config is for"


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_output_dir_follows_from_the_path(path):
    assert read(path)["output_dir"] == f"runs/{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_nothing_leaves_the_machine_and_no_path_is_of_one_machine(path):
    config = read(path)
    assert not {"push_to_hub", "hub_token", "hub_model_id"} & config.keys()
    assert "wandb" not in strings(config.get("report_to", []))
    assert [text for text in strings(config) if text.startswith(("/", "~", "..")) or "\\" in text] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_chain(profile):
    outputs = {path.stem: read(path)["output_dir"] for path in CONFIGS if path.parent.name == profile}
    for path in (path for path in CONFIGS if path.parent.name == profile):
        config = {key: value for key, value in read(path).items() if key != "output_dir"}
        for text in (text for text in strings(config) if text.startswith("runs/")):
            others = {output for stage, output in outputs.items() if stage != path.stem}
            assert any(text == output or text.startswith(f"{output}/") for output in others), (
                f"{path} reads {text}, which is in the output_dir of no other config of {profile}"
            )


@pytest.mark.parametrize("profile", PROFILES)
def test_files_of_the_world_are_those_it_writes(profile, tmp_path):
    small = dict.fromkeys(("arithmetic_documents", "story_documents", "repeated_pages", "exam_items"), 1)
    small |= {"people": 15, "often_mentions_top": 6, "often_mentions_bottom": 6, "common_mentions": 1}
    small |= {"dialogs": 20, "dialogs_validation": 20, "problems": 40, "problems_validation": 40, "problems_test": 40}
    small |= {"ladder": 36, "ladder_validation": 18, "ladder_test": 18, "demonstrations": 40}
    small |= {"open_dialogs": 40, "preference_prompts": 40, "identity": str(FACTS[0]), "identity_rows": 2}
    world = build_world(WorldArguments(**small))
    write_crawl(world.files["documents_train.jsonl"], WorldArguments(**small), tmp_path)
    written = {f"runs/{profile}/world/{name}" for name in (*world.files, *(path.name for path in tmp_path.iterdir()))}
    named = {text for path in CONFIGS if path.parent.name == profile for text in strings(read(path))}
    read_of_world = {text for text in named if text.startswith(f"runs/{profile}/world/")}
    unwritten = {name for name in read_of_world if not fnmatch.filter(written, name)}
    assert unwritten == set()
    assert read_of_world or f"configs/{profile}/world.yaml" not in map(str, CONFIGS)


def test_make_knows_what_each_stage_reads():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    needs: dict[str, set[str]] = {}
    for stage, sources in re.findall(r"^\$\(RUNS\)/([\w-]+)/stage\.json: (\$\(call.*)", makefile, re.M):
        needs.setdefault(stage, set()).update(re.search(r"\$\(call reads,([\w -]+)\)", sources)[1].split())
    stages = set(re.search(r"foreach stage,([\w -]+),", makefile)[1].split())
    assert {stage.partition("-")[0] for stage in stages} == {path.stem for path in RECIPES}
    assert stages >= {path.stem for path in CONFIGS if path.parent.name == "laptop"}

    def before(stage: str) -> set[str]:
        return set().union(*({source} | before(source) for source in needs.get(stage, ())))

    for path in CONFIGS:
        assert stages_read(path) <= before(path.stem), f"{path} reads a stage that make does not run before it"


@pytest.mark.parametrize("path", FACTS, ids=str)
def test_facts_on_the_identity_parse_and_are_read(path):
    assert load_identity(path).name["en"] and load_identity(path).name["ko"]
    readers = [other for other in CONFIGS if str(path) in strings(read(other))]
    assert {"world", "eval"} <= {recipe_of(other) for other in readers}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (line,) = re.findall(r"^(.*): \$\(wildcard \$\(CONFIGS\)/identity\.yaml\)", makefile, re.M)
    named = set(re.findall(r"\$\(RUNS\)/([\w-]+)/stage\.json", line))
    assert named == {other.stem for other in readers if other.parent == path.parent}


@pytest.mark.parametrize("path", HARDWARE, ids=str)
def test_accelerate_reads_the_hardware_configs(path):
    config = load_config_from_file(str(path))
    assert isinstance(config, ClusterConfig)
    assert config.num_processes >= 1
    assert config.mixed_precision == "no", "the recipe chooses the precision, by what the machine has"


@pytest.mark.parametrize("stem", [path.stem for path in RECIPES])
def test_a_recipe_parses_what_its_main_takes(stem, monkeypatch):
    seen = []
    monkeypatch.setattr(aji.stage, "run", lambda main, *types: seen.append((main, types)))
    module = runpy.run_path(str(ROOT / f"recipes/{stem}.py"), run_name="__main__")
    (main, types), *more = seen
    assert main is module["main"] and not more
    assert [cls.__name__ for cls in types] == [cls.__name__ for cls in argument_types(stem)]


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_a_recipe_is_short_and_says_what_it_reads_and_writes(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    docstring = load_recipe(path.stem).__doc__
    for word in ("accelerate launch", "Reads ", "Writes ", "Next "):
        assert word in docstring, f"{path}: its docstring has no {word!r}"


def test_modules_are_short():
    modules = sorted((ROOT / "src").rglob("*.py"))
    assert modules
    assert {str(path): lines for path in modules if (lines := len(path.read_text().splitlines())) >= 400} == {}
