"""Sides of a comparison that must not share a process: each in one of its own, in turns, as the machine drifts."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence


def in_turns(sides: Sequence[str], rounds: int, env: Mapping[str, Mapping[str, str]] = {}) -> dict[str, list[dict]]:
    """Run this very command once a side and round with `--side SIDE` added.

    Args:
        env: environment variables of each side.

    Returns:
        What each side printed as JSON in its last line, round by round.
    """
    results = {side: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            command = [sys.executable, *sys.argv, "--side", side]
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | env.get(side, {})
            )
            results[side].append(json.loads(done.stdout.splitlines()[-1]))
    return results
