"""The tests of pydantic-settings for its sources of files, from its source distribution, with a store as the source."""

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

ps = pytest.importorskip("pydantic_settings", reason="pydantic-settings is missing: its tests of sources were not run")

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "store" / "integrations" / "README.md"
TOLD = re.compile(r"`StoreSettingsSource`.*pydantic-settings ([\d.]+): (\d+) passed, (\d+) left out")
FILES = ("conftest.py", "example_test_config.json", "test_source_json.py", "test_source_toml.py")
LEFT_OUT = {
    "test_repr": 2,  # it shows the path of a file
    "test_json_file_validation_alias_differs_from_alias": 1,  # keys of that file are aliases, and ours names of fields
}


@pytest.mark.huge
def test_suites_of_pydantic_settings_pass(tmp_path: Path) -> None:
    found = TOLD.search(PAGE.read_text())
    assert found is not None
    version, passed, left_out = found[1], int(found[2]), int(found[3])
    if not ps.__version__.startswith(f"{version}."):
        pytest.skip(f"pydantic-settings {ps.__version__} is installed: the page has figures of {version}")
    unpacked = fetch("pydantic-settings", ps.__version__, tmp_path / "sdist") / "tests"
    folder = tmp_path / "suite" / "tests"  # as one test names it
    folder.mkdir(parents=True)
    for file in FILES:
        shutil.copy(unpacked / file, folder / file)
    command = f"-m pytest -q -p pydantic_settings_on_store -p no:cacheprovider -p no:hypothesispytest -c {os.devnull} --rootdir .".split()
    done = subprocess.run(
        [sys.executable, *command, "tests", "-k", " and ".join(f"not {name}" for name in LEFT_OUT)],
        cwd=folder.parent, env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    report = folder.parent / "ended.json"
    assert report.exists(), done.stdout[-4000:] + done.stderr[-4000:]
    ended = json.loads(report.read_text())
    assert ended["wrong"] == [], done.stdout[-8000:]
    assert (ended["counted"], sum(LEFT_OUT.values())) == ({"passed": passed}, left_out)
