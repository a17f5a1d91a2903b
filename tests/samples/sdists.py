"""Source distributions, for the tests of another project that are run on what is ours."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from downloading import pip


def fetch(distribution: str, version: str, folder: Path) -> Path:
    """The folder of an unpacked source distribution. Where it cannot be had, the test is skipped, and says so."""
    done = pip(
        "download", "--no-deps", "--no-binary", distribution, "-q", "--dest", folder, f"{distribution}=={version}"
    )
    archives = list(folder.glob("*.tar.gz"))
    if not archives:
        pytest.skip(f"{distribution}'s source cannot be had: its own tests were not run: {done.problem}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = (entry for entry in folder.iterdir() if entry.is_dir())
    return unpacked
