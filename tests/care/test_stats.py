"""`stats`: what it tells of the write-ahead log."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import Store

SNAPSHOT = """
    import sqlite3, sys
    conn = sqlite3.connect(sys.argv[1], isolation_level=None)
    conn.execute("BEGIN")
    conn.execute("SELECT count(*) FROM records").fetchone()
    print("reading", flush=True)
    input()
    conn.close()
    print("1")
    """

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="who holds a lock is asked of Linux alone")


def fill(s: Store[Any], records: int = 3) -> int:
    """Writes so much into the log that a checkpoint comes; how large it is then."""
    for number in range(records):
        s[str(number)] = bytes(8_000_000)
    return s.stats().wal_bytes


@pytest.mark.parametrize("mode", ["c", "r"])
@pytest.mark.slow
def test_snapshot_of_another_process_that_pins_the_log(path: Path, start: Any, mode: str) -> None:
    with Store[Any](path, spill_bytes=10**9) as s, Store[Any](path, mode=mode) as asked:
        s["a"] = asked.get("b")
        assert (asked.stats().wal_pinned_bytes, asked.stats().wal_pinned_by) == (0, None)
        reader = start(SNAPSHOT, path)
        assert reader.hear() == "reading"
        assert asked.stats().wal_pinned_bytes == 0  # it reads the newest state
        size = fill(s)
        stats = asked.stats()
        assert 24_000_000 < stats.wal_pinned_bytes <= size
        assert stats.wal_pinned_by == reader.process.pid
        reader.say()
        reader.result()
        assert (asked.stats().wal_pinned_bytes, asked.stats().wal_pinned_by) == (0, None)


@pytest.mark.slow
def test_snapshot_of_this_process_that_pins_the_log(path: Path) -> None:
    with Store[Any](path, spill_bytes=10**9) as s, closing(sqlite3.connect(path, isolation_level=None)) as conn:
        s["a"] = s.get("b")
        conn.execute("BEGIN")
        conn.execute("SELECT count(*) FROM records").fetchone()
        fill(s)
        assert s.stats().wal_pinned_bytes > 24_000_000
        assert s.stats().wal_pinned_by == os.getpid()


@pytest.mark.slow
def test_nothing_pins_the_log_of_a_store_at_work(path: Path) -> None:
    with Store[Any](path, spill_bytes=10**9) as s, s.within("other") as other:
        fill(s)
        with other.transaction():
            other["a"] = s["1"]
            assert s.stats().wal_pinned_bytes == 0
    with Store[Any](":memory:") as s:
        s["a"] = 1
        assert (s.stats().wal_pinned_bytes, s.stats().wal_pinned_by) == (0, None)
