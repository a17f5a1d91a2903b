"""The file: its schema, and how it is kept small and safe."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from store import Store
from store.engines.sqlite.engine import synced_log
from store.errors import LockTimeout, NotAStore

TIMEOUT = 60.0  # seconds


def query(path, statement: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute(statement).fetchall()


# -- the schema


def test_schema_of_a_new_store(path):
    Store(path).close()
    tables = dict(query(path, "SELECT name, strict FROM pragma_table_list WHERE schema = 'main'"))
    for name in ("identity", "sealers", "records", "garbage"):
        assert tables[name] == 1, f"{name} is not STRICT"
    columns = query(path, "SELECT name, type, \"notnull\" FROM pragma_table_info('records')")
    assert columns == [
        ("id", "INTEGER", 0), ("namespace", "TEXT", 1), ("name", "TEXT", 1), ("codec", "TEXT", 1),
        ("protocol", "INTEGER", 1), ("type", "TEXT", 0), ("python", "TEXT", 0), ("body", "BLOB", 1),
        ("spill", "TEXT", 0), ("seal", "BLOB", 1), ("crc", "INTEGER", 1), ("revision", "INTEGER", 1),
        ("created", "REAL", 1), ("modified", "REAL", 1), ("expires", "REAL", 0),
    ]  # fmt: skip
    indexes = query(path, "SELECT name, \"unique\", partial FROM pragma_index_list('records') ORDER BY name")
    assert indexes == [
        ("records_by_expiry", 0, 1), ("records_by_namespace", 0, 0), ("sqlite_autoindex_records_1", 1, 0),
    ]  # fmt: skip
    assert query(path, "PRAGMA application_id") == [(0x53746F72,)]
    assert query(path, "PRAGMA user_version") == [(2,)]
    assert query(path, "PRAGMA journal_mode") == [("wal",)]
    assert query(path, "SELECT length(id), format FROM identity") == [(16, 1)]


def test_file_is_marked_in_its_header(path):
    """Without SQLite, as `file` does it: the mark is in the database and not only in its WAL."""
    with Store(path) as s:
        s["a"] = 1
        script = "import sys; print(open(sys.argv[1], 'rb').read(72)[68:].decode())"
        done = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        assert done.stdout == "Stor\n"


@pytest.mark.slow
def test_file_is_legible_to_sqlite_utils(path):
    from sqlite_utils import Database

    with Store(path) as s:
        s.update({"a": 1, "b": "two"})
        with closing(Database(path).conn) as conn:
            table = Database(conn)["records"]
            assert table.count == 2
            assert [row["name"] for row in table.rows_where("type = ?", ["str"])] == ["b"]
        done = subprocess.run(
            [sys.executable, "-m", "sqlite_utils", "query", str(path), "SELECT name, type FROM records", "--csv"],
            capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
        assert (done.stderr, done.stdout.split()) == ("", ["name,type", "a,int", "b,str"])


@pytest.mark.parametrize("situation", ["new", "existing"])
@pytest.mark.slow
def test_sqlite_utils_is_not_imported_for_a_store_of_this_release(path, situation):
    """It imports pandas where that is installed, and numpy with it, and fails under a frozen clock."""
    if situation == "existing":
        Store(path).close()
    source = """
import sys
from store import Store
with Store(sys.argv[1]) as s:
    s["a"] = 1
    assert s["a"] == 1
