"""200,000 mutated and random programs, in a process of their own: an audit hook cannot be taken off again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = 200_000
SEED = 20261121


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_no_program_gets_out_of_the_restricted_decoder() -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("fuzz.py"), "--count", str(PROGRAMS), "--seed", str(SEED)],
        capture_output=True, text=True, timeout=290, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"programs={PROGRAMS}" in done.stdout
    for outcome in ("Untrusted", "Corrupt", "EOFError", "value"):  # the generator reaches all of them
        assert f"'{outcome}'" in done.stdout
