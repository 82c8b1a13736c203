"""Strict YAML and flags into dataclasses: a typo, a wrong type or a repeated key stops the run before it starts.

`TrlParser` does the parsing. What it lacks is here: it takes YAML values unchecked, accepts abbreviated flags, lets
the last of two equal keys win and has no defaults that depend on the machine.
"""

import argparse
import contextlib
import dataclasses
import datetime
import difflib
import re
import sys
import types
from collections.abc import Collection, Iterable
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from transformers.utils import is_torch_bf16_gpu_available
from trl import TrlParser

from aji.errors import UserError
from aji.machine import cpu_has_bf16, has_accelerator


# Keys of older versions of transformers and trl: the name of today where it is another, and what to do.
RETIRED = {
    "dataset_mixer": ("train_file", "give the data as train_file"),
    "env": (None, "libraries read the environment before this file: set variables in the shell"),
    "evaluation_strategy": ("eval_strategy", "write eval_strategy"),
    "group_by_length": ("train_sampling_strategy", "write train_sampling_strategy: group_by_length"),
    "logging_dir": (None, "set TENSORBOARD_LOGGING_DIR in the shell"),
    "max_prompt_length": (None, "upstream removed it: shorten the prompts in the data"),
    "max_seq_length": ("max_length", "write max_length"),
    "no_cuda": ("use_cpu", "write use_cpu"),
    "overwrite_output_dir": ("if_exists", "see if_exists"),
    "per_gpu_eval_batch_size": ("per_device_eval_batch_size", "write per_device_eval_batch_size"),
    "per_gpu_train_batch_size": ("per_device_train_batch_size", "write per_device_train_batch_size"),
    "save_safetensors": (None, "weights are always saved as safetensors: delete the line"),
    "torch_dtype": ("dtype", "write dtype"),
    "warmup_ratio": ("warmup_steps", "write warmup_steps: a float below 1 is a share of the run"),
}

# Keys that say the same in two ways: a flag for one takes back the other that the file sets.
EITHER = {"train_file": "mixture", "mixture": "train_file"}


def parse(*dataclass_types: type, argv: Iterable[str] | None = None, description: str | None = None) -> tuple:
    """One instance of each dataclass, from `--config FILE` (YAML) and flags; a flag wins over the file.

    Keys that neither sets get defaults that depend on the machine (`machine_defaults`), then the dataclass's own.
    Raises `UserError` for anything the user got wrong, `ValueError` for dataclasses that do not fit together.
    """
    hints = _hints(dataclass_types)
    parser = _Parser(dataclass_types, description)
    path, flags = _split_config(list(sys.argv[1:] if argv is None else argv))
    values = {} if path is None else _read_config(path, parser.fields(), hints)
    nulls, flags = _split_nulls(flags, hints)
    values |= dict.fromkeys(nulls)
    parser.set_defaults_with_config(**values)

    # First round: only which flags were given. Dataclasses check themselves when built, and their complaint about,
    # say, bf16 must not come before ours about a flag that does not exist.
    unset = object()
    given, rest = parser.parse_known_args(flags, types.SimpleNamespace(**dict.fromkeys(hints, unset)))
    _refuse_rest(rest, parser.fields())
    given = {key: value for key, value in vars(given).items() if value is not unset}
    replaced = {EITHER[key]: None for key in given if EITHER.get(key) in values and EITHER[key] not in given}
    values |= replaced
    parser.set_defaults(**replaced)

    for key, value in machine_defaults(values | given).items():
        if key in hints:
            parser.set_defaults(**{key: value})
    try:
        instances = parser.parse_args_into_dataclasses(flags, look_for_args_file=False)
    except (ValueError, ImportError) as error:
        raise UserError(f"{path or 'flags'}: {' '.join(str(error).split())}") from error
    for instance in instances:
        # Not a field: so it goes into no saved config, and survives in frozen dataclasses.
        object.__setattr__(instance, "_set_explicitly", frozenset(values) | frozenset(given))
    return instances