print({"sqlite_utils", "pandas", "numpy"} & {name.partition(".")[0] for name in sys.modules})
"""
    done = subprocess.run(
        [sys.executable, "-c", source, str(path)], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert (done.stderr, done.stdout) == ("", "set()\n")


def test_steps_that_made_a_new_store_are_noted_where_sqlite_utils_looks_for_them(path):
    from sqlite_utils import Database, Migrations

    Store(path).close()
    migrations = Migrations("store")
    migrations(name="0001_records")(lambda db: db.execute("CREATE TABLE unwanted (a)"))
    with closing(Database(path, execute_plugins=False).conn) as conn:
        assert [step.name for step in migrations.pending(Database(conn))] == []


def test_tables_of_others_beside_ours_are_left_alone(path):
    Store(path).close()
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE theirs (x)")
        conn.execute("INSERT INTO theirs VALUES (1)")
        conn.commit()
    with Store(path) as s:
        s["a"] = 1
        s.clear()
    assert query(path, "SELECT x FROM theirs") == [(1,)]


def test_store_that_was_taken_out_of_wal_mode_is_put_back(path):
    with Store(path) as s:
        s["a"] = 1
    assert query(path, "PRAGMA journal_mode = delete") == [("delete",)]
    with Store(path) as s:
        assert s["a"] == 1
        assert query(path, "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.parametrize("mode", ["c", "w", "r"])
def test_opening_waits_for_a_foreign_program_that_has_the_file_locked(path, mode, monkeypatch):
    with Store(path) as s:
        s["a"] = 1
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA locking_mode = EXCLUSIVE").close()
        conn.execute("BEGIN EXCLUSIVE").close()
        with pytest.raises(LockTimeout, match=r"held the database locked for 0\.01 seconds"):
            Store(path, mode=mode, timeout=0.01)
        waits = []

        def wait(seconds: float) -> None:
            waits.append(seconds)
            conn.close()

        monkeypatch.setattr("time.sleep", wait)
        with Store(path, mode=mode) as s:
            assert s["a"] == 1
        assert waits


def test_mark_without_tables_is_refused(path):
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE theirs (x)")
        conn.execute(f"PRAGMA application_id = {0x53746F72}")
        conn.execute("PRAGMA user_version = 1")
        conn.execute("PRAGMA journal_mode = WAL").fetchone()
    with pytest.raises(NotAStore, match="lacks the table"):
        Store(path)


# -- the write-ahead log


@pytest.mark.slow
def test_wal_stays_small(path):
    largest = 0
    with Store(path) as s:
        for i in range(4_000):
            s[str(i)] = bytes(6_000)  # 24 MB in all
            largest = max(largest, s.opened.engine.handle.engine.checkpoints.log_bytes())
        assert os.stat(path).st_size > 20_000_000
        assert 1_000_000 < largest < 16_000_000
    assert not os.path.exists(f"{path}-wal")  # folded in by the last to close


@pytest.mark.slow
def test_wal_that_grew_under_a_reader_shrinks_again(path):
    with Store(path) as s, closing(sqlite3.connect(path, isolation_level=None)) as reader:
        s["a"] = 1
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM records").fetchone() == (1,)
        for i in range(90):
            s[str(i)] = bytes(1_000_000)  # no checkpoint can pass the reader's snapshot
        assert s.stats().wal_bytes > 64 * 1024 * 1024
        reader.execute("ROLLBACK")
        for i in range(10):
            s[str(i)] = bytes(1_000_000)
        assert s.stats().wal_bytes < 64 * 1024 * 1024
        assert len(s) == 91


def test_checkpoints_run_under_the_writers_lock(path, monkeypatch):
    monkeypatch.setattr("store.engines.sqlite.engine.checkpoints.LOG_FRAMES", 5)
    with Store(path) as s:
        engine = s.opened.engine.handle.engine
        held = []
        original = engine.checkpoints.run

        def checkpoint(conn, mode, files):
            held.append(engine.writer_lock.holder is not None and engine.writer_lock.holder() is not None)
            return original(conn, mode, files)

        monkeypatch.setattr(engine.checkpoints, "run", checkpoint)
        for i in range(20):
            s["a"] = i
            s.update(b=i, c=i)
        assert len(held) > 5
        assert all(held)


# -- durability


def synchronous(store: Store) -> int:
    slot = store.opened.engine.handle.engine.connection()
    with slot.guard:
        return slot.ready().execute("PRAGMA synchronous").fetchone()[0]


@pytest.mark.parametrize(("durability", "expected"), [("normal", 1), ("full", 2)])
def test_synchronous_for_each_durability_where_sqlite_syncs(path, durability, expected, monkeypatch):
    monkeypatch.setattr(synced_log, "suffices", lambda: False)
    with Store(path, durability=durability) as s:
        s["a"] = 1
        assert synchronous(s) == expected


def test_durability_that_a_second_store_raises(path, monkeypatch):
    monkeypatch.setattr(synced_log, "suffices", lambda: False)
    with Store(path) as s:
        s["a"] = 1
        assert synchronous(s) == 1
        with Store(path, durability="full"):
            s["a"] = 2
            assert synchronous(s) == 2
        assert s["a"] == 2
