"""A migration to the schema after this one: killed, failing, refused, waited for; and the making of a store, killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.engines.sqlite import schema as schema
from store.errors import LockTimeout, NotAStore, ReadOnly, StorageError

from .killer import ended, forked
from .migrations import (
    FILES,
    OLD,
    PLAYED,
    RELEASED,
    kill_makings,
    kill_migrations,
    next_release,
    old_copy,
    opened,
    problems,
    rows_of,
    warm_up,
)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of the release before, closed."""
    return old_copy(tmp_path / "old.store")


def open_(path: Path, **options: Any) -> Store[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the foreign keys in it
        return Store(path, key=OLD / "key", **options)


def contents(path: Path) -> dict[str, bytes]:
    """The files of a store but for its lock, which may stay."""
    files = {file.name: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}
    files.pop(f"{path.name}.lock", None)
    return files


@pytest.mark.heavy
@pytest.mark.parametrize("file", FILES)
def test_migration_killed_at_any_step_is_completed_by_the_next_open(tmp_path: Path, file: str) -> None:
    warm_up(tmp_path)
    done = kill_migrations(tmp_path, count(1, 47), file)
    assert done.failures == []
    assert done.trials > 4


@pytest.mark.heavy
def test_making_killed_at_any_step_is_completed_by_the_next_open(tmp_path: Path) -> None:
    warm_up(tmp_path)
    done = kill_makings(tmp_path, count(1, 37))
    assert done.failures == []
    assert done.trials > 7


def test_file_that_becomes_a_store_while_it_is_looked_at(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mark and tables are read one after the other: by a killed maker's file, another one may be at work."""
    with closing(sqlite3.connect(path)) as conn:
        conn.executescript("CREATE TABLE t (a); DROP TABLE t; VACUUM")
    look = schema.is_blank

    def look_later(conn: sqlite3.Connection) -> bool:
        monkeypatch.setattr(schema, "is_blank", look)
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as maker:
            with suppress(sqlite3.OperationalError):  # where the reader keeps it out
                schema.migrate(maker, str(path))
        return look(conn)

    monkeypatch.setattr(schema, "is_blank", look_later)
    with Store[Any](path) as s:
        s["a"] = 1
    assert schema.is_blank is look


def test_migration_happens_once(old: Path) -> None:
    rows = rows_of(old)
    for _ in range(2):
        opened(old)
        assert problems(old, rows) == []


def test_old_store_is_not_read_only_to_be_read(old: Path) -> None:
    before = contents(old)
    told = rf"earlier release \(schema 1, this one reads {RELEASED + 1}\): open it for writing once"
    with next_release(), pytest.raises(ReadOnly, match=told):
        open_(old, mode="r")
    assert contents(old) == before
    opened(old)
    with next_release(), open_(old, mode="r") as s:
        assert s["text"] == "Grüße\0\n"


def refused(db: Any) -> None:
    db.execute("ALTER TABLE records ADD COLUMN checked INTEGER")
    raise ValueError("a row that cannot be")


def wrong_statement(db: Any) -> None:
    db.execute("ALTER TABLE records ADD COLUMN checked INTEGER")
    db.execute("UPDATE records SET absent = 1")


def another_result(db: Any) -> None:
    db.execute("ALTER TABLE records ADD COLUMN chequed INTEGER")


FAILING: dict[str, tuple[Callable[[Any], None], str]] = {
    "raises": (refused, "ValueError: a row that cannot be"),
    "fails in SQLite": (wrong_statement, "OperationalError: no such column: absent"),
    "makes something else": (another_result, "NotAStore: .* is not that of a store"),
}


@pytest.mark.parametrize("how", FAILING)
def test_migration_that_fails_leaves_the_file_as_it_was(old: Path, how: str) -> None:
    step, told = FAILING[how]
    before, rows = contents(old), rows_of(old)
    with next_release(step), pytest.raises(StorageError, match=rf"from schema 1 to {RELEASED + 1} \({told}.*is unchanged: .*keep a copy"):
        open_(old)
    assert contents(old) == before
    opened(old)
    assert problems(old, rows) == []


@pytest.mark.parametrize("step", [*(step.name for step in schema.STEPS[1:]), PLAYED])
def test_migration_that_the_file_says_was_done_is_not_believed(old: Path, step: str) -> None:
    with closing(sqlite3.connect(old)) as conn:
        conn.execute(f"INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('store', '{step}', '')")
        conn.commit()
    before = contents(old)
    with next_release(), pytest.raises(StorageError, match=f"from schema 1 to {RELEASED + 1}"):
        open_(old)
    assert contents(old) == before


def test_migration_without_the_table_of_what_was_done(old: Path) -> None:
    with closing(sqlite3.connect(old)) as conn:
        conn.execute("DROP TABLE _sqlite_migrations")
    opened(old)
    with next_release(), open_(old) as s:
        assert s.verify().damage == []


def test_old_store_that_was_altered_is_not_migrated(old: Path) -> None:
    with closing(sqlite3.connect(old)) as conn:
        conn.execute("CREATE TRIGGER planted AFTER UPDATE ON records BEGIN DELETE FROM sealers; END")
    before = contents(old)
    with next_release(), pytest.raises(NotAStore, match="what no store has, trigger 'planted'"):
        open_(old)
    assert contents(old) == before


def test_migration_waits_for_a_program_of_the_release_before(old: Path) -> None:
    """It would go on to write in the old way: it has to close the file first."""
    ready, told = os.pipe()
    go, going = os.pipe()

    def hold() -> None:
        os.close(going)
        with open_(old) as s:
            s["by the old one"] = 1
            os.write(told, b"!")
            os.read(go, 1)

    holder = forked(hold)
    assert os.read(ready, 1) == b"!"
    with next_release(), pytest.raises(LockTimeout, match="held the database locked"):
        open_(old, timeout=0)
    os.kill(holder, signal.SIGKILL)
    assert ended(holder) == -signal.SIGKILL
    for descriptor in (ready, told, go, going):
        os.close(descriptor)
    with next_release(), open_(old, timeout=0) as s:
        assert s["by the old one"] == 1
