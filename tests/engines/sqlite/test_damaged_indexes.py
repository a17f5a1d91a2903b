"""What is found by a damaged index, or not found: a name is reported missing only where it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.errors import Corrupt, Tampered

pytestmark = pytest.mark.damaged

NAMES = [f"name {number:02}" for number in range(40)]


@pytest.fixture
def stored(path: Path, clock: Any) -> Path:
    """Forty records, of which the last one has a lifetime."""
    with Store(path, clock=clock) as s:
        s.update(dict.fromkeys(NAMES[:-1], "x" * 100))
        s.put(NAMES[-1], "x" * 100, ttl=1000)
    return path


def replaced(path: Path, old: bytes, new: bytes, last: bool) -> None:
    """Bytes of the file, where they are first or last in it."""
    content = path.read_bytes()
    at = content.rindex(old) if last else content.index(old)
    path.write_bytes(content[:at] + new + content[at + len(old) :])


def in_index(path: Path) -> bool:
    """Whether the first occurrence of a name is in the index of names, and the last in the table, or the other way."""
    with closing(sqlite3.connect(path)) as conn:
        pages = dict(conn.execute("SELECT name, rootpage FROM sqlite_schema WHERE name LIKE '%records%'"))
    content = path.read_bytes()
    return content.index(b"name 17") // 4096 + 1 == pages["sqlite_autoindex_records_1"]


READS: dict[str, Callable[[Store[Any], str], Any]] = {
    "get": lambda s, name: s[name],
    "get with a default": lambda s, name: s.get(name, 0),
    "in": lambda s, name: name in s,
    "get_many": lambda s, name: s.get_many([NAMES[3], name]),
    "record": lambda s, name: s.record(name),
    "setdefault": lambda s, name: s.setdefault(name, 0),
    "modify": lambda s, name: s.modify(name, lambda value: value, default=0),
    "names": lambda s, name: s.names(),
    "names, reverse": lambda s, name: s.names(reverse=True),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("damaged", [b"name 57", b"aame 17", b"zame 17"])
def test_name_whose_entry_in_the_index_is_damaged(stored: Path, clock: Any, read: str, damaged: bytes) -> None:
    replaced(stored, b"name 17", damaged, last=not in_index(stored))
    with Store(stored, clock=clock) as s:
        with pytest.raises(Corrupt, match="an index of it leads to other records"):
            READS[read](s, "name 17")


def test_other_names_beside_a_damaged_entry(stored: Path, clock: Any) -> None:
    """Those that are there are read or raise, and one that never was is still a missing name."""
    replaced(stored, b"name 17", b"name 37", last=not in_index(stored))
    with Store(stored, clock=clock) as s:
        for name in NAMES:
            try:
                assert s[name] == "x" * 100
            except Corrupt:
                pass
        for name in ("", "name 16a", "name 18a", "name 30a", "zzz"):
            assert name not in s and s.get(name) is None
            with pytest.raises(KeyError):
                s.record(name)
        s["name 17a"] = "new"
        assert s["name 17a"] == "new"


def test_name_that_is_damaged_in_the_table_is_not_listed(stored: Path, clock: Any) -> None:
    replaced(stored, b"name 17", b"name X7", last=in_index(stored))
    with Store(stored, clock=clock) as s:
        for listing in (lambda: list(s), lambda: list(reversed(s)), s.names):
            with pytest.raises(Corrupt):
                listing()
        assert all(s[name] == "x" * 100 for name in NAMES if name != "name 17")


def expire(path: Path, plant: str) -> None:
    """Writes an expiry into the row alone, as a flipped bit does: not into the index."""
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA writable_schema = ON")
        kept = conn.execute("SELECT rowid, * FROM sqlite_schema WHERE name = 'records_by_expiry'").fetchone()
        conn.execute("DELETE FROM sqlite_schema WHERE name = 'records_by_expiry'")
        conn.commit()
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(plant)
        conn.execute("PRAGMA writable_schema = ON")
        conn.execute(f"INSERT INTO sqlite_schema (rowid, type, name, tbl_name, rootpage, sql) VALUES ({', '.join('?' * 6)})", kept)
        conn.commit()


@pytest.mark.parametrize("read", [*READS, "iter", "items", "dict", "equal"])
def test_record_that_only_looks_expired(stored: Path, clock: Any, read: str) -> None:
    """The seal covers its lifetime: it is no missing name, and none that is left out."""
    expire(stored, "UPDATE records SET expires = 5.0 WHERE name IN ('name 17', 'name 39')")
    more: dict[str, Callable[[Store[Any], str], Any]] = {
        "iter": lambda s, name: list(s),
        "items": lambda s, name: list(s.items()),
        "dict": lambda s, name: s | {},
        "equal": lambda s, name: s == {},
    }
    with Store(stored, clock=clock) as s:
        for name in ("name 17", "name 39"):
            with pytest.raises((Tampered, Corrupt)):
                {**READS, **more}[read](s, name)
    with Store(stored, clock=clock, on_unreadable="skip") as s:
        assert len(dict(s.items())) == 38


@pytest.mark.parametrize("heal", ["delete", "assign"])
def test_record_that_was_made_to_look_expired_can_be_healed(stored: Path, clock: Any, heal: str) -> None:
    with closing(sqlite3.connect(stored)) as conn:
        conn.execute("UPDATE records SET expires = 5.0 WHERE name = 'name 17'")
        conn.commit()
    with Store(stored, clock=clock) as s:
        with pytest.raises(Tampered):
            s["name 17"]
        if heal == "delete":
            del s["name 17"]
            assert "name 17" not in s
            with pytest.raises(KeyError):
                del s["name 17"]
        else:
            s["name 17"] = "new"
            assert s["name 17"] == "new"


def test_record_that_has_expired_is_absent_in_every_way(stored: Path, clock: Any) -> None:
    clock.advance(2000)
    name = NAMES[-1]
    with Store(stored, clock=clock) as s:
        assert name not in s and s.get(name) is None and s.get_many([name]) == {}
        assert len(s) == len(list(s)) == len(s.names()) == len(dict(s.items())) == len(s | {}) == 39
        with pytest.raises(KeyError):
            s.record(name)
        assert s.setdefault(name, "new") == "new"


def test_empty_file_beside_a_log_is_no_new_store(path: Path) -> None:
    """SQLite would begin a new database, and delete the log with what was committed last."""
    with Store(path) as s:
        s["a"] = 1
        log = path.with_name("app.db-wal").read_bytes()
    path.write_bytes(b"")
    path.with_name("app.db-wal").write_bytes(log)
    for mode in ("r", "w", "c", "n"):
        with pytest.raises(Corrupt, match="cut off"):
            Store(path, mode=mode)
    assert path.with_name("app.db-wal").read_bytes() == log and path.stat().st_size == 0



@pytest.mark.parametrize("listing", ["items", "iter", "dict", "reversed"])
def test_record_that_an_index_leads_to_twice(stored: Path, clock: Any, listing: str) -> None:
    with closing(sqlite3.connect(stored)) as conn:
        (page,) = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'records_by_namespace'").fetchone()
    content = bytearray(stored.read_bytes())
    start = (page - 1) * 4096
    one, other = (int.from_bytes(content[start + 8 + 2 * n : start + 10 + 2 * n]) for n in (20, 21))
    content[start + other : start + other + 5] = content[start + one : start + one + 5]
    stored.write_bytes(content)
    read = {"items": lambda s: list(s.items()), "iter": list, "dict": lambda s: s | {}, "reversed": lambda s: list(reversed(s))}
    with Store(stored, clock=clock) as s, pytest.raises(Corrupt, match="an index of it"):
        read[listing](s)
