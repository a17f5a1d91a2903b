"""Programs that were written for diskcache print the same with one import changed, and so does its own test suite."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from downloading import pip

PROGRAMS = sorted(Path(__file__).with_name("programs").glob("diskcache/*.py"))
IMPORT = re.compile(r"^(?:import diskcache\b(?: as (\w+))?|from diskcache\b)", re.MULTILINE)
VERSION = "5.6.3"
SUITE = ("core", "fanout", "deque", "index", "recipes")  # of its tests; those left out are DjangoCache's and doctests

_PARTS = "it replaces parts of diskcache by mocks"
_FILES = "it opens, counts or damages diskcache's own files"
_DISK = "a Disk that encodes by itself is refused"
_SMALL = "its size limit is below that of an empty store"
_CULL = "it counts how many items one write evicts"
_EXPIRED = "items that have expired are deleted by later writes and by `expire`, not by `pull` and `peek`"

# Tests of diskcache 5.6.3 that cannot hold, and why.
CANNOT = {
    "core": {
        "test_custom_disk": _DISK, "test_custom_filename_disk": _DISK,
        "test_pragma_error": _PARTS, "test_close_error": _PARTS, "test_get_keyerror4": _PARTS, "test_set_timeout": _PARTS,
        "test_get_ioerror_fast_path": _PARTS, "test_pop_ioerror": _PARTS, "test_clear_timeout": _PARTS,
        "test_add_timeout": _PARTS, "test_pull_ioerror": _PARTS, "test_cull_timeout": _PARTS,
        "test_disk_write_os_error": _PARTS,
        "test_path": _FILES, "test_check": _FILES, "test_integrity_check": _FILES, "test_cleanup_dirs": _FILES,
        "test_least_recently_stored": _CULL, "test_least_recently_used": _CULL, "test_least_frequently_used": _CULL,
        "test_push_pull_expire": _EXPIRED, "test_push_peek_expire": _EXPIRED,
        "test_expire": "an item whose time is exactly now has expired",
        "test_size_limit_with_database": _SMALL, "test_cull_size_limit_0": _SMALL,
        "test_custom_eviction_policy": "policies in SQL of one's own are refused",
    },
    "deque": {"test_rotate_indexerror": _PARTS, "test_rotate_indexerror_negative": _PARTS},
    "fanout": {
        **{f"test_{name}_timeout": _PARTS for name in "set touch add incr decr get pop delete remove reset".split()},
        "test_volume": _PARTS, "test_custom_filename_disk": _DISK,
    },
}  # fmt: skip


def ours(found: re.Match[str]) -> str:
    """The changed beginning of an import."""
    if found[0].startswith("from"):
        return "from store.compat.diskcache"
    return f"import store.compat.diskcache as {found[1] or 'diskcache'}"


def run(program: Path, folder: Path) -> str:
    folder.mkdir()
    return subprocess.run(
        [sys.executable, "-W", "error", program, folder], stdout=subprocess.PIPE, text=True, check=True, timeout=60
    ).stdout  # fmt: skip


def marked(program: Path) -> object:
    """A program as a parameter; those of several processes are heavy."""
    marks = pytest.mark.heavy if "multiprocessing" in program.read_text() else ()
    return pytest.param(program, id=program.stem, marks=marks)


@pytest.mark.parametrize("program", [marked(program) for program in PROGRAMS])
@pytest.mark.slow
def test_program_prints_the_same(program: Path, tmp_path: Path) -> None:
    pytest.importorskip("diskcache", reason="diskcache is not installed: its programs are not compared")
    changed, number = IMPORT.subn(ours, program.read_text())
    assert 1 <= number <= 2
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
    """The tests of diskcache, as its source distribution has them, beside a `diskcache` that is ours."""
    fetched = pip("download", "--no-deps", "--no-binary=:all:", "--dest", tmp_path, f"diskcache=={VERSION}")
    archives = list(tmp_path.glob(f"diskcache-{VERSION}.tar.gz"))
    if not archives:
        pytest.skip(f"diskcache cannot be downloaded: its own tests are not run. {fetched.problem}")
    folder = tmp_path / "suite"
    with tarfile.open(archives[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder / "diskcache").mkdir(parents=True)
    (folder / "diskcache" / "__init__.py").write_text("from store.compat.diskcache import *\n")
    (folder / "diskcache" / "core.py").write_text("from store.compat.diskcache import *\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    for part in SUITE:
        (tmp_path / f"diskcache-{VERSION}" / "tests" / f"test_{part}.py").rename(folder / f"test_{part}.py")
    return folder


@pytest.mark.heavy
@pytest.mark.timeout(600)
def test_suite_of_diskcache(suite: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfEp", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:threadexception"],
        cwd=suite, env={**os.environ, "PYTHONPATH": "."}, stdout=subprocess.PIPE, text=True, timeout=380, check=False,
    )  # fmt: skip
    failed = set(re.findall(r"^(?:FAILED|ERROR) test_(\w+)\.py::(\w+)", done.stdout, re.MULTILINE))
    assert failed == {(part, test) for part, tests in CANNOT.items() for test in tests}, done.stdout[-8000:]
    assert len(re.findall(r"^PASSED", done.stdout, re.MULTILINE)) == 139
