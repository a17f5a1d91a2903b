"""What all engines of one process share of a database with a write-ahead log: its locks, and which log it is.

An engine joins before SQLite opens the log, and its connections leave as they are closed. Everything here is under
`wal_index.opening`, so that nobody opens a connection while the last one is being closed, nor forks.
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

# Where the commits are after the log was taken away.
IN_LOG = "what was committed is in the log that is there"
IN_DATABASE = "what was committed before is in the database"
LOST = "what was committed since the last checkpoint may be lost with it"

# Weak: an interrupt may lose an engine on the way, and what it held would be held for good.
_shared: WeakValueDictionary[Inode, SharedDatabase] = WeakValueDictionary()


class Member(Protocol):
    """An engine, as the others see it."""

    def has_any_connection(self) -> bool:
        """Whether one is open, with a log or without."""

    def fail(self, error: str) -> None:
        """From now on only this error comes of it."""

    def close_connections(self, seconds: float) -> None:
        """Close its connections; one that a thread is using is waited for so long, and else is closed after that."""


class SharedDatabase:
    """Of one database, by its device and inode; there is one for as long as the process has connections to it."""

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
        """Before `member` opens a connection.

        Raises:
            sqlite3.OperationalError: somebody is just closing the log, or still has one here that was removed.
        """
        if self._has_lost_log or not self._locks.take():
            raise busy()
        self._members.add(member)

    def opened(self) -> None:
        """After it opened one with a log: nobody takes that away any more. Raises: as `join`."""
        if not self._locks.take_index(self._path) or not self.logs.learn():
            raise busy()

    def is_unused(self) -> bool:
        """Whether no connection is open."""
        return not any(member.has_any_connection() for member in list(self._members))

    def leave(self, conn: sqlite3.Connection | None) -> None:
        """Close a connection, which no thread has any more; the last one folds in the log, if that is ours."""
        if self._owner != os.getpid():  # the locks are the parent's as well
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
        """Nothing is open any more."""
        if _shared.get(self.inode) is self:
            del _shared[self.inode]
            self.logs.forget()
            self._locks.release()

    def lose_log(self, seconds: float) -> bool:
        """The log is not the one that was opened: close every connection of this process, which says so from now on.

        One that another thread is using is waited for, so many seconds each. Returns whether something may be lost.
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
        """The order matters: until SQLite has closed, one lock or the other keeps everybody else's last close off."""
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
    """What is shared of a database, the same for all engines on it; `opening` is held.

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
    """In a forked child, before anything else: what is locked is the parent's, so it is closed and never unlocked."""
    _shared.clear()
