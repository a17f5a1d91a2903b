"""Restores a backup: as a new store, or over the store of the same id, for all its users in one commit."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable

from store.engines.sqlite import statements as sql
from store.engines.sqlite.care.backup import place_copy, refuse_own
from store.engines.sqlite.care.copy import Copied, copy_state, partial_beside, translated
from store.engines.sqlite.care.progress import Progress, Report, stoppable
from store.engines.sqlite.engine.engine import Engine
from store.engines.sqlite.engine.fetching import all_by_id, fetch_all
from store.engines.sqlite.errors import timed_out
from store.engines.sqlite.opening.attach import Lease, attach, detach
from store.engines.sqlite.opening.connection import BUSY_SECONDS, apart
from store.engines.sqlite.opening.files import identity_at
from store.engines.sqlite.spill.copying import Check, FileCopies
from store.engines.sqlite.spill.garbage import dropped
from store.errors import Corrupt, StorageError, StoreError, StoreNotFound
from store.system.clock import steady_clock


def restore(
    backup: str, location: str, *, check_of: Callable[[bytes], Check], progress: Progress | None, timeout: float
) -> tuple[Copied, bool]:
    """The contract of `store.engines.contract.restorers`; both paths are absolute."""
    source = _open(backup, timeout)
    try:
        target = os.path.realpath(location)
        with stoppable(), translated(target):
            return _restore(source.engine, target, check_of, Report(progress), timeout)
    finally:
        detach(source)


def _restore(
    source: Engine, target: str, check_of: Callable[[bytes], Check], report: Report, timeout: float
) -> tuple[Copied, bool]:
    refuse_own(source, target)
    check = check_of(source.identity(timeout))
    if _identity(target, timeout) != source.store_id:  # there is nothing yet, or a file that must not be overwritten
        return place_copy(source, target, check, report, timeout), False
    live = attach(target, mode="w", timeout=timeout)
    try:
        return _replace(source, live.engine, check, report, timeout), True
    finally:
        detach(live)


def _open(backup: str, timeout: float) -> Lease:
    try:
        return attach(backup, mode="r", timeout=timeout)
    except StoreNotFound as exc:
        raise StoreNotFound(f"there is no backup at {backup}", errno=errno.ENOENT, path=backup) from exc


def _identity(target: str, timeout: float) -> bytes | None:
    try:
        return identity_at(target, timeout)
    except Corrupt as exc:
        raise StorageError(
            f"{target} is too damaged to be written over; move it away, with the files beside it that begin with its "
            f"name, and restore again ({exc})",
            errno=errno.EIO,
            path=target,
        ) from exc


def _replace(source: Engine, live: Engine, check: Check, report: Report, timeout: float) -> Copied:
    """Copy and check everything while others read and write; they only wait for the final commit."""
    if live.connection().current() is not None:
        raise StoreError(f"{live.path} cannot be restored inside its transaction; leave the block first")
    with partial_beside(live.path, timeout) as partial:
        files = FileCopies(source.spill.folder, live.spill.folder, timeout)
        is_written = False

        def write() -> None:
            nonlocal is_written
            files.complete(copied.parts.values())
            _adapt(partial, live, copied, timeout)
            is_written = True  # from here on rows may name the files
            _write_over(partial, live, timeout)

        try:
            copied = copy_state(source, partial, files, check, report, timeout)
            live.writer.alone(write, timeout)
        except BaseException:
            if not is_written:
                files.undo()
            raise
        finally:
            files.close()
    return copied


def _adapt(partial: str, live: Engine, copied: Copied, timeout: float) -> None:
    """Give the copy the garbage, the sealers and the page size of the store that it replaces.

    Files of the current rows become garbage with the commit that removes the rows, as with any other commit.
    """
    garbage, sealers = _left_behind(live, timeout)
    page_bytes: int = live.read("PRAGMA page_size", (), fetch_all, 0.0, timeout)[0][0]
    with apart(partial) as conn, translated(partial):
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany(sql.DROP, [(file,) for file in garbage - copied.parts.keys()])
        conn.executemany(sql.ADD_SEALER, sealers)
        conn.execute("COMMIT")
        if conn.execute("PRAGMA page_size").fetchone()[0] != page_bytes:
            conn.execute(f"PRAGMA page_size = {page_bytes}")
            conn.execute("VACUUM")


def _left_behind(live: Engine, timeout: float) -> tuple[set[str], list[tuple[bytes]]]:
    """The files that are unused after the restore, and the sealers; both empty for a damaged store."""
    try:
        spills = live.read(sql.EVERY_SPILL, (), all_by_id(live.path), 0.0, timeout)
        garbage = live.read(sql.EVERY_GARBAGE, (), all_by_id(live.path), 0.0, timeout)
        sealers = live.read(sql.SEALERS, (sql.MOST_SEALERS,), fetch_all, 0.0, timeout)
    except Corrupt:  # then the files are orphans, which `compact` removes as well
        return set(), []
    return {*dropped(live.store_id, spills)[0], *(str(file) for (file, _) in garbage)}, sealers


def _write_over(partial: str, live: Engine, timeout: float) -> None:
    """Overwrite it under the writer's lock: SQLite's backup into a database is one transaction, synced at once."""
    connection = live.pool.open_extra()
    try:
        connection.run(
            "PRAGMA synchronous = FULL", (), lambda cursor: _commit(cursor, partial, live.path, timeout), timeout
        )
        live.writer.fold(connection)
    finally:
        live.pool.close_extra(connection)


def _commit(cursor: sqlite3.Cursor, partial: str, path: str, timeout: float) -> None:
    conn, deadline = cursor.connection, steady_clock() + timeout
    cursor.close()

    def wait(status: int, remaining: int, total: int) -> None:
        if status and remaining and steady_clock() >= deadline:  # otherwise SQLite would retry for ever
            raise timed_out(path, timeout)

    with apart(partial, "mode=ro") as source:
        source.backup(conn, progress=wait, sleep=BUSY_SECONDS)
