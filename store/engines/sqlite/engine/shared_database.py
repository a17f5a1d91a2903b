"""The state of a database with a write-ahead log that all engines of one process share: its locks, and its log.

An engine joins before SQLite opens the log, and its connections leave when they are closed. Everything here runs
under `wal_index.opening`, so that no thread opens a connection, or forks, while the last one is being closed.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Protocol
from weakref import WeakSet, WeakValueDictionary

from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.engine.log_files import Inode, LogFiles, inode_of
from store.engines.sqlite.engine.log_locks import locks_on
from store.engines.sqlite.errors import busy

# Where the commits are after the log was removed.
IN_LOG = "the commits are in the log that is there"
IN_DATABASE = "the earlier commits are in the database"
LOST = "commits since the last checkpoint may be lost with it"

# Weak: an interrupt may drop an engine before it leaves, and its locks would then be held for ever.
_shared: WeakValueDictionary[Inode, SharedDatabase] = WeakValueDictionary()


class Member(Protocol):
    """An engine, as the other engines on the file use it."""

    def has_any_connection(self) -> bool:
        """Whether a connection is open, with a log or without."""

    def fail(self, error: str) -> None:
        """Make every use raise this error from now on."""

    def close_connections(self, seconds: float) -> None:
        """Close its connections, waiting for so long; one in a longer statement is closed after it."""


class SharedDatabase:
    """The shared state of one database, by device and inode, for as long as the process has connections to it."""

    def __init__(self, path: str, inode: Inode) -> None:
        self.logs = LogFiles(path)
        self.inode = inode
        self._path = path
        self._locks = locks_on(path, inode)
        self._members: WeakSet[Member] = WeakSet()
        self._owner = os.getpid()
        self._has_lost_log = False
        self._may_be_missed = True  # whether commits may be lost with the log

    def join(self, member: Member) -> None:
        """Prepare for `member` to open a connection.

        Raises:
            sqlite3.OperationalError: another process is closing the log, or this one still uses a removed log.
        """
        if self._has_lost_log or not self._locks.take():
            raise busy()
        self._members.add(member)

    def opened(self) -> None:
        """Lock the log in its place, after a connection with a log was opened. Raises: as `join`."""
        if not self._locks.take_index(self._path) or not self.logs.learn():
            raise busy()

    def is_unused(self) -> bool:
        """Whether no connection is open."""
        return not any(member.has_any_connection() for member in list(self._members))

    def leave(self, conn: sqlite3.Connection | None) -> None:
        """Close a connection that no thread uses; closing the last one folds in the log, if that is ours."""
        if self._owner != os.getpid():  # in a forked child; the locks belong to the parent as well
            close(conn)
            return
        try:
            with wal_index.opening():
                if conn is not None and self.logs.is_known() and self.is_unused():
                    self._allow_folding()
        finally:
            self._close(conn)

    def _close(self, conn: sqlite3.Connection | None) -> None:
        try:
            close(conn)
        finally:
            with wal_index.opening():
                if self.is_unused():
                    self.release()

    def release(self) -> None:
        """Release the locks, since no connection is open any more."""
        if _shared.get(self.inode) is self:
            del _shared[self.inode]
            self.logs.forget()
            self._locks.release()

    def lose_log(self, seconds: float) -> bool:
        """Close every connection of this process after the log was replaced; each use reports that from now on.

        Waits up to `seconds` for each connection that another thread is using. Returns whether commits may be lost.
        """
        with wal_index.opening():
            is_first, self._has_lost_log = not self._has_lost_log, True
        before, is_there = self.logs.database_stamp(), self.logs.is_there()
        if is_first:
            self._fail(LOST)
        for member in list(self._members):
            member.close_connections(seconds)
        if is_first and (is_there or self.logs.database_stamp() != before):
            self._may_be_missed = False
            self._fail(IN_LOG if is_there else IN_DATABASE)
        return self._may_be_missed

    def _allow_folding(self) -> None:
        """The order matters: until SQLite has closed, one of the two locks keeps others from closing last."""
        if self.logs.may_be_folded() and self._locks.hand_over() and self.logs.may_be_folded():
            self.logs.forget()
            self._locks.drop()
            return
        self._locks.keep_log()
        if inode_of(self._path) == self.inode and not self.logs.is_there():
            self._fail(LOST)

    def _fail(self, outcome: str) -> None:
        error = (
            f"{self._path}-wal or -shm was deleted or replaced while it was open: {outcome}; open the store again, "
            "in other programs too"
        )
        for member in list(self._members):
            member.fail(error)


def close(conn: sqlite3.Connection | None) -> None:
    """Close a connection, if there is one."""
    if conn is not None:
        conn.close()


def join(path: str, inode: Inode, member: Member) -> SharedDatabase:
    """The shared state of a database, one object for all engines on it; `opening` is held.

    Raises:
        OSError: the path names another file, or none, or it cannot be opened. sqlite3.OperationalError.
    """
    found = _shared.get(inode)
    if found is None:
        found = _shared[inode] = SharedDatabase(path, inode)
    try:
        found.join(member)
    except BaseException:
        if found.is_unused():
            found.release()
        raise
    return found


def renew() -> None:
    """In a forked child, before anything else: close the parent's locked files without unlocking them."""
    _shared.clear()
