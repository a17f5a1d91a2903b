"""pip as a process, for what a test downloads: where that is not to be had, or comes too slowly, the test is skipped."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

SECONDS = 200.0  # of a connection that is slow, on a machine that is busy


class Done(NamedTuple):
    """How a command ended. `problem` is the end of what it said."""

    is_well: bool
    problem: str


def pip(*arguments: object, seconds: float = SECONDS) -> Done:
    """One command. It is ended after so many seconds, which is as if there were no connection."""
    command = [sys.executable, "-m", "pip", *map(str, arguments), "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return Done(False, f"it took longer than {seconds:g} seconds")
    return Done(done.returncode == 0, done.stdout.strip()[-300:])
