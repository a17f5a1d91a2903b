"""Giving space back: files that nobody needs any more, free pages of the database, and the log."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from store.backends import sqlite_statements as sql
from store.backends.spill import RETRY_SECONDS, lock_exclusively, translated
from store.backends.sqlite_engine import Engine
from store.backends.sqlite_errors import translate
from store.backends.sqlite_slot import fetch_all
from store.backends.sqlite_spill import NO_WAIT, SqliteSpill
from store.errors import StoreError
from store.locking import Hold

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SqliteFreed:
    """The contract `Freed` of `store.backends`."""

    files: int = 0
    orphans: int = 0
    file_bytes: int = 0
    database_bytes: int = 0
    files_left: int = 0


def compact(engine: Engine, timeout: float) -> SqliteFreed:
    """Everything that can be given back now. Raises: StoreError: inside a transaction. LockTimeout, StorageError."""
    if engine.slot().current() is not None:
        raise StoreError(f"{engine.path} cannot be compacted inside its transaction; leave the block first")
    spill = engine.spill
    if spill is None:
        return SqliteFreed()
    spill.let_go_of_leftovers()
    before = _database_bytes(engine)
    files, file_bytes = _locked(engine, timeout, lambda: _fold(engine, timeout))
    orphans, orphan_bytes = _remove_orphans(engine, spill, timeout)
    return SqliteFreed(
        files, orphans, file_bytes + orphan_bytes, max(0, before - _database_bytes(engine)), _garbage(engine, timeout)
    )


def _locked(engine: Engine, timeout: float, work: Callable[[], T]) -> T:
    """What `work` returns, done under the writer's lock."""
    hold = Hold()
    engine.take(hold, engine.slot(), timeout)
    try:
        return work()
    finally:
        engine.give(hold)


def _fold(engine: Engine, timeout: float) -> tuple[int, int]:
    """How many files went with the checkpoint, and their bytes. The pages they and others left free go too."""
    slot = engine.slot()
    files = size = 0
    while _garbage(engine, timeout):
        gone, freed = engine.fold(slot, "TRUNCATE")
        files, size = files + gone, size + freed
        if not gone:
            break
    slot.run("SELECT 1", (), _vacuumed, timeout)
    engine.fold(slot, "TRUNCATE")
    if engine.checkpoints.error is not None:
        raise translate(engine.checkpoints.error, engine.path)
    return files, size


def _vacuumed(cursor: sqlite3.Cursor) -> None:
    """All free pages: `execute` would step the statement once, since it has no columns, and that frees one."""
    cursor.connection.executescript(sql.INCREMENTAL_VACUUM)


def _remove_orphans(engine: Engine, spill: SqliteSpill, timeout: float) -> tuple[int, int]:
    """How many files were removed that nobody named, and their bytes.

    Who is writing files waits for the writer's lock, perhaps, so it is not kept while we wait for them. Where they do
    not end within the timeout, the orphans stay.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = _locked(engine, timeout, lambda: _orphans_removed(spill))
        if found is not None:
            return found
        if time.monotonic() >= deadline:
            return 0, 0
        time.sleep(RETRY_SECONDS)


def _orphans_removed(spill: SqliteSpill) -> tuple[int, int] | None:
    """None where files are being written: those are named by no row yet."""
    with translated(spill.folder.path), suppress(FileNotFoundError):
        with spill.folder.opened() as descriptor:
            if not lock_exclusively(descriptor, NO_WAIT):
                return None
            gone, freed = spill.folder.remove(spill.unnamed(spill.folder.files(descriptor)))
            return len(gone), freed
    return 0, 0


def _garbage(engine: Engine, timeout: float) -> int:
    count: int = engine.read(sql.COUNT_GARBAGE, (), fetch_all, 0.0, timeout)[0][0]
    return count


def _database_bytes(engine: Engine) -> int:
    return os.stat(engine.path).st_size + engine.checkpoints.log_bytes()
