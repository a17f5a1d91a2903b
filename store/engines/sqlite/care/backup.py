"""A backup: a copy of the store that replaces the previous one in one step, or not at all."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from store.engines.sqlite.care.copy import Copied, copy_state, folder_beside, partial_beside, translated
from store.engines.sqlite.care.progress import Progress, Report, stoppable
from store.engines.sqlite.engine.engine import Engine
from store.engines.sqlite.errors import READONLY, SQLITE_ERRORS, code_of, is_busy, translate
from store.engines.sqlite.opening import companions, journals
from store.engines.sqlite.opening.attach import detach, is_open, retain
from store.engines.sqlite.opening.connection import apart
from store.engines.sqlite.opening.files import identity_at
from store.engines.sqlite.spill.copying import Check, FileCopies, remove_others
from store.engines.sqlite.spill.folder import Folder
from store.errors import LockTimeout, StorageError, StoreError
from store.system.file_status import is_there
from store.system.locking import locked
from store.system.range_locks import IS_POSIX
from store.system.syncing import sync_folder

# What belongs to a store, behind its path.
_OWN = ("", *companions.LOGS, *companions.FILES, *companions.FOLDERS)


def backup(engine: Engine, path: str, check: Check, progress: Progress | None, timeout: float) -> Copied:
    """The contract `Care.backup`; `path` is absolute."""
    if engine.connection().current() is not None:
        raise StoreError(f"{engine.path} cannot be backed up inside its transaction; leave the block first")
    lease = retain(engine)  # the progress function may close the store
    try:
        target = os.path.realpath(path)
        with stoppable(), translated(target):
            return place_copy(engine, target, check, Report(progress), timeout)
    finally:
        detach(lease)


def place_copy(engine: Engine, target: str, check: Check, report: Report, timeout: float) -> Copied:
    """Puts a copy of the store at `target`, where there is an older store of the same id or nothing."""
    refuse_own(engine, target)
    older = _older(engine, target, timeout)
    with partial_beside(target, timeout) as partial:
        folder = folder_beside(target, partial)
        files = FileCopies(engine.spill.folder, folder, timeout)
        try:
            copied = copy_state(engine, partial, files, check, report, timeout)
            with _claimed(engine, target, timeout):
                _rename(partial, target)
        except BaseException:
            if os.path.lexists(partial):  # otherwise it was renamed before the error
                files.undo()
            raise
        finally:
            files.close()
        if older:  # otherwise the files there may belong to a store that was moved away
            remove_others(Folder(target, folder.path), copied.parts)
    return copied


def refuse_own(engine: Engine, target: str) -> None:
    """Raises: StoreError: the target is the store that is copied, or one of the files that belong to it."""
    own = [engine.path + suffix for suffix in _OWN]
    if target in own or os.path.dirname(target) in own or _is_same(engine, target):
        raise StoreError(f"{target} is what is to be copied, or a file of it; give another path")


def _is_same(engine: Engine, target: str) -> bool:
    """Whether it is a hard link to the store."""
    with suppress(OSError):
        status = os.stat(target)
        return (status.st_dev, status.st_ino) == engine.inode
    return False


def _older(engine: Engine, target: str, timeout: float) -> bool:
    """Whether a backup of this store is there already.

    Raises:
        NotAStore: something else is, which is never overwritten. StorageError: another store, or the remains of one.
    """
    identity = identity_at(target, timeout)
    if identity not in (None, engine.store_id):
        raise StorageError(
            f"{target} is another store, or a backup of another, and was not touched; choose another path, or delete "
            "it if it is not needed",
            errno=errno.EEXIST,
            path=target,
        )
    if is_open(target):
        raise StoreError(f"{target} is open as a store in this process; close it, or choose another path")
    for log in (target + "-wal", target + "-journal"):
        if identity is None and is_there(log):
            raise StorageError(
                f"{log} lies there without its database; move it away, or choose another path",
                errno=errno.EEXIST,
                path=log,
            )
    return identity is not None


@contextmanager
def _claimed(engine: Engine, target: str, timeout: float) -> Iterator[None]:
    """Keeps other processes from opening the target as a store or writing to it, and folds in a log beside it.

    SQLite would use the log of a replaced database for the new one. The lock keeps processes from creating a log;
    SQLite's own lock on the existing database keeps out those that are using it.
    """
    with locked(target + ".lock", timeout, remove=True):
        if not _older(engine, target, timeout):  # it may have been created meanwhile
            yield
            return
        with ExitStack() as stack:
            _lock_out(stack.enter_context(apart(target)), target)
            if not IS_POSIX:  # Windows, where nothing replaces a file that is open
                stack.close()
            yield
            for suffix in (*companions.MAPPED, companions.ACTIVITY):
                with suppress(OSError):  # nobody uses it now, and it tells of the older one
                    os.unlink(target + suffix)


def _lock_out(conn: sqlite3.Connection, target: str) -> None:
    """Folds the log in and locks the database exclusively. Raises: LockTimeout: the target is in use."""
    try:
        # The first read, for which a log is opened with its index, as others have it.
        if conn.execute("PRAGMA journal_mode").fetchone()[0] == "wal" and companions.is_exposed(target):
            journals.keep_journal(target)
        # The lock is kept from here on: without a log, SQLite would look for a journal at each step.
        conn.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()
        conn.execute("PRAGMA journal_mode = DELETE").fetchone()
        conn.execute("BEGIN EXCLUSIVE")
    except SQLITE_ERRORS as exc:
        if code_of(exc) == READONLY:  # its owner made it so: nobody else writes it either
            return
        if not is_busy(exc):
            raise translate(exc, target) from exc
        raise LockTimeout(
            f"{target} is in use by another program; close it there, or choose another path", path=target
        ) from exc


def _rename(partial: str, target: str) -> None:
    sync_folder(os.path.dirname(target))  # a journal of the older one that came back would be taken for the copy's
    os.replace(partial, target)
    sync_folder(os.path.dirname(target))
