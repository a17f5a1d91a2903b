"""Mutated bodies of the codecs of plain data: a share of them always, all 200,000 with `-m heavy`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SEED = 20261129


@pytest.mark.parametrize(
    "count",
    [
        10_000,
        pytest.param(200_000, marks=[pytest.mark.heavy, pytest.mark.timeout(300)]),
    ],
)
def test_only_our_errors_leave_the_codecs(count: int) -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("fuzz_codecs.py"), "--count", str(count), "--seed", str(SEED)],
        capture_output=True, text=True, timeout=290, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"bodies={count}" in done.stdout
    for outcome in ("json Corrupt", "json value"):  # the generator reaches both
        assert f"'{outcome}'" in done.stdout
