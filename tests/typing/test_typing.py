"""`store` is typed: `Store[int]` gives ints. Checked by mypy, which the extra `lint` installs."""

from __future__ import annotations

import importlib.util
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


@needs_mypy
@pytest.mark.timeout(240)
def test_types_are_what_they_should_be(tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = tmp_path_factory.mktemp("mypy")
    assert check(HERE / "program.py", cache) == []
    wrong = HERE / "wrong.py"
    marked = {n for n, line in enumerate(wrong.read_text().splitlines(), 1) if line.endswith("# error")}
    errors = [line for line in check(wrong, cache) if ": error: " in line]
    found = {int(match[1]) for line in errors if (match := re.match(r"wrong\.py:(\d+): error", line))}
    assert found == marked, "\n".join(errors)
