"""Locks that keep a write-ahead log in its place for as long as this process has connections to it.

The last connection to a database folds its log in and unlinks it; SQLite detects that it is the last one by locking
bytes of the database. If the program opens the file to read, hash or copy it, its `close()` drops the locks of this
process, and another process then removes the log. `RangeLocks` hold locks in addition to SQLite's that no `close()`
drops. On a system without such locks, `FileLock` at least keeps programs of this library from removing the log.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Protocol

from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.engine.log_files import Inode
from store.engines.sqlite.opening.connection import connect
from store.system import range_locks
from store.system.descriptors import READ, Descriptor, read_at
from store.system.rights import make_beside

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

# The bytes of a database that SQLite locks for readers, and for a connection that wants exclusive access:
# SHARED_FIRST and SHARED_SIZE of its os.h. And the byte of the index that is locked while a process has it mapped,
# UNIX_SHM_DMS of its os_unix.c: a process that finds it unlocked truncates the file.
_SHARED = 0x40000002, 510
_MAPPED = 128, 1
_WAL = b"\2\2"  # bytes 18 and 19 of a database with a write-ahead log, https://www.sqlite.org/fileformat.html
_VERSIONS = slice(18, 20)


class Locks(Protocol):
    """The locks on one database in one process. All members are called under `wal_index.opening`."""

    def take(self) -> bool:
        """Lock before SQLite opens the log; False if another process is closing it."""

    def take_index(self, path: str) -> bool:
        """Lock the index, after SQLite opened it; False if it does not exist any more."""

    def hand_over(self) -> bool:
        """Rely on SQLite's own locks alone, before the last connection closes. False: they do not suffice."""

    def drop(self) -> None:
        """Unlock after `hand_over`, so that the last connection may fold the log in."""

    def keep_log(self) -> None:
        """Instead of `drop`: make the last connection keep the log when it closes."""

    def release(self) -> None:
        """Release everything, after the last connection has closed."""


class RangeLocks:
    """Open file description locks on the database and the index."""

    def __init__(self, path: str, inode: Inode) -> None:
        self._database = wal_index.hold(path, inode)
        self._index: wal_index.Held | None = None
        self._locked = False

    def take(self) -> bool:
        number = self._database.number
        if not self._locked and read_at(number, _VERSIONS.stop, 0)[_VERSIONS] == _WAL:
            self._locked = range_locks.share(number, *_SHARED)
            return self._locked
        return True

    def take_index(self, path: str) -> bool:
        if not self._locked:
            return False
        if self._index is None:
            try:
                index = wal_index.hold(path + "-shm")
            except FileNotFoundError:
                return False
            self._index = index
            if not range_locks.share(index.number, *_MAPPED):
                self._let_go_of_index()
                return False
        return True

    def hand_over(self) -> bool:
        try:
            range_locks.share_as_process(self._database.number, *_SHARED)
        except OSError:
            return False
        return True

    def drop(self) -> None:
        if self._locked:
            self._locked = False
            range_locks.unlock(self._database.number, *_SHARED)

    def keep_log(self) -> None:
        """Does nothing: SQLite cannot get exclusive access to the database while it is locked."""

    def release(self) -> None:
        with suppress(OSError):  # closed, they are unlocked as well
            self.drop()
        self._let_go_of_index()
        wal_index.let_go(self._database, at_once=True)

    def _let_go_of_index(self) -> None:
        index, self._index = self._index, None
        if index is not None:
            with suppress(OSError):
                range_locks.unlock(index.number, *_MAPPED)
            wal_index.let_go(index, at_once=False)


class FileLock:
    """A shared lock on a separate file, which other SQLite programs ignore."""

    SUFFIX = "-open"

    def __init__(self, path: str) -> None:
        self._database, self._path = path, path + self.SUFFIX
        self._file: Descriptor | None = None
        self._reader: sqlite3.Connection | None = None

    def take(self) -> bool:
        if not range_locks.IS_POSIX:  # Windows, where closing a file drops no lock of SQLite's
            return True
        if self._file is None:
            try:
                make_beside(self._path, self._database)
                self._file = Descriptor(self._path, READ)
            except OSError:  # a reader that may not make it
                return True
        return self._flock(fcntl.LOCK_SH)

    def take_index(self, path: str) -> bool:
        return True

    def hand_over(self) -> bool:
        """Whether no other program of this library has the log open."""
        return self._file is None or self._flock(fcntl.LOCK_EX)

    def drop(self) -> None:
        """Does nothing: the lock is kept until the connection is closed."""

    def keep_log(self) -> None:
        """Open another connection, to be closed last: it may only read, and so cannot get exclusive access."""
        self._reader = connect(self._database, "mode=ro")
        self._reader.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()

    def release(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _flock(self, kind: int) -> bool:
        assert self._file is not None
        try:
            fcntl.flock(self._file.number, kind | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def locks_on(path: str, inode: Inode) -> Locks:
    """The locks of this system. Raises: OSError: the path names another file, or none, or it cannot be opened."""
    return RangeLocks(path, inode) if range_locks.AVAILABLE else FileLock(path)
