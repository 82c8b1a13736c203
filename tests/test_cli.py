import subprocess
import sys
import types

import pytest

from aji import cli
from aji.errors import UserError


@pytest.fixture
def command(monkeypatch):
    """A sub-command `probe` whose `main` does what the test puts into `command.act`."""
    module = types.ModuleType("aji_probe", "Probe the machine.")
    module.add_arguments = lambda parser: parser.add_argument("--depth", type=int, default=3)
    module.main = lambda args: module.act(args)
    monkeypatch.setitem(sys.modules, "aji_probe", module)
    monkeypatch.setattr(cli, "COMMANDS", cli.COMMANDS | {"probe": ("aji_probe", "probe")})
    return module


def test_help_is_quick_because_nothing_heavy_is_imported():
    code = (
        "import sys, aji.cli\n"
        "try: aji.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m in ('torch', 'transformers', 'datasets', 'tokenizers', 'numpy')))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.endswith("[]\n")
    for name in ("chat", "tokens", "report"):
        assert f"\n    {name} " in out


def test_a_command_gets_its_arguments(command):
    seen = []
    command.act = seen.append
    cli.main(["probe", "--depth", "5"])
    assert seen[0].depth == 5


def test_mistakes_on_the_command_line(command, capsys):
    for argv, message in [
        ([], "the following arguments are required: COMMAND"),
        (["chta"], "invalid choice: 'chta'"),
        (["probe", "--dep", "5"], "unrecognized arguments: --dep 5"),
        (["probe", "--depth", "x"], "argument --depth: invalid int value: 'x'"),
    ]:
        with pytest.raises(SystemExit) as exit:
            cli.main(argv)
        assert exit.value.code == 2
        assert message in capsys.readouterr().err


def test_errors_of_the_user_are_one_line_and_others_show_themselves(command):
    def refuse(args):
        raise UserError("found 1, expected 2: add one.")

    command.act = refuse
    with pytest.raises(SystemExit) as exit:
        cli.main(["probe"])
    assert exit.value.code == "Error: found 1, expected 2: add one."

    def fail(args):
        raise RuntimeError("a defect")

    command.act = fail
    with pytest.raises(RuntimeError, match="a defect"):
        cli.main(["probe"])


@pytest.mark.parametrize("name", ["chat", "tokens", "report"])
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as exit:
        cli.main([name, "--help"])
    assert exit.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: aji {name} ")