def set_explicitly(args: Any, key: str) -> bool:
    """Whether the user set `key` in the YAML or by a flag; False for an instance that `parse` did not make."""
    return key in vars(args).get("_set_explicitly", ())


def machine_defaults(explicit: dict[str, Any]) -> dict[str, Any]:
    """Values for keys that the user left open, `explicit` being what was set. The same YAML then runs everywhere."""
    cpu = explicit.get("use_cpu", not has_accelerator())
    half = cpu_has_bf16() if cpu else is_torch_bf16_gpu_available()
    defaults = {"use_cpu": cpu, "bf16": half and not explicit.get("fp16"), "logging_nan_inf_filter": False}
    if cpu and "gradient_checkpointing" not in explicit:  # the older name of the same switch
        defaults["activation_checkpointing"] = False  # a CPU has the memory, and recomputing costs it up to a fifth
    return {key: value for key, value in defaults.items() if key not in explicit}


class _Parser(TrlParser):
    """TrlParser with exact flags, mappings as flags, and errors of one line."""

    def __init__(self, dataclass_types: tuple[type, ...], description: str | None):
        usage = "%(prog)s [--config FILE.yaml] [--key value ...]"
        epilog = "Every key can stand in the YAML file given by --config; a flag wins over the file."
        super().__init__(dataclass_types, description=description, usage=usage, epilog=epilog, allow_abbrev=False)
        for action in self._actions:
            if action.dest == "resume_from_checkpoint":
                action.type, action.nargs, action.const = _path_or_bool, "?", True
            elif any(dict in (option, get_origin(option)) for option in self._options(action.dest)):
                action.type = _mapping

    def fields(self) -> dict[str, Collection | None]:
        """Name of every key and its choices, if it has any."""
        return {action.dest: action.choices for action in self._actions if action.dest != "help"}

    def _options(self, key: str) -> tuple:
        hint = next((get_type_hints(t)[key] for t in self.dataclass_types if key in t.__dataclass_fields__), str)
        return get_args(hint) if _is_union(hint) else (hint,)

    def error(self, message: str):
        if missing := re.fullmatch(r"the following arguments are required: (.*)", message):
            keys = [names.split("/")[0].removeprefix("--") for names in missing[1].split(", ")]
            raise UserError(f"missing: {', '.join(keys)}. Set it in the YAML file or by the flag --{keys[0]}")
        message = re.sub(r"^argument (--\w+)\S*:", r"flag \1:", message)
        if wrong := re.fullmatch(r"(.*): invalid (int|float) value: (.*)", message):
            message = f"{wrong[1]}: found {wrong[3]}, expected {_NAMES[{'int': int, 'float': float}[wrong[2]]]}"
        elif wrong := re.fullmatch(r"(.*): invalid choice: (.*) \(choose from (.*)\)", message):
            message = f"{wrong[1]}: found {wrong[2]}, expected one of {wrong[3]}"
        elif wrong := re.fullmatch(r"(.*): Truthy value expected: got (.*) but expected .*", message):
            message = f"{wrong[1]}: found '{wrong[2]}', expected true or false"
        raise UserError(message)


def _path_or_bool(text: str) -> str | bool:
    return {"true": True, "false": False}.get(text.lower(), text)


def _mapping(text: str) -> dict | str | None:
    if text.lower() in ("none", "null"):
        return None
    if not text.lstrip().startswith("{"):
        return text  # many of these fields also take the path of a file
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise argparse.ArgumentTypeError(f"found '{text}', expected a mapping such as '{{key: value}}'") from None


def _hints(dataclass_types: tuple[type, ...]) -> dict[str, Any]:
    hints, owner = {}, {}
    for cls in dataclass_types:
        types_of = get_type_hints(cls)
        for field in dataclasses.fields(cls):
            if not field.init:
                continue
            if field.name in owner:
                raise ValueError(
                    f"{owner[field.name].__name__} and {cls.__name__} both have a field {field.name!r}, and one key "
                    "cannot set two fields: rename one of them"
                )
            hint = types_of[field.name]
            if field.name == "resume_from_checkpoint" or field.metadata.get("const") is True:
                hint = bool | hint  # upstream takes True here (the last checkpoint, default FSDP), its hints forget it
            hints[field.name] = hint | None if field.default is None and hint is not Any else hint
            owner[field.name] = cls
    return hints


