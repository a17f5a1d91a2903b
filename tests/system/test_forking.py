"""The one registry of what happens at a fork."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import store
from store.system import forking

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

PROGRAM = r"""
import os, sys
from store.system.forking import Stage, register

def hook(text, error=False):
    def run():
        os.write(1, f"{text}\n".encode())  # one call: parent and child do not mix their lines
        if error:
            raise OSError(text)
    return run

for stage in (Stage.MEMO, Stage.LOCKS, Stage.ENGINES):
    name = stage.name.lower()
    register(stage, before=hook(f"before {name}"), in_parent=hook(f"parent {name}"),
             in_child=hook(f"child {name}", error=stage is Stage.LOCKS))
child = os.fork()
if child:
    os.waitpid(child, 0)
else:
    os._exit(0)
"""


def test_hooks_run_in_the_order_of_their_stages() -> None:
    """From the last stage to the first before a fork, and the other way after it; an error stops no other hook."""
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    lines = run.stdout.splitlines()
    assert [line for line in lines if line.startswith("before")] == ["before memo", "before engines", "before locks"]
    for side in ("parent", "child"):
        assert [line for line in lines if line.startswith(side)] == [f"{side} locks", f"{side} engines", f"{side} memo"]
    assert "OSError: child locks" in run.stderr


def test_nothing_else_registers_at_forks() -> None:
    package = Path(store.__file__).parent
    found = [file for file in package.rglob("*.py") if re.search(r"\bregister_at_fork\(", file.read_text())]
    assert found == [Path(forking.__file__)]
