"""The fuzzing programs, each in a process of its own: an audit hook cannot be taken off again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LONG = [pytest.mark.heavy, pytest.mark.timeout(300)]

# What must never happen is an error of another kind than ours; each kind that there is must be reached.
PICKLES = ("fuzz.py", 20261121, "programs", ("Untrusted", "Corrupt", "EOFError", "value"))
CODECS = ("fuzz_codecs.py", 20261129, "bodies", ("json Corrupt", "json value"))


@pytest.mark.parametrize(
    ("count", "program", "seed", "unit", "outcomes"),
    [
        pytest.param(50_000, *PICKLES, marks=LONG, id="pickles"),
        pytest.param(5_000, *CODECS, id="codecs, a share"),
        pytest.param(50_000, *CODECS, marks=LONG, id="codecs"),
    ],
)
def test_only_our_errors_leave_the_decoders(
    count: int, program: str, seed: int, unit: str, outcomes: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name(program), "--count", str(count), "--seed", str(seed)],
        capture_output=True, text=True, timeout=290, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"{unit}={count}" in done.stdout
    for outcome in outcomes:
        assert f"'{outcome}'" in done.stdout
