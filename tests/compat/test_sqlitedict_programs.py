"""Programs that were written for sqlitedict print the same with one import changed, and so does its own test suite."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from downloading import pip

PROGRAMS = sorted(Path(__file__).with_name("programs").glob("sqlitedict/*.py"))
IMPORT = re.compile(r"^(import|from) sqlitedict\b", re.MULTILINE)
TO = {"import": "import store.compat.sqlitedict as sqlitedict", "from": "from store.compat.sqlitedict"}
SHIM = "import sys\nimport store.compat.sqlitedict\nsys.modules[__name__] = store.compat.sqlitedict\n"

# Tests of sqlitedict 2.1.0 that cannot hold, and why.
CANNOT = {
    "test_core.py::SqliteMiscTest::test_cancel_iterate": "it replaces the module sqlite3 in sqlitedict by a mock",
    "test_core.py::SqliteDictTerminateFailTest::test_terminate_cannot_delete": "terminate() that fails raises",
    "test_core.py::SqliteDictJsonSerializationTest::test_bool": "it reads by a statement on `conn`",
    "test_core.py::SqliteDictJsonSerializationTest::test_complex_struct": "it reads by a statement on `conn`",
    "test_core.py::SqliteDictJsonSerializationTest::test_int": "it reads by a statement on `conn`",
    "test_core.py::SqliteDictJsonSerializationTest::test_none": "it reads by a statement on `conn`",
    "test_core.py::SqliteDictJsonSerializationTest::test_str": "it reads by a statement on `conn`",
    "test_onimport.py::SqliteDict_cPickleImportTest::test_cpickle_fallback_to_pickle": "it looks for `sqlitedict.dumps`",
}


def run(program: Path, folder: Path) -> str:
    folder.mkdir()
    return subprocess.run(
        [sys.executable, "-W", "error", program, folder], stdout=subprocess.PIPE, text=True, check=True, timeout=60
    ).stdout  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
@pytest.mark.slow
def test_program_prints_the_same(program: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlitedict", reason="sqlitedict is not installed: its programs are not compared")
    changed, number = IMPORT.subn(lambda found: TO[found[1]], program.read_text())
    assert number == 1
    here = tmp_path / program.name
    here.write_text(changed)
    printed = run(here, tmp_path / "here")
    assert printed == run(program, tmp_path / "there")
    assert len(printed.splitlines()) >= 9


def test_there_are_five_programs() -> None:
    assert len(PROGRAMS) == 5
    assert all(60 <= len(program.read_text().splitlines()) <= 120 for program in PROGRAMS)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """The tests of sqlitedict 2.1.0, as its source distribution has them."""
    fetched = pip("download", "--no-deps", "--no-binary=:all:", "--dest", tmp_path, "sqlitedict==2.1.0", seconds=100)
    archives = list(tmp_path.glob("sqlitedict-2.1.0.tar.gz"))
    if not archives:
        pytest.skip(f"sqlitedict cannot be downloaded: its own tests are not run. {fetched.problem}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "sqlitedict-2.1.0"


@pytest.mark.heavy
@pytest.mark.damaged
def test_suite_of_sqlitedict(suite: Path) -> None:
    (suite / "sqlitedict.py").write_text(SHIM)
    (suite / "tests" / "db").mkdir()
    (suite / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-p", "no:xdist", "tests"],
        cwd=suite, env={**os.environ, "PYTHONPATH": "."}, stdout=subprocess.PIPE, text=True, timeout=100, check=False,
    )  # fmt: skip
    outcomes = dict(re.findall(r"^(?:PASSED|FAILED|ERROR) tests/(\S+)()", done.stdout, re.MULTILINE))
    passed = set(re.findall(r"^PASSED tests/(\S+)", done.stdout, re.MULTILINE))
    assert set(outcomes) - passed == set(CANNOT), done.stdout[-3000:]
    assert len(passed) == 81
