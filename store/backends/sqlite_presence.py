"""What all engines of one process share of a database with a write-ahead log: its locks, and which log it is.

An engine joins before SQLite opens the log, and its connections leave as they are closed. Everything here is under
`wal_index.opening`, so that nobody opens a connection while the last one is being closed, nor forks.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakSet

from store.backends import wal_index
from store.backends.kept_files import locks_on
from store.backends.log_names import Inode, Names, inode_of
from store.backends.sqlite_errors import busy
from store.errors import StorageError

# What became of what was committed when the log was taken away.
IN_LOG = "what was committed is in the log that is there"
IN_DATABASE = "what was committed before is in the database"
LOST = "what was committed since the last checkpoint may be lost with it"

_present: dict[Inode, Presence] = {}


class Member(Protocol):
    """An engine, as its presence sees it."""

    def has_any_connection(self) -> bool:
        """Whether one is open, with a log or without."""

    def fail(self, error: str) -> None:
        """From now on only this error comes of it."""

    def close_for_good(self, error: str, seconds: float) -> bool:
        """The same, and its connections are closed; whether that was done within `seconds` each."""


class Presence:
    """Of one database, by its device and inode; there is one for as long as the process has connections to it."""

    def __init__(self, path: str) -> None:
        self.names = Names(path)
        self._path = path
        self._locks = locks_on(path)
        self._members: WeakSet[Member] = WeakSet()
        self._owner = os.getpid()

    @property
    def inode(self) -> Inode:
        return self._locks.inode

    def join(self, member: Member) -> None:
        """Before `member` opens a connection. Raises: sqlite3.OperationalError: somebody is just closing the log."""
        if not self._locks.take():
            raise busy()
        self._members.add(member)

    def opened(self) -> None:
        """After it opened one with a log: nobody takes that away any more. Raises: as `join`."""
        if not self._locks.take_index(self._path) or not self.names.learn():
            raise busy()

    def is_unused(self) -> bool:
        """Whether no connection is open."""
        return not any(member.has_any_connection() for member in list(self._members))

    def leave(self, conn: sqlite3.Connection | None) -> None:
        """Close a connection, which no slot has any more; the last one folds in the log, if that is ours."""
        if self._owner != os.getpid():  # the locks are the parent's as well
            close(conn)
            return
        with wal_index.opening():
            if conn is not None and self.names.is_known() and self.is_unused():
                self._allow_folding(conn)
        try:
            close(conn)
        finally:
            with wal_index.opening():
                if self.is_unused():
                    self.release()

    def release(self) -> None:
        """Nothing is open any more."""
        if _present.get(self.inode) is self:
            del _present[self.inode]
            self.names.forget()
            self._locks.release()

    def lose_log(self, seconds: float) -> bool:
        """The log is not the one that was opened: close every connection of this process, which says so from now on.

        One that another thread is using is waited for, so many seconds each. Returns whether something may be lost.
        """
        before, is_there = self.names.database(), self.names.is_log_there()
        for member in list(self._members):
            member.close_for_good(self._error(LOST), seconds)
        if not is_there and self.names.database() == before:
            return True
        for member in list(self._members):
            member.fail(self._error(IN_LOG if is_there else IN_DATABASE))
        return False

    def _allow_folding(self, conn: sqlite3.Connection) -> None:
        """The order matters: until SQLite has closed, one lock or the other keeps everybody else's last close off."""
        if self.names.may_be_folded() and self._locks.hand_over() and self.names.may_be_folded():
            self._locks.drop()
            return
        self._locks.keep_log(conn)
        if inode_of(self._path) == self.inode and not self.names.is_log_there():
            for member in list(self._members):
                member.fail(self._error(LOST))

    def _error(self, outcome: str) -> str:
        return (
            f"{self._path}-wal or -shm was deleted or replaced while it was open: {outcome}; open the store again, "
            "in other programs too"
        )


def close(conn: sqlite3.Connection | None) -> None:
    """Close what was opened."""
    if conn is not None:
        conn.close()


@contextmanager
def reachable(path: str) -> Iterator[None]:
    """In it, what the system says of the file, its log and its index is an error of ours. Raises: StorageError."""
    try:
        yield
    except OSError as exc:
        raise StorageError(
            f"{path} cannot be locked against the removal of its log: {exc.strerror}; see the limits of the process "
            "and the file system's log, and try again",
            errno=exc.errno,
            path=path,
        ) from exc


def join(path: str, inode: Inode, member: Member) -> Presence:
    """The presence of a database, the same for all; `opening` is held. Raises: OSError, sqlite3.OperationalError."""
    found = _present.get(inode)
    if found is None:
        found = Presence(path)
        _present[found.inode] = found  # another file may have come to its place, and is not opened
    try:
        found.join(member)
    except BaseException:
        if found.is_unused():
            found.release()
        raise
    return found


def renew() -> None:
    """In a forked child, before anything else: what is locked is the parent's, so it is closed and never unlocked."""
    _present.clear()
