"""Removes a store from the disk: the database and all files that this library and SQLite put beside it.

Order matters, since the process may be killed between any two steps. First the database is marked, while no other
process has it open: from then on every open is refused, with an error that says how to finish. Then the files beside
it are removed, and the database last. So a marked database remains until the end, and a second call resumes.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from store.engines.registry import is_in_transaction
from store.engines.sqlite import schema
from store.engines.sqlite.care.copy import PARTIAL, translated
from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.errors import SQLITE_ERRORS, code_of
from store.engines.sqlite.opening import companions
from store.engines.sqlite.opening.attach import is_attached
from store.engines.sqlite.opening.connection import apart, probe
from store.engines.sqlite.opening.files import identity_at
from store.engines.sqlite.opening.single_name import check_single_name
from store.errors import LockTimeout, NotAStore, ReadOnly, StorageError, StoreError, StoreNotFound
from store.rows import spilled
from store.system.file_status import status_of
from store.system.locking import locked
from store.system.syncing import sync_folder

_BUSY, _LOCKED = 5, 6
_OWN: dict[str, Callable[[str], object]] = {
    "-spill": spilled.is_file,
    "-locks": re.compile(r"[0-9a-f]{32}\.lock", re.ASCII).fullmatch,
}


def destroy(location: str) -> None:
    """See `store.destroy`; the path is absolute."""
    path = os.path.realpath(location)
    folders = _checked(path)
    with _alone(path), locked(path + ".lock", 0, remove=True):
        _mark(path)
        with translated(path):
            for folder, files in folders:
                _remove_folder(folder, files)
            for suffix in (*companions.FILES, PARTIAL):
                if suffix != ".lock":
                    _remove(path + suffix)
    with translated(path):
        for suffix in (*companions.LOGS, ""):
            _remove(path + suffix)
        sync_folder(os.path.dirname(path))


def _checked(path: str) -> list[tuple[str, list[str]]]:
    """The folders beside it with the names of their files. Raises: StoreError: it must not be destroyed."""
    if is_in_transaction():
        raise StoreError("destroy inside a transaction could not be undone with it; leave the block first")
    status = status_of(path)
    if status is None:
        raise StoreNotFound(f"there is no store at {path}", errno=errno.ENOENT, path=path)
    if is_attached((status.st_dev, status.st_ino)):
        raise _in_use(path, "this process")
    if not _is_marked(path) and identity_at(path, 0) is None:  # which raises for what is no store
        raise NotAStore(f"{path} is empty, and no store; it was not touched", path=path)
    check_single_name(path, read_only=False)
    companions.check(path, writes=True)
    if not os.access(os.path.dirname(path), os.W_OK | os.X_OK) or not os.access(path, os.W_OK):
        raise ReadOnly(f"{path} or its directory may not be written by this user; nothing was removed", path=path)
    return [(path + suffix, _files(path + suffix, suffix)) for suffix in companions.FOLDERS]


def _files(folder: str, suffix: str) -> list[str]:
    try:
        files = os.listdir(folder)
    except FileNotFoundError:
        return []
    foreign = [name for name in files if not _OWN[suffix](name)]
    if foreign:
        raise StorageError(
            f"{folder} has files that are not of the store ({', '.join(map(repr, sorted(foreign)[:3]))}); nothing "
            "was removed: move them away, and try again",
            errno=errno.ENOTEMPTY,
            path=folder,
        )
    return files


def _is_marked(path: str) -> bool:
    """Whether its destruction has begun."""
    try:
        with wal_index.opening():
            conn = probe(path)
            if conn is None:
                return False
            with closing(conn):
                return schema.read_mark(conn)[0] == schema.DESTROYED_ID
    except SQLITE_ERRORS:  # `identity_at` says what it is
        return False


def _mark(path: str) -> None:
    """Fold in the log, and write the mark, synced, while this is the only connection of any process."""
    with apart(path, alone=True) as conn:
        conn.execute("PRAGMA synchronous = FULL")
        if conn.execute("PRAGMA journal_mode = DELETE").fetchone()[0] != "delete":
            raise sqlite3.OperationalError("database is locked")
        conn.execute("BEGIN EXCLUSIVE")
        conn.execute(f"PRAGMA application_id = {schema.DESTROYED_ID}")
        conn.execute("COMMIT")


@contextmanager
def _alone(path: str) -> Iterator[None]:
    """Raises: StorageError: another process has it open."""
    try:
        with translated(path):
            try:
                yield
            except sqlite3.OperationalError as exc:
                if code_of(exc) in (_BUSY, _LOCKED) or str(exc) == "database is locked":
                    raise _in_use(path, "another process") from exc
                raise
    except LockTimeout as exc:
        raise _in_use(path, "another process") from exc


def _in_use(path: str, where: str) -> StorageError:
    return StorageError(
        f"{path} is open in {where}, and nothing was removed; close it there, and try again",
        errno=errno.EBUSY,
        path=path,
    )


def _remove_folder(folder: str, files: list[str]) -> None:
    for name in files:
        _remove(os.path.join(folder, name))
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        pass


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
