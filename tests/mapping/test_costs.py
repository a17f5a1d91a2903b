"""What a read and a write cost, counted: statements and system calls, not time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store import Store

READS = 1000
# Between two calls of getppid, which nothing else makes, 1000 reads of each kind.
TRACED = f"""
import gc, os, sys
from store import Store
with Store(sys.argv[1], clock=lambda: 1_800_000_000.0) as s:
    s["a"] = {{"user": "x" * 60, "roles": ["a", "b"]}}
    names = ["a"]
    def read():
        for _ in range({READS}):
            s["a"], s.get("a"), "a" in s, len(s), s.get_many(names)
    read()
    gc.disable()
    os.getppid()
    read()
    os.getppid()
    os._exit(0)
"""


@pytest.fixture
def s(path, clock) -> Iterator[Store]:
    with Store(path, clock=clock) as s:
        s["a"] = {"user": "x" * 60}
        yield s


@pytest.fixture
def statements(s) -> list[str]:
    """Those that this thread's connection runs from now on."""
    found: list[str] = []
    conn = s.opened.engine.handle.engine.connection().conn
    assert conn is not None
    conn.set_trace_callback(found.append)
    return found


@pytest.mark.parametrize(
    "read",
    [lambda s: s["a"], lambda s: s.get("a"), lambda s: "a" in s, len, bool, lambda s: s.get_many("a")],
    ids=["item", "get", "in", "len", "bool", "get_many"],
)
def test_cached_read_runs_no_statement(s, statements, read: Callable[[Store], object]):
    s["a"], len(s)
    statements.clear()
    for _ in range(10):
        read(s)
    assert statements == []


def test_read_that_is_not_cached_runs_one_statement(s, statements):
    s.opened.cache.drop()
    s["a"]
    assert len(statements) == 1


def test_read_of_an_own_record_takes_its_sealed_columns_alone(s, statements):
    s.opened.cache.drop()
    s["a"], list(s.items()), list(s.values()), s | {}, s.get_many(["a", "b"])
    assert "body" in "".join(statements) and "modified" not in "".join(statements)


@pytest.mark.filterwarnings("ignore:.*sealed with a key")
def test_read_of_a_record_of_others_runs_one_statement(path, clock):
    """But for the first one, whose sealed columns are read before all of its columns are."""
    with Store(path, clock=clock, key=b"the key of somebody else") as s:
        s.update({str(number): number for number in range(10)})
    with Store(path, clock=clock) as s:
        s.opened.values.sealer.keyring.keys()
        found: list[str] = []
        s.opened.engine.handle.engine.connection().conn.set_trace_callback(found.append)
        assert [s[str(number)] for number in range(10)] == list(range(10))
        assert len(found) == 11


def test_plain_set_runs_one_statement(s, statements):
    s["a"] = 1  # the record is updated
    s["b"] = 1  # and inserted
    assert len(statements) == 2
    s["b"] = "x" * 100_000
    assert len(statements) == 3
    del s["b"]
    assert len(statements) == 4


def test_read_after_a_set_runs_no_statement(s, statements):
    s["a"]
    statements.clear()
    for number in range(10):
        s["a"] = number
        assert s["a"] == number
    assert len(statements) == 10


def test_cached_reads_make_no_system_call(path, tmp_path):
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: the system calls of a cached read were NOT counted")
    log = tmp_path / "calls"
    command = [strace, "-o", str(log), sys.executable, "-c", TRACED, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode and ("ptrace" in done.stderr or "PTRACE" in done.stderr):
        pytest.skip(f"processes may not be traced here, so NOTHING was counted: {done.stderr.strip()[-200:]}")
    assert (done.returncode, done.stderr) == (0, "")
    assert _between_marks(log) == []
    for left in (f"{path}-wal", f"{path}-shm"):
        assert os.path.exists(left)  # it was the real thing


def _between_marks(log: Path) -> list[str]:
    lines = log.read_text().splitlines()
    first, last = (number for number, line in enumerate(lines) if "getppid(" in line)
    return lines[first + 1 : last]