def _split_config(argv: list[str]) -> tuple[str | None, list[str]]:
    path, rest = None, []
    words = iter(argv)
    for word in words:
        if word != "--config" and not word.startswith("--config="):
            rest.append(word)
            continue
        if path is not None:
            raise UserError(f"found a second --config ({path} came first), expected one: one YAML file is one run")
        path = word.partition("=")[2] if "=" in word else next(words, "")
        if not path or path.startswith("--"):
            raise UserError("found --config without a value, expected the path of a YAML file")
    return path, rest


def _split_nulls(flags: list[str], hints: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The optional keys that flags take back, `--eval_file null`, and the other flags: argparse has no None.

    As with all flags the last one counts: a null also takes back the same flag before it.
    """
    nulls, rest, words = [], [], list(flags)
    while words:
        word = words.pop(0)
        key, _, value = word.removeprefix("--").partition("=")
        optional = word.startswith("--") and type(None) in get_args(hints.get(key))
        separate = optional and "=" not in word and words[:1] == ["null"]
        if separate or (optional and value == "null"):
            nulls.append(key)
            rest = _without_flag(rest, key)
            del words[:separate]
        else:
            rest.append(word)
    return nulls, rest


def _without_flag(flags: list[str], key: str) -> list[str]:
    kept, dropping = [], False
    for word in flags:
        if word.startswith("--"):
            dropping = word.partition("=")[0] == f"--{key}"
        if not dropping:
            kept.append(word)
    return kept


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice in one mapping, at any depth."""

    def construct_mapping(self, node, deep=False):
        seen = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise UserError(
                    f"{self.name} line {line}: found key {key.value!r} a second time (first on line "
                    f"{seen[key.value]}), expected each key once. Delete one of the two"
                )
            if isinstance(key, yaml.ScalarNode):
                seen[key.value] = line
        return super().construct_mapping(node, deep)


def _read_config(path: str, fields: dict[str, Collection | None], hints: dict[str, Any]) -> dict[str, Any]:
    """The checked values of a YAML file."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: found byte {error.object[error.start]:#x}, expected UTF-8 text") from None
    except OSError as error:
        raise UserError(f"{path}: cannot read it ({error.strerror}), expected a YAML file") from None
    try:
        loader = _StrictLoader(text)
        loader.name = path
        node = loader.get_single_node()
        config = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path} line {mark.line + 1}" if mark else path
        problem = getattr(error, "problem", None) or str(error)
        raise UserError(f"{where}: not YAML ({' '.join(problem.split())}), expected lines `key: value`") from None
    if config is None:
        raise UserError(f"{path}: found an empty file, expected lines `key: value`")
    if not isinstance(config, dict):
        raise UserError(f"{path}: found {_kind(config)}, expected lines `key: value`")

    lines = {key.value: key.start_mark.line + 1 for key, _ in node.value}
    for key, value in config.items():
        where = f"{path} line {lines.get(str(key), '?')}: "
        if key not in fields:
            raise UserError(f"{where}found unknown key {key!r}, {_suggest(str(key), fields)}")
        try:
            config[key] = _convert(value, hints[key], fields[key])
        except TypeError as error:
            raise UserError(f"{where}{key}: {error}") from None
    return config


def _refuse_rest(rest: list[str], fields: Collection[str]) -> None:
    for word in rest:
        if word.startswith("-"):
            flag = word.partition("=")[0]
            raise UserError(f"found unknown flag {flag}, {_suggest(flag.lstrip('-').replace('-', '_'), fields, '--')}")
    if rest:
        config = f" Did you mean --config {rest[0]}?" if rest[0].endswith((".yaml", ".yml")) else ""
        raise UserError(f"found {rest[0]!r}, expected --key value.{config}")


def _suggest(key: str, known: Collection[str], dashes: str = "") -> str:
    now, advice = RETIRED.get(key, (None, None))
    if advice and (now is None or now in known):
        return f"which is gone: {advice}"
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    return f"did you mean {dashes}{close[0]}?" if close else "expected one of those that --help lists"


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Enum)


def _convert(value: Any, hint: Any, choices: Collection | None = None) -> Any:
    """`value`, as YAML read it, as what `hint` asks for; TypeError "found ..., expected ..." if it is not that."""
    if value is None and (hint is None or type(None) in get_args(hint)):
        return None
    if choices:
        return _choose(value, choices)
    origin, args = get_origin(hint), get_args(hint)
    if _is_union(hint):
        # `IntervalStrategy | str` means: the name of one of them. A list comes last, for it also takes a bare value.
        options = [a for a in args if a is not type(None) and not (a is str and any(map(_is_enum, args)))]
        for option in sorted(options, key=lambda option: (get_origin(option) is list, option is not str)):
            with contextlib.suppress(TypeError):
                return _convert(value, option)
        raise TypeError(_found(value, hint))
    if _is_enum(hint):
        return _choose(value, [member.value for member in hint])
    if origin is Literal:
        return _choose(value, args)
    if origin in (list, tuple):
        if origin is tuple and not (isinstance(value, list) and len(value) == len(args)):
            raise TypeError(_found(value, hint))
        items = value if isinstance(value, list) else [value]
        item_hints = args if origin is tuple else [*args[:1]] * len(items)
        try:
            return origin(_convert(item, item_hint) for item, item_hint in zip(items, item_hints, strict=True))
        except TypeError:
            raise TypeError(_found(value, hint)) from None
    if hint is float and isinstance(value, str) and re.fullmatch(r"[+-]?[\d.]+[eE][+-]?\d+", value):
        return float(value)  # 1e-3 without a dot is a string in YAML 1.1
    accepted = {float: (int, float), dict: dict, int: int, str: str, bool: bool, list: list}.get(origin or hint)
    if accepted is None or (isinstance(value, accepted) and (hint is bool or not isinstance(value, bool))):
        return value
    raise TypeError(_found(value, hint))


def _choose(value: Any, choices: Collection) -> Any:
    words = [value] if not isinstance(value, bool) else [value, *(("yes", "on") if value else ("no", "off"))]
    for word in words:  # YAML 1.1 reads a bare `no` as False
        if any(word == choice and type(word) is type(choice) for choice in choices):
            return word
    raise TypeError(f"found {value!r}, expected {_one_of(choices)}")


_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    dict: "a mapping",
    list: "a list",
    tuple: "a list",
    type(None): "null",
    datetime.date: "a date",
}


def _kind(value: Any) -> str:
    names = _NAMES | {bool: "a boolean", float: "a float", int: "an int"}
    return names.get(type(value), type(value).__name__)


def _one_of(choices: Collection) -> str:
    return f"one of {', '.join(map(str, choices))}"


def _expected(hint: Any) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if _is_union(hint):
        enums = any(map(_is_enum, args))
        options = [option for option in args if option is not type(None) and not (enums and option is str)]
        options += [type(None)] if type(None) in args else []
        return " or ".join(dict.fromkeys(map(_expected, options)))
    if _is_enum(hint):
        return _one_of([member.value for member in hint])
    if origin is Literal:
        return _one_of(args)
    if origin in (list, tuple):
        return f"a list of {' and '.join(arg.__name__ for arg in args)}"
    return _NAMES.get(origin or hint, str(hint))


def _found(value: Any, hint: Any) -> str:
    wants_string = hint is str or (_is_union(hint) and set(get_args(hint)) == {str, type(None)})
    advice = ". Put it in quotes" if wants_string and not isinstance(value, list | dict | types.NoneType) else ""
    return f"found {value!r} ({_kind(value)}), expected {_expected(hint)}{advice}"
