"""Damage never makes a tool endless, CI's share; `python -m tests.campaign.tangled 5000` runs more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .damage import ROOT
from .tangled_templates import MAKERS

FILES = 5  # of each shape


@pytest.mark.timeout(600)
@pytest.mark.heavy
@pytest.mark.parametrize("shape", MAKERS)
def test_tools_end_on_tangled_files(shape: str) -> None:
    # A process of its own: it forks, and must have no threads.
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaign.tangled", str(FILES), shape],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{FILES} files, 0 failures" in done.stdout
