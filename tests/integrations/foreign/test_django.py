"""Django's own tests of cache backends and session engines, from its source distribution, on ours."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from downloading import pip

django = pytest.importorskip("django", reason="Django is missing: its own tests of our adapter were not run")

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "store" / "integrations" / "README.md"
TOLD = re.compile(r"\| `store\.integrations\.django\.(\w+)` \|.*Django ([\d.]+): (\d+) passed, (\d+) left out")
CLASSES = {"cache": ("StoreCacheTests", "SessionsInTheCacheTests"), "sessions": ("StoreSessionTests", "MiddlewareTests")}
LEFT_OUT = {"cache": 0, "sessions": 1}


@pytest.fixture(scope="module")
def told() -> dict[str, tuple[str, int, int]]:
    """Version, passed and left out of each adapter, by the page."""
    return {kind: (number, int(passed), int(left)) for kind, number, passed, left in TOLD.findall(PAGE.read_text())}


@pytest.fixture(scope="module")
def suites(told: dict[str, tuple[str, int, int]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `tests` of the source distribution of the Django that is installed."""
    version = ".".join(map(str, django.VERSION[:2]))
    if version != told["cache"][0]:
        pytest.skip(f"Django {version} is installed: the page has figures of {told['cache'][0]}")
    folder = tmp_path_factory.mktemp("django")
    done = pip(
        "download", "--no-deps", "--no-binary", "Django", "-q", "--dest", folder, f"Django=={django.__version__}"
    )
    archives = list(folder.glob("*.tar.gz"))
    if not archives:
        pytest.skip(f"Django's source cannot be had, so its own tests were not run: {done.problem}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.glob("*/tests")
    return unpacked


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_suites_of_django_pass(
    suites: Path, told: dict[str, tuple[str, int, int]], tmp_path: Path, place: str
) -> None:
    folder = tmp_path / "suites"
    for name in ("cache", "sessions_tests"):
        shutil.copytree(suites / name, folder / name)
    shutil.copy(HERE / "django_conftest.py", folder / "conftest.py")
    shutil.copy(HERE / "django_on_store.py", folder / "test_on_store.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(folder), "-p", "no:cacheprovider",
         "-p", "no:xdist", "-p", "no:hypothesispytest", "test_on_store.py"],
        cwd=folder, env={**os.environ, "PYTHONPATH": ".", "STORE_PLACE": place},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    report = folder / "ended.json"
    assert report.exists(), done.stdout[-8000:] + done.stderr[-4000:]
    ended = json.loads(report.read_text())
    assert ended["wrong"] == [], done.stdout[-8000:]
    passed = {kind: sum(ended["counted"][f"{name} passed"] for name in names) for kind, names in CLASSES.items()}
    assert {kind: (number, left) for kind, (_, number, left) in told.items()} == {
        kind: (number, LEFT_OUT[kind]) for kind, number in passed.items()
    }
