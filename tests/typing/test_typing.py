"""`store` is typed: `Store[int]` gives ints. Checked by mypy and by pyright, which the extra `lint` installs."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import store

HERE = Path(__file__).parent
needs_mypy = pytest.mark.skipif(
    importlib.util.find_spec("mypy") is None,
    reason="NOTHING OF THE TYPES WAS CHECKED: mypy is not installed (extra `lint`)",
)


NO_PYRIGHT = "NOTHING WAS CHECKED BY PYRIGHT: "


def check(program: Path, cache: Path) -> list[str]:
    """The errors that mypy finds, a line each."""
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", "--no-pretty",
            "--config-file", "", "--cache-dir", str(cache), str(program),
        ],
        capture_output=True, text=True, timeout=110, check=False, cwd=HERE,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_package_says_that_it_is_typed() -> None:
    assert (Path(store.__file__).parent / "py.typed").is_file()


def pyright(*args: str) -> subprocess.CompletedProcess[str]:
    """A run of pyright; the first one fetches it from npm."""
    return subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, *args],
        capture_output=True, text=True, timeout=200, check=False, cwd=HERE,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def by_pyright() -> dict[str, dict[int, str]]:
    """File → line → the error that pyright finds there."""
    if importlib.util.find_spec("pyright") is None:
        pytest.skip(f"{NO_PYRIGHT}it is not installed (extra `lint`)")
    try:
        started = pyright("--version")
    except subprocess.TimeoutExpired:
        pytest.skip(f"{NO_PYRIGHT}it could not be fetched from npm in time")
    if started.returncode != 0:
        pytest.skip(f"{NO_PYRIGHT}it could not be fetched from npm: {started.stderr[-200:]}")
    done = pyright("--outputjson", "program.py", "wrong.py")
    found: dict[str, dict[int, str]] = {"program.py": {}, "wrong.py": {}}
    for one in json.loads(done.stdout)["generalDiagnostics"]:
        if one["severity"] == "error":
            found[Path(one["file"]).name][one["range"]["start"]["line"] + 1] = one["message"]
    return found


def marked_lines() -> set[int]:
    lines = (HERE / "wrong.py").read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# error")}


@pytest.mark.timeout(420)
def test_types_are_what_they_should_be_to_pyright(by_pyright: dict[str, dict[int, str]]) -> None:
    assert by_pyright["program.py"] == {}
    assert set(by_pyright["wrong.py"]) == marked_lines(), by_pyright["wrong.py"]


@needs_mypy
@pytest.mark.timeout(240)
def test_types_are_what_they_should_be(tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = tmp_path_factory.mktemp("mypy")
    assert check(HERE / "program.py", cache) == []
    errors = [line for line in check(HERE / "wrong.py", cache) if ": error: " in line]
    found = {int(match[1]) for line in errors if (match := re.match(r"wrong\.py:(\d+): error", line))}
    assert found == marked_lines(), "\n".join(errors)
