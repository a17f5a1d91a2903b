"""Fresh Python processes: what they printed, within a time, ended by their own id."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SECONDS = 600


class Failed(RuntimeError):
    """A process ended with an error; the text is its last line."""


def command(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", program, *arguments]


def told(program: str, *arguments: str, cwd: Path, seconds: float = SECONDS) -> Any:
    """The JSON that a program prints. Raises: Failed."""
    done = subprocess.run(
        command(program, *arguments), cwd=cwd, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or ["no output"])[-1])
    return json.loads(done.stdout)


# What a child prepends to its program: how much memory it has used at the most, and how much now, in bytes. Pages of
# a mapped file that nobody touched count in neither.
MEMORY = """
import json, re, resource, sys
def memory(field):
    try:
        found = re.search(field + r":\\s+(\\d+) kB", open("/proc/self/status").read())
    except FileNotFoundError:  # no Linux: the peak must do for both
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(found[1]) * 1024
"""
