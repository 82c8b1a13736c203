"""What a run says about itself: tables on screen, the model card, the report of all stages with its pictures."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="folder of a chain, for instance runs/laptop")


def main(args: argparse.Namespace) -> None:
    from aji.report.page import write_report  # matplotlib takes a second, which `aji report --help` need not wait for

    print(write_report(args.folder))
