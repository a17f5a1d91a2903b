"""What an operation of a cache costs, counted: statements and system calls, as in `tests/mapping/test_costs.py`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from store.cache import Cache

READS = 1000
# Between two calls of getppid, which nothing else makes, 1000 reads of each kind, by each policy.
TRACED = f"""
import gc, os, sys
from store.cache import Cache
caches = [Cache(sys.argv[1] + policy, policy=policy, clock=lambda: 1_800_000_000.0) for policy in ("lru", "lfu", "fifo", "none")]
for c in caches:
    c.set("a", {{"user": "x" * 60}}, ttl=1e6)
    c.get_or_compute("e", list, ttl=1e9, early=1.0)
def read():
    for c in caches:
        for _ in range({READS}):
            c["a"], c.get("a"), "a" in c, c.get_or_compute("a", None), c.get_or_compute("e", None, ttl=1e9, early=1e-9)
            c.get_many(["a"])
read()
gc.disable()
os.getppid()
read()
os.getppid()
os._exit(0)
"""


@pytest.fixture
def c(path: Path, clock: Any) -> Iterator[Cache[Any]]:
    with Cache[Any](path, clock=clock) as cache:
        cache["a"] = {"user": "x" * 60}
        cache.get_or_compute("e", list, ttl=1e9, early=1.0)
        cache["a"], cache.store.within("cache#notes").close()
        yield cache


@pytest.fixture
def statements(c: Cache[Any]) -> list[str]:
    """Those that this thread's connection runs from now on."""
    found: list[str] = []
    conn = c.opened.engine.handle.engine.connection().conn  # type: ignore[attr-defined]
    conn.set_trace_callback(found.append)
    return found


HITS: dict[str, Callable[[Cache[Any]], object]] = {
    "item": lambda c: c["a"],
    "get": lambda c: c.get("a"),
    "in": lambda c: "a" in c,
    "len": len,
    "get_many": lambda c: c.get_many(["a"]),
    "get_or_compute": lambda c: c.get_or_compute("a", list),
    "get_or_compute, early": lambda c: c.get_or_compute("e", list, ttl=1e9, early=1e-9),
}


@pytest.mark.parametrize("hit", HITS)
def test_hit_runs_no_statement(c: Cache[Any], statements: list[str], hit: str) -> None:
    HITS[hit](c)
    statements.clear()
    for _ in range(10):
        HITS[hit](c)
    assert statements == []


def test_set_without_a_tag_runs_one_statement(c: Cache[Any], statements: list[str]) -> None:
    c["a"], c["b"] = 1, 2
    c.set("a", 1, ttl=50)
    c.set("b", [1])
    assert len(statements) == 4
    assert c.delete("zzz") is False


def test_memoized_hit_runs_no_statement(c: Cache[Any], statements: list[str]) -> None:
    @c.memoize
    def double(x: int) -> int:
        return 2 * x

    double(1), double(1)
    statements.clear()
    assert double(1) == 2
    assert statements == []


def test_hits_make_no_system_call(path: Path, tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: the system calls of a hit were NOT counted")
    command = [strace, "-o", str(tmp_path / "calls"), sys.executable, "-c", TRACED, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode and ("ptrace" in done.stderr or "PTRACE" in done.stderr):
        pytest.skip(f"processes may not be traced here, so NOTHING was counted: {done.stderr.strip()[-200:]}")
    assert (done.returncode, done.stderr) == (0, "")
    assert os.path.exists(f"{path}lru.access")  # it was the real thing
    lines = (tmp_path / "calls").read_text().splitlines()
    marks = [number for number, line in enumerate(lines) if "getppid(" in line]
    assert [lines[first + 1 : last] for first, last in pairwise(marks)] == [[]]
