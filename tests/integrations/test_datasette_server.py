"""Datasette as a process, which others write beside; and the tests of the plugin on Datasette 1.0."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from datasette_server import datasette
from downloading import pip

from store import Store

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(find_spec("datasette") is None, reason="Datasette is not installed: it was not run"),
]

KEY = b"the key of these tests of Datasette"
ONE = "datasette==1.0a41"


def read(url: str) -> str:
    with urlopen(url, timeout=60) as answer:
        text: str = answer.read().decode()
        return text


@pytest.mark.damaged  # by the key of no other test
def test_values_while_others_write(path: Path) -> None:
    with Store(path, key=KEY) as s:
        s.update({f"item:{number:03}": {"number": number} for number in range(300)})
        with datasette(path, key=KEY) as url, ThreadPoolExecutor(4) as threads:
            asked = [f"{url}/app/records?_size=300", f"{url}/-/store/app/", f"{url}/-/store/app/namespace?namespace="] * 8
            answers = [threads.submit(read, one) for one in asked]
            for number in range(300):
                s[f"item:{number:03}"] = {"number": -number}
            assert all("item:" in answer.result() for answer in answers)
            s["item:000"] = "the last word"
            assert "the last word" in read(f"{url}/app/records?name=item:000")
            assert "the last word" in read(f"{url}/-/store/app/record?namespace=&name=item:000")


@pytest.mark.damaged
def test_wrong_configuration_is_told_in_a_line(path: Path, tmp_path: Path) -> None:
    with Store(path, key=KEY) as s:
        s["name"] = 1
    (tmp_path / "metadata.json").write_text(json.dumps({"plugins": {"sealed-store": {"key_file": "/nowhere/keys"}}}))
    command = [sys.executable, "-m", "datasette", "serve", str(path), "--port", "0", "-m", str(tmp_path / "metadata.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert re.search(r"Error: Datasette's configuration .*/nowhere/keys", done.stderr)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Datasette 1.0 and what it needs, for PYTHONPATH. Skips where it cannot be had."""
    folder = tmp_path_factory.mktemp("datasette-1")
    done = pip("install", "--quiet", "--target", folder, ONE)
    if not done.is_well:
        pytest.skip(f"{ONE} cannot be installed: the plugin was NOT tested on it. {done.problem}")
    return folder


@pytest.mark.timeout(600)
def test_the_same_on_1_0(one: Path) -> None:
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(one)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).with_name("test_datasette.py"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-5000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout
    version = subprocess.run(
        [sys.executable, "-c", "import datasette; print(datasette.__version__)"],
        capture_output=True, text=True, timeout=60, check=True, env=environment,
    )  # fmt: skip
    assert version.stdout.startswith("1.")
