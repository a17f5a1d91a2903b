"""Test suites of other projects, run on ours in a process of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import pytest
from downloading import pip

INTEGRATIONS = Path(__file__).parents[2] / "store" / "integrations"

# Writes how each test ended: the worst of its phases.
REPORTER = """
import json
RANKS = ["passed", "skipped", "failed"]
ended = {}

def pytest_runtest_logreport(report):
    before = ended.get(report.nodeid, "passed")
    ended[report.nodeid] = max(before, report.outcome, key=RANKS.index)

def pytest_sessionfinish():
    with open("ended.json", "w") as file:
        json.dump(ended, file)
"""


class Outcome(NamedTuple):
    """Names of tests, without their files and parameters; a name with a parameter that failed has failed."""

    passed: int
    failed: set[str]
    skipped: set[str]
    output: str


def require(distribution: str, wanted: str) -> None:
    """Skips unless this version is installed: another one has another suite."""
    try:
        installed = version(distribution)
    except PackageNotFoundError:
        pytest.skip(f"{distribution} is not installed: its own tests are not run")
    if installed != wanted:
        pytest.skip(f"{distribution} {installed} is installed: the tests of {wanted} are not run on it")


def fetched(distribution: str, wanted: str, folder: Path) -> Path:
    """The unpacked source distribution. Skips if it cannot be downloaded."""
    require(distribution, wanted)
    done = pip("download", "--no-deps", "--no-binary", distribution, "--dest", folder, f"{distribution}=={wanted}", seconds=100)
    archives = list(folder.glob("*.tar.gz"))
    if not archives:
        pytest.skip(f"{distribution} cannot be downloaded: its tests are not run. {done.problem}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = (entry for entry in folder.iterdir() if entry.is_dir() and entry.name.endswith(wanted))
    return unpacked


def add_packages(folder: Path, *packages: str) -> None:
    """Packages that a suite needs and the environment does not have, into its folder. Skips if they cannot be had."""
    done = pip("install", "--no-deps", "--target", folder, *packages, seconds=100)
    if not done.is_well:
        pytest.skip(f"{', '.join(packages)} cannot be installed, which the tests take. {done.problem}")


def outcome(folder: Path, place: str, *arguments: str, seconds: float = 180) -> Outcome:
    """Runs pytest in a folder; its tests find the location of the store in STORE_PLACE."""
    (folder / "store_reporter.py").write_text(REPORTER)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", folder, "-p", "store_reporter",
         "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:hypothesispytest", *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": ".", "STORE_PLACE": place},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    if not (folder / "ended.json").exists():
        pytest.fail(done.stdout[-8000:])
    ended = json.loads((folder / "ended.json").read_text())
    names = {how: [short(test) for test, end in ended.items() if end == how] for how in ("passed", "skipped", "failed")}
    return Outcome(len(names["passed"]), set(names["failed"]), set(names["skipped"]), done.stdout[-8000:])


def short(test: str) -> str:
    """`test_x` of `tests/test_y.py::Test::test_x[z]`."""
    return test.partition("[")[0].rpartition("::")[2]


def told(extra: str) -> tuple[int, int]:
    """How many tests passed and were left out, by the table of the adapters."""
    found = re.search(rf"^\| `{extra}` .* (\d+) passed, (\d+) left out", (INTEGRATIONS / "README.md").read_text(), re.M)
    assert found, f"store/integrations/README.md does not tell the figures of {extra}"
    return int(found[1]), int(found[2])
