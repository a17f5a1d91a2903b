"""Every commit and every checkpoint of ours happens while the writer's lock is held; in network mode every read, too.

That is what closes the WAL-reset race of SQLite before 3.51.3 (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.engines.sqlite.engine import checkpoints as sqlite_checkpoints
from store.engines.sqlite.opening import (
    connection as sqlite_connection,
)
from store.engines.sqlite.opening import (
    files as sqlite_files,
)
from store.engines.sqlite.opening import (
    network as sqlite_network,
)
from store.engines.sqlite.opening import private_copy
from store.sessions import Sessions

# What neither changes the file nor looks into it: settings, and questions about the schema's text.
HARMLESS = re.compile(
    r"PRAGMA (trusted_schema|cell_size_check|wal_autocheckpoint|journal_size_limit|synchronous|locking_mode|"
    r"journal_mode|auto_vacuum)\b", re.IGNORECASE,
)  # fmt: skip
READS = re.compile(
    r"(BEGIN|ROLLBACK)$|\s*(SELECT|WITH)\b"
    r"|\s*(?:-- )?PRAGMA (application_id|user_version|data_version|quick_check|integrity_check|freelist_count|page_count|page_size)\b",
    re.IGNORECASE,
)


class Traced:
    """Each statement that SQLite runs in this process, and whether the lock file was locked then."""

    def __init__(self, lock: str) -> None:
        self.lock = lock
        self.seen: list[tuple[str, bool]] = []

    def watch(self, conn: sqlite3.Connection) -> sqlite3.Connection:
        conn.set_trace_callback(lambda text: self.seen.append((text, self.is_locked())))
        return conn

    def is_locked(self) -> bool:
        try:
            descriptor = os.open(self.lock, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)

    def unlocked(self) -> list[str]:
        return [text for text, locked in self.seen if not locked and not HARMLESS.match(text)]


@pytest.fixture
def traced(path: Path, monkeypatch: pytest.MonkeyPatch) -> Traced:
    found = Traced(f"{path}.lock")
    connect = sqlite_connection.connect

    def connecting(place: str, query: str = "mode=rw", **options: bool) -> sqlite3.Connection:
        return found.watch(connect(place, query, **options))

    for module in (sqlite_connection, private_copy, sqlite_files, sqlite_network):
        monkeypatch.setattr(module, "connect", connecting)
    monkeypatch.setattr(sqlite_checkpoints, "LOG_FRAMES", 3)
    return found


def everything(path: Path, clock: Callable[[], float]) -> None:
    """All that writes, in one process."""
    with Store[Any](path, spill_bytes=1000, clock=clock) as s:
        s["a"] = 1
        s["large"] = b"x" * 5000
        s["large"] = b"y" * 5000
        s.update({f"n{i}": i for i in range(20)})
        s |= {"b": [2]}
        s.put("ttl", 1, ttl=5)
        s.put("ttl", 1, ttl=5, if_version=s.record("ttl"))
        s.touch("b", 10)
        s.setdefault("c", {})
        s.modify("a", lambda value: value + 1)
        with s.edit("b") as value:
            value.append(3)
        with s.transaction():
            s["a"] = b"z" * 3000
            with s.transaction():
                del s["n1"]
        with pytest.raises(ZeroDivisionError), s.transaction():
            s["a"] = b"w" * 3000
            raise ZeroDivisionError
        s.pop("n2")
        s.popitem()
        clock.advance(100)  # type: ignore[attr-defined]
        s.purge()
        with s.within("other") as other:
            other["a"] = 1
            other.clear()
        del s["large"]
        s.update({f"wide{i}": b"w" * 900 for i in range(30)})
        for i in range(30):
            del s[f"wide{i}"]
        s.compact()
        s.verify()
        with s.watch(timeout=0) as watch:
            s["a"] = 3
            list(watch)
        assert (len(s), s.names("a"), list(s.items())[:1]) == (len(list(s)), ["a"], [("a", 3)])
        s.stats()
    with Sessions(path, ttl=3600) as sessions:
        sessions.rotate(sessions.create({"user": 1}))
        sessions.clear_expired()
    with Store[Any](path, writeback=True) as s:
        s["list"] = []
        s["list"].append(1)


def test_by_all_that_writes(path: Path, clock: Any, traced: Traced) -> None:
    everything(path, clock)
    written = [text for text in traced.unlocked() if not READS.match(text)]
    assert written == []
    run = "\n".join(text for text, _ in traced.seen)
    assert run.count("wal_checkpoint") > 5
    assert all(word in run for word in ("COMMIT", "INSERT INTO records", "DELETE FROM records", "incremental_vacuum"))


def test_by_all_that_reads_in_network_mode(
    path: Path, clock: Any, traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_NETWORK", "1")
    everything(path, clock)
    assert traced.unlocked() == []
    assert len(traced.seen) > 100


def test_is_what_this_test_would_miss(path: Path, traced: Traced) -> None:
    with Store[Any](path) as s:
        s["a"] = 1
        s.opened.engine.handle.engine.connection().run("UPDATE records SET name = 'b'", (), lambda cursor: None, 1)
        assert [text for text in traced.unlocked() if not READS.match(text)] == ["UPDATE records SET name = 'b'"]
        s.opened.engine.handle.engine.connection().run("UPDATE records SET name = 'a'", (), lambda cursor: None, 1)
