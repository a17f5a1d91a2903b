"""Source distributions, for the tests of another project that are run on what is ours."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest


def fetch(distribution: str, version: str, folder: Path) -> Path:
    """The folder of an unpacked source distribution. Where it cannot be had, the test is skipped, and says so."""
    command = f"-m pip download --no-deps --no-binary {distribution} --disable-pip-version-check -q --dest".split()
    done = subprocess.run(
        [sys.executable, *command, str(folder), f"{distribution}=={version}"],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    archives = list(folder.glob("*.tar.gz"))
    if not archives:
        pytest.skip(f"{distribution}'s source cannot be had: its own tests were not run: {done.stderr.strip()[-300:]}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = (entry for entry in folder.iterdir() if entry.is_dir())
    return unpacked
