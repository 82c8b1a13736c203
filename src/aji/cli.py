"""The command `aji`. Sub-commands import what they need when they are called, so that help comes at once."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from aji.errors import report_errors


# name: (module with add_arguments(parser) and main(args), what it does)
COMMANDS = {
    "chat": ("aji.app.terminal", "talk to a model, streaming, in the terminal"),
    "tokens": ("aji.tokenview", "show how a tokenizer cuts a text, in colour"),
    "experiment": ("aji.evals.experiment", "measure a claim on a model, and draw it"),
    "report": ("aji.report", "collect the measurements of all stages in one page"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of `aji`: `aji COMMAND ...`."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="aji",
        description="Raise a language model from raw text to an assistant. The stages are recipes, started by "
        "`accelerate launch recipes/STAGE.py`; this command is for looking at what they made.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = argv[0] if argv and argv[0] in COMMANDS else None
    with report_errors():
        for name, (module_name, summary) in COMMANDS.items():
            if name == chosen:
                module = importlib.import_module(module_name)
                command = commands.add_parser(name, help=summary, description=module.__doc__, allow_abbrev=False)
                module.add_arguments(command)
            else:
                commands.add_parser(name, help=summary)
        args = parser.parse_args(argv)
        module.main(args)


if __name__ == "__main__":
    main()
