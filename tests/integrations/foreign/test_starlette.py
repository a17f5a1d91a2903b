"""Starlette's own tests of its session middleware, from its source distribution, on ours. starsessions' has no tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sdists import fetch

starlette = pytest.importorskip("starlette", reason="Starlette is missing: its own tests of our adapter were not run")
pytest.importorskip("itsdangerous", reason="itsdangerous is missing, which Starlette's own sessions need: not run")
pytest.importorskip("httpx2", reason="httpx2 is missing: Starlette's own tests of our adapter were not run")

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "store" / "integrations" / "README.md"
TOLD = re.compile(r"`StoreSessionMiddleware`.*Starlette ([\d.]+): (\d+) passed, (\d+) left out")
FILES = ("__init__.py", "conftest.py", "types.py", "middleware/__init__.py", "middleware/test_session.py")
# Both want a lifetime that is over at once, which ours refuses: it would store sessions that nobody can have.
LEFT_OUT = ("test_session_expires", "test_session_zero_max_age")


@pytest.mark.huge
def test_suite_of_starlette_passes(tmp_path: Path, place: str) -> None:
    found = TOLD.search(PAGE.read_text())
    assert found is not None
    version, passed, left_out = found[1], int(found[2]), int(found[3])
    if not starlette.__version__.startswith(f"{version}."):
        pytest.skip(f"Starlette {starlette.__version__} is installed: the page has figures of {version}")
    folder = needed(tmp_path)
    command = f"-m pytest -q -p starlette_on_store -p no:cacheprovider -p no:hypothesispytest -c {os.devnull} --rootdir .".split()
    left = " and ".join(f"not {name}" for name in (*LEFT_OUT, "trio"))  # anyio offers both; asyncio is what comes with it
    done = subprocess.run(
        [sys.executable, *command, "tests/middleware/test_session.py", "-k", left],
        cwd=folder, env={**os.environ, "PYTHONPATH": f".:{HERE}", "STORE_PLACE": place},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    report = folder / "ended.json"
    assert report.exists(), done.stdout[-4000:] + done.stderr[-4000:]
    ended = json.loads(report.read_text())
    assert ended["wrong"] == [], done.stdout[-8000:]
    assert (ended["counted"], len(LEFT_OUT)) == ({"passed": passed}, left_out)


def needed(tmp_path: Path) -> Path:
    """A folder with those files of the source distribution that the tests of sessions need."""
    unpacked = fetch("starlette", starlette.__version__, tmp_path / "sdist") / "tests"
    folder = tmp_path / "suite"
    (folder / "tests" / "middleware").mkdir(parents=True)
    for file in FILES:
        shutil.copy(unpacked / file, folder / "tests" / file)
    return folder
