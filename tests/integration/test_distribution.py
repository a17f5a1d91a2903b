"""What is built and what CI runs: the files of the source distribution, the workflow, the hooks."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT_OUT = ["/tests/campaign", "/tests/bench"]

if not (ROOT / ".ci").exists():
    pytest.skip("these files are in a clone alone", allow_module_level=True)


def test_source_distribution_leaves_out_the_programs():
    sdist = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]
    assert sdist["exclude"] == LEFT_OUT
    assert {"store", "tests", "examples"} <= set(sdist["include"])
    assert all((ROOT / name.lstrip("/")).exists() for name in (*sdist["include"], *LEFT_OUT))


def test_files_of_the_source_distribution():
    sdist = pytest.importorskip("hatchling.builders.sdist", reason="hatchling is not installed: no list of files")
    found = {f"/{file.distribution_path}" for file in sdist.SdistBuilder(str(ROOT)).recurse_included_files()}
    assert {"/store/__init__.py", "/tests/conftest.py", "/README.md", "/LICENSE"} <= found
    assert [name for name in found if name.startswith(tuple(f"{folder}/" for folder in LEFT_OUT))] == []


def test_no_other_test_needs_a_program_that_is_left_out():
    for file in (ROOT / "tests").rglob("*.py"):
        if not f"/{file.relative_to(ROOT)}".startswith(tuple(LEFT_OUT)):
            assert not re.search(r"^\s*(from|import) tests\.(campaign|bench)\b", file.read_text(), re.MULTILINE), file


def test_workflow_calls_the_script():
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert "- run: .ci/run --this" in workflow and "os: [ubuntu-latest, macos-latest]" in workflow
    oldest = re.search(r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert f'python: ["3.{oldest}", ' in workflow and '"3.14"]' in workflow
    folders = re.findall(r"tests/\w+", workflow)
    assert folders and all((ROOT / folder).is_dir() for folder in folders)


def test_script_refuses_a_step_that_it_does_not_have():
    done = subprocess.run([ROOT / ".ci/run", "lnit"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "no step lnit: readme lint audit examples postgres redis heavy bare\n")
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_hooks_download_nothing():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"repo: (.*)", hooks) == ["local"]
    assert set(re.findall(r"language: (.*)", hooks)) == {"system"}
