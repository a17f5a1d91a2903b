"""Keeps SQLite from applying rollback journals that another user planted in a shared folder.

A check beforehand is not enough: a journal may appear between it and SQLite's first read. So if others can create
files in the folder, `guarded` locks the byte that SQLite tests before it opens a journal. While that is locked,
SQLite takes the journal for that of a live writer and ignores it (hasHotJournal in pager.c, unixCheckReservedLock in
os_unix.c).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.errors import busy
from store.engines.sqlite.opening.companions import OTHERS_WRITE, check_logs, is_group_shared
from store.errors import StorageError
from store.system import range_locks
from store.system.descriptors import NEW, Descriptor
from store.system.rights import give_rights

_RESERVED = 0x40000001, 1  # RESERVED_BYTE of SQLite's os.h


@contextmanager
def guarded(path: str, *, writes: bool) -> Iterator[None]:
    """In the block, SQLite opens no rollback journal of the database, and no writer can begin one.

    Raises:
        sqlite3.OperationalError: a writer uses one. StorageError: no lock is available, in a folder of all users.
    """
    if not range_locks.AVAILABLE:
        if writes:
            _check_folder(path)
        yield
        return
    with wal_index.opening():
        try:
            file = wal_index.hold(path)
        except OSError:  # it is new, and no journal is applied to an empty database; or SQLite reports the error
            yield
            return
        try:
            with _reserved(file.number, path, writes=writes):
                yield
        finally:
            wal_index.let_go(file, at_once=True)


@contextmanager
def _reserved(descriptor: int, path: str, *, writes: bool) -> Iterator[None]:
    try:
        is_ours = range_locks.share(descriptor, *_RESERVED)
    except OSError:  # a file system without such locks
        is_ours = False
        if writes:
            _check_folder(path)
    else:
        if not is_ours and writes:
            raise busy()
    try:
        yield
    finally:
        if is_ours:
            range_locks.unlock(descriptor, *_RESERVED)


def check_recoverable(path: str) -> None:
    """Raises: StorageError: other users can replace the journal while SQLite opens it."""
    folder, journal = os.path.dirname(path), path + "-journal"
    try:
        found, above = os.lstat(journal), os.stat(folder)
    except OSError:
        return
    if is_group_shared(above, found, path):
        return
    trusted = (os.geteuid(), 0)
    is_kept = not above.st_mode & OTHERS_WRITE or (above.st_mode & stat.S_ISVTX and found.st_uid in trusted)
    if above.st_uid in trusted and is_kept:
        return
    raise StorageError(
        f"{journal} is in use, or a killed program left it, and in {folder} others can put another one in its place, "
        "which would make SQLite delete a file of this user's; open the store once as the user who owns that folder, "
        f"or take from others the right to write there (chmod go-w {folder})",
        errno=errno.EPERM,
        path=journal,
    )


def keep_journal(path: str) -> None:
    """Create an empty journal of our own, so that no other user can create one; it stays. Raises: StorageError."""
    try:
        database = os.stat(path)
        with Descriptor(path + "-journal", NEW, 0o600) as number:
            give_rights(number, database, database.st_mode & 0o666)
    except FileExistsError:
        check_logs(path, writes=True)
    except OSError:  # the folder is not writable for this user, who cannot commit there
        return
    check_recoverable(path)


def _check_folder(path: str) -> None:
    """Raises: StorageError: others could plant a journal after the check, and no lock prevents that."""
    folder = os.path.dirname(path)
    if os.stat(folder).st_mode & stat.S_IWOTH:
        raise StorageError(
            f"everybody can make files in {folder}, and with one beside {path} have SQLite delete a file of this "
            f"user's: keep the store in a folder that only its users can write, or change that (chmod o-w {folder})",
            errno=errno.EPERM,
            path=path,
        )
