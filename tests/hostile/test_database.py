"""A hostile database: what was planted among the tables is refused at open, the file not changed."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from store import Store
from store.engines.sqlite.opening import attach as sqlite_attach
from store.errors import NotAStore, StoreError

pytestmark = pytest.mark.damaged

Plant = Callable[[Path, str], None]

KEY = b"the key of these tests"
SECONDS = 100


def rewrite(kind_and_name: str, old: str, new: str) -> str:
    """A script that alters the text of an object as it stands in the schema."""
    kind, name = kind_and_name.split()
    old, new = old.replace("'", "''"), new.replace("'", "''")
    return f"UPDATE sqlite_schema SET sql = replace(sql, '{old}', '{new}') WHERE type = '{kind}' AND name = '{name}'"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


MOVE = "ALTER TABLE records RENAME TO kept;"
TRIGGER = "CREATE TRIGGER planted AFTER {} ON {} BEGIN DELETE FROM records; END"

STRUCTURES = {  # what it is → (how it is made, what the message names)
    "trigger on insert": (TRIGGER.format("INSERT", "records"), "trigger 'planted' on 'records'"),
    "trigger on update": (TRIGGER.format("UPDATE", "records"), "trigger 'planted' on 'records'"),
    "trigger on delete": (TRIGGER.format("DELETE", "records"), "trigger 'planted' on 'records'"),
    "trigger on the sealers": (TRIGGER.format("INSERT", "sealers"), "trigger 'planted' on 'sealers'"),
    "trigger in capitals": (TRIGGER.format("INSERT", "RECORDS"), "trigger 'planted'"),
    "trigger filed as a blob": (
        f"{TRIGGER.format('INSERT', 'records')};"
        "UPDATE sqlite_schema SET tbl_name = CAST('records' AS BLOB) WHERE name = 'planted'",
        "trigger 'planted' on b'records'",
    ),
    "trigger filed with a NUL": (
        f"{TRIGGER.format('INSERT', 'records')};"
        "UPDATE sqlite_schema SET tbl_name = CAST(x'7265636f7264730078' AS TEXT) WHERE name = 'planted'",
        "trigger 'planted' on 'records",
    ),
    "view in place of the table": (f"{MOVE} CREATE VIEW records AS SELECT * FROM kept", "view 'records'"),
    "view with triggers for writes": (
        f"{MOVE} CREATE VIEW records AS SELECT * FROM kept;"
        "CREATE TRIGGER planted INSTEAD OF INSERT ON records BEGIN SELECT 1; END",
        "on 'records'",
    ),
    "view in place of the sealers": (
        "DROP TABLE sealers; CREATE VIEW sealers AS SELECT x'00' AS key_id", "view 'sealers'",
    ),
    "virtual table": (
        f"{MOVE} CREATE VIRTUAL TABLE records USING fts5(id, namespace, name, body)", "table 'records' is not",
    ),
    "table without rowid": (
        f"{MOVE} CREATE TABLE records AS SELECT * FROM kept WHERE 0;"
        "DROP TABLE records; CREATE TABLE records (id INTEGER PRIMARY KEY, name TEXT) WITHOUT ROWID",
        "records'",
    ),
    "index on an expression": (
        "CREATE INDEX planted ON records (hex(zeroblob(length(body))))", "index 'planted' on 'records'",
    ),
    "index of another program": ("CREATE INDEX planted ON records (modified)", "index 'planted' on 'records'"),
    "missing index": ("DROP INDEX records_by_expiry", "lacks the index 'records_by_expiry'"),
    "index on other columns": (
        "DROP INDEX records_by_namespace; CREATE INDEX records_by_namespace ON records (name)",
        "index 'records_by_namespace' is not",
    ),
    "index of only some rows": (
        "DROP INDEX records_by_namespace;"
        "CREATE INDEX records_by_namespace ON records (namespace) WHERE name <> 'a'",
        "index 'records_by_namespace' is not",
    ),
    "index of ours on another table": (
        "DROP INDEX records_by_namespace; CREATE TABLE theirs (namespace);"
        "CREATE INDEX records_by_namespace ON theirs (namespace)",
        "lacks the index 'records_by_namespace'",
    ),
    "missing table": ("DROP TABLE garbage", "lacks the table 'garbage'"),
    "additional column": ("ALTER TABLE records ADD COLUMN more TEXT", "table 'records' is not"),
    "generated column": (
        "ALTER TABLE records ADD COLUMN more BLOB AS (zeroblob(900000000)) VIRTUAL", "table 'records' is not",
    ),
    "column made a generated one": (
        rewrite("table records", "python TEXT", "python TEXT AS (hex(body)) VIRTUAL"), "table 'records' is not",
    ),
    "renamed column": ("ALTER TABLE records RENAME COLUMN codec TO kodec", "table 'records' is not"),
    "column that is gone": ("ALTER TABLE records DROP COLUMN python", "table 'records' is not"),
    "column with a no-break space in its name": (
        rewrite("table records", "python TEXT", "python\xa0TEXT ANY"), "table 'records' is not",
    ),
    "column of another type": (rewrite("table records", "seal BLOB", "seal ANY"), "table 'records' is not"),
    "column that takes NULL": (rewrite("table records", "body BLOB NOT NULL", "body BLOB"), "table 'records' is not"),
    "table that is not strict": (rewrite("table records", ") STRICT", ")"), "table 'records' is not"),
    "check that calls a function": (
        rewrite("table records", "body BLOB NOT NULL", "body BLOB NOT NULL CHECK (length(hex(body)) > 0)"),
        "table 'records' is not",
    ),
    "default": (rewrite("table sealers", "NOT NULL", "NOT NULL DEFAULT x'00'"), "table 'sealers' is not"),
    "other collation": (
        rewrite("table records", "name TEXT NOT NULL", "name TEXT NOT NULL COLLATE NOCASE"), "table 'records' is not",
    ),
    "unknown collation": (
        rewrite("table records", "name TEXT NOT NULL", "name TEXT NOT NULL COLLATE planted"),
        "table 'records' is not",
    ),
    "conflicts that are ignored": (
        rewrite("table records", "UNIQUE (namespace, name)", "UNIQUE (namespace, name) ON CONFLICT IGNORE"),
        "table 'records' is not",
    ),
    "no schema version": ("PRAGMA user_version = 0", "no schema version"),
    "negative schema version": ("PRAGMA user_version = -1", "no schema version"),
}  # fmt: skip


@pytest.mark.parametrize("mode", ["r", "w", "c", "n"])
@pytest.mark.parametrize("what", STRUCTURES)
def test_structure_that_no_store_has(sound: Path, what: str, mode: str, plant: Plant) -> None:
    script, named = STRUCTURES[what]
    plant(sound, script)
    before = digest(sound)
    with pytest.raises(NotAStore) as caught:
        Store(sound, key=KEY, mode=mode)
    assert named in str(caught.value)
    assert "it was not touched" in str(caught.value) and "restore a backup" in str(caught.value)
    assert caught.value.path == str(sound)
    assert digest(sound) == before
    assert not sqlite_attach._engines


def test_trigger_filed_under_another_table(sound: Path, plant: Plant) -> None:
    """What `check_structure` leaves to SQLite: an entry is what its text says, or the file does not open."""
    plant(
        sound,
        f"CREATE TABLE theirs (x); {TRIGGER.format('INSERT', 'records')};"
        "UPDATE sqlite_schema SET tbl_name = 'theirs' WHERE name = 'planted'",
    )
    before = digest(sound)
    for mode in ("r", "w"):
        with pytest.raises(StoreError, match="malformed database schema"):
            Store(sound, key=KEY, mode=mode)
    assert digest(sound) == before


def test_structure_after_a_crash_left_a_journal(sound: Path, plant: Plant) -> None:
    """Then only a writer can look: it looks as well."""
    plant(sound, TRIGGER.format("INSERT", "records"))
    with closing(sqlite3.connect(sound)) as conn:
        conn.execute("PRAGMA journal_mode = DELETE").fetchone()
    program = (
        "import os, sqlite3, sys\n"
        "conn = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "conn.execute('PRAGMA cache_size = 1'); conn.execute('PRAGMA cache_spill = 1'); conn.execute('BEGIN')\n"
        "conn.execute('CREATE TABLE theirs (x)')\n"
        "conn.executemany('INSERT INTO theirs VALUES (zeroblob(5000))', [()] * 100)\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(sound)], check=True, timeout=SECONDS)
    assert Path(f"{sound}-journal").stat().st_size > 0
    with pytest.raises(NotAStore, match="trigger 'planted'"):
        Store(sound, key=KEY)


def test_what_other_people_keep_beside_ours(sound: Path, plant: Plant) -> None:
    plant(
        sound,
        """
        CREATE TABLE theirs (name TEXT PRIMARY KEY, record INTEGER REFERENCES records (id) ON DELETE CASCADE);
        CREATE INDEX their_index ON theirs (record);
        CREATE TABLE log (text);
        CREATE TRIGGER their_trigger AFTER INSERT ON theirs BEGIN INSERT INTO log SELECT name FROM records; END;
        CREATE VIEW their_view AS SELECT name, length(body) FROM records;
        CREATE VIRTUAL TABLE search USING fts5(text);
        INSERT INTO theirs VALUES ('x', 1);
        ANALYZE;
        """,
    )
    with Store(sound, key=KEY) as s:
        s["c"] = 3
        assert set(s) == {"a", "b", "short", "c"} or set(s) == {"a", "b", "c"}  # `short` by the real clock
    with closing(sqlite3.connect(sound)) as conn:
        assert conn.execute("SELECT * FROM log").fetchall() == [("a",), ("b",), ("short",)]
        assert conn.execute("SELECT count(*) FROM their_view").fetchone() == (4,)


def test_white_space_of_another_release(sound: Path, plant: Plant) -> None:
    plant(sound, rewrite("table records", "\n    ", "\n\t      ") + ";" + rewrite("table identity", ", ", ",\n"))
    with Store(sound, key=KEY) as s:
        assert s["a"] == 1
