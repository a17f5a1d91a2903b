"""Frees space: unused files, free pages of the database, and the log."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import TypeVar

from store.engines.capabilities import Freed
from store.engines.sqlite import statements as sql
from store.engines.sqlite.care.check import miscounted
from store.engines.sqlite.engine.engine import Engine
from store.engines.sqlite.engine.fetching import all_by_id, fetch_all
from store.engines.sqlite.errors import translate
from store.engines.sqlite.spill.files import NO_WAIT, SqliteSpill
from store.engines.sqlite.spill.folder import RETRY_SECONDS
from store.engines.sqlite.spill.garbage import spilled_bytes
from store.errors import Corrupt, StoreError
from store.system.clock import steady_clock
from store.system.file_status import writing

T = TypeVar("T")
Progress = Callable[[int, int], None]

STEP_PAGES = 1000  # freed while holding the writer's lock once: 4 MB, some milliseconds
STEP_FILES = 500
LEAST_PAGE_BYTES = 512


def compact(engine: Engine, timeout: float, progress: Progress | None) -> Freed:
    """Free as much as possible now. Raises: StoreError: inside a transaction. LockTimeout, StorageError."""
    if engine.connection().current() is not None:
        raise StoreError(f"{engine.path} cannot be compacted inside its transaction; leave the block first")
    engine.spill.drop_leftovers()
    with suppress(Corrupt):  # the rows of a damaged table cannot be added up, and `verify` tells of it
        if miscounted(engine, timeout):
            _count_anew(engine, timeout)
    before = _database_bytes(engine)
    steps = _Steps(progress)
    files, file_bytes = _fold_garbage(engine, timeout, steps)
    _vacuum(engine, timeout, steps)
    error = engine.checkpoints.error
    if error is not None:
        raise error if isinstance(error, StoreError) else translate(error, engine.path)
    orphans, orphan_bytes = _remove_orphans(engine, timeout)
    steps.end()
    return Freed(
        files, orphans, file_bytes + orphan_bytes, max(0, before - _database_bytes(engine)), _garbage(engine, timeout)
    )


def _count_anew(engine: Engine, timeout: float) -> None:
    """Set the counter of the bytes of large values to what the rows say; other writers wait meanwhile."""
    with engine.transaction(timeout):
        spills = engine.read(sql.EVERY_SPILL, (), all_by_id(engine.path), 0.0, timeout)
        total = min(spilled_bytes(spills), sql.LARGEST_SPILLED)
        engine.write_many(sql.CLEAR_SPILLED, [()], (), 0)
        engine.write_many(sql.INSERT_SPILLED, [(total,)], (), 0)


class _Steps:
    """Reports progress in files and pages; the total is updated during the work."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done = 0

    def step(self, done: int, left: int) -> None:
        """Report how many more are done, and how many are left."""
        self._done += done
        if self._progress is not None:
            self._progress(self._done, self._done + left + 1)

    def end(self) -> None:
        """Report that everything is done."""
        self._done += 1
        self.step(0, -1)


def _fold_garbage(engine: Engine, timeout: float, steps: _Steps) -> tuple[int, int]:
    """Remove dropped files, STEP_FILES with each checkpoint; returns how many, and their bytes."""
    files = size = 0
    left = _garbage(engine, timeout)
    for _ in range(0, left, STEP_FILES):  # not until none is left: a damaged table may keep its rows
        gone, freed = engine.writer.alone(
            lambda: engine.writer.fold(engine.connection(), "TRUNCATE", STEP_FILES), timeout
        )
        if not gone:
            break
        files, size = files + gone, size + freed
        left = _garbage(engine, timeout)
        steps.step(gone, left)
    return files, size


def _vacuum(engine: Engine, timeout: float, steps: _Steps) -> None:
    """Free the current free pages, STEP_PAGES at a time; pages that others free meanwhile are left for the next call.
    Each turn ends with a checkpoint, so that neither the log grows nor the last one takes long.
    """
    left = min(_free_pages(engine, timeout), _database_bytes(engine) // LEAST_PAGE_BYTES)
    if not left:
        engine.writer.alone(lambda: engine.writer.fold(engine.connection(), "TRUNCATE"), timeout)
    while left > 0:
        engine.writer.alone(lambda: _vacuum_step(engine, timeout), timeout)
        now = _free_pages(engine, timeout)
        steps.step(STEP_PAGES, now)
        left = min(left - STEP_PAGES, now)


def _vacuum_step(engine: Engine, timeout: float) -> None:
    connection = engine.connection()
    connection.run("SELECT 1", (), _vacuumed, timeout)
    engine.writer.fold(connection, "TRUNCATE")


def _vacuumed(cursor: sqlite3.Cursor) -> None:
    """Run the statement to its end: `execute` steps it only once, since it has no columns, and so frees one page."""
    cursor.connection.executescript(sql.INCREMENTAL_VACUUM.format(STEP_PAGES))


def _free_pages(engine: Engine, timeout: float) -> int:
    count: int = engine.read(sql.FREE_PAGES, (), fetch_all, 0.0, timeout)[0][0]
    return count


def _remove_orphans(engine: Engine, timeout: float) -> tuple[int, int]:
    """Remove files that no row names; returns how many, and their bytes.

    A thread that writes files may wait for the writer's lock, so we do not hold it while we wait for such threads. If
    they do not finish within the timeout, the orphans stay.
    """
    files = size = 0
    if not engine.strategy.knows_writers:
        return files, size
    deadline = steady_clock() + timeout
    while True:
        found = engine.writer.alone(lambda: _orphans_removed(engine.spill), timeout)
        if found is not None:
            files, size = files + found[0], size + found[1]
            if found[0] < STEP_FILES:
                return files, size
        elif steady_clock() >= deadline:
            return files, size
        else:
            time.sleep(RETRY_SECONDS)


def _orphans_removed(spill: SqliteSpill) -> tuple[int, int] | None:
    """Remove orphans; None if files are being written, which no row names yet."""
    with writing(spill.folder.path), suppress(FileNotFoundError):
        with spill.folder.opened() as folder:
            if not folder.lock_exclusively(NO_WAIT):
                return None
            unnamed = spill.unnamed(folder.files())
            gone, freed = spill.folder.remove(islice(unnamed, STEP_FILES))
            return len(gone), freed
    return 0, 0


def _garbage(engine: Engine, timeout: float) -> int:
    count: int = engine.read(sql.COUNT_GARBAGE, (), fetch_all, 0.0, timeout)[0][0]
    return count


def _database_bytes(engine: Engine) -> int:
    return engine.file_bytes() + engine.checkpoints.log_bytes()
