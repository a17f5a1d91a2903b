"""What all engines of one process share of a database with a write-ahead log: its locks, and which log it is.

An engine joins before SQLite opens the log, and its connections leave as they are closed. Everything here is under
`wal_index.opening`, so that nobody opens a connection while the last one is being closed, nor forks.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakSet, WeakValueDictionary, ref

from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.engine.kept_files import locks_on
from store.engines.sqlite.engine.log_names import Inode, Names, inode_of
from store.engines.sqlite.engine.place import moved
from store.engines.sqlite.errors import busy
from store.errors import StorageError
from store.system.refusals import advice

# What became of what was committed when the log was taken away.
IN_LOG = "what was committed is in the log that is there"
IN_DATABASE = "what was committed before is in the database"
LOST = "what was committed since the last checkpoint may be lost with it"

# Weak: an interrupt may lose an engine on the way, and what it held would be held for good.
_present: WeakValueDictionary[Inode, Presence] = WeakValueDictionary()


class Member(Protocol):
    """An engine, as its presence sees it."""

    def has_any_connection(self) -> bool:
        """Whether one is open, with a log or without."""

    def fail(self, error: str) -> None:
        """From now on only this error comes of it."""

    def close_connections(self, seconds: float) -> None:
        """Close its connections; one that a thread is using is waited for so long, and else is closed after that."""


class Presence:
    """Of one database, by its device and inode; there is one for as long as the process has connections to it."""

    def __init__(self, path: str, inode: Inode) -> None:
        self.names = Names(path)
        self.inode = inode
        self._path = path
        self._locks = locks_on(path, inode)
        self._members: WeakSet[Member] = WeakSet()
        self._owner = os.getpid()
        self._is_lost = False
        self._may_be_missed = True  # what was committed, once it is

    def join(self, member: Member) -> None:
        """Before `member` opens a connection.

        Raises:
            sqlite3.OperationalError: somebody is just closing the log, or still has one here that was removed.
        """
        if self._is_lost or not self._locks.take():
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
        try:
            with wal_index.opening():
                if conn is not None and self.names.is_known() and self.is_unused():
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
        if _present.get(self.inode) is self:
            del _present[self.inode]
            self.names.forget()
            self._locks.release()

    def lose_log(self, seconds: float) -> bool:
        """The log is not the one that was opened: close every connection of this process, which says so from now on.

        One that another thread is using is waited for, so many seconds each. Returns whether something may be lost.
        """
        with wal_index.opening():
            is_first, self._is_lost = not self._is_lost, True
        before, is_there = self.names.database(), self.names.is_log_there()
        if is_first:
            self._fail(LOST)
        for member in list(self._members):
            member.close_connections(seconds)
        if is_first and (is_there or self.names.database() != before):
            self._may_be_missed = False
            self._fail(IN_LOG if is_there else IN_DATABASE)
        return self._may_be_missed

    def _allow_folding(self) -> None:
        """The order matters: until SQLite has closed, one lock or the other keeps everybody else's last close off."""
        if self.names.may_be_folded() and self._locks.hand_over() and self.names.may_be_folded():
            self.names.forget()
            self._locks.drop()
            return
        self._locks.keep_log()
        if inode_of(self._path) == self.inode and not self.names.is_log_there():
            self._fail(LOST)

    def _fail(self, outcome: str) -> None:
        error = (
            f"{self._path}-wal or -shm was deleted or replaced while it was open: {outcome}; open the store again, "
            "in other programs too"
        )
        for member in list(self._members):
            member.fail(error)


class Membership:
    """What one engine has of the presence of its database; without an inode, or a log, there is none."""

    def __init__(self, member: Member, path: str, inode: Inode | None) -> None:
        self._member = ref(member)
        self._path = path
        self._inode = inode
        self._present: Presence | None = None
        self.names: Names | None = None
        """The log, once a connection to the file was opened."""

    def join(self) -> None:
        """Before a connection is opened; `opening` is held. Raises: StorageError, sqlite3.OperationalError."""
        member = self._member()
        if self._inode is not None and member is not None:
            with _reachable(self._path):
                self._present = join(self._path, self._inode, member)
            self.names = self._present.names

    def opened(self) -> None:
        """After one with a log was. Raises: as `join`."""
        if self._present is not None:
            with _reachable(self._path):
                self._present.opened()

    def leave(self, conn: sqlite3.Connection | None) -> None:
        """Close a connection, or none where none could be opened."""
        if self._present is None:
            close(conn)
        else:
            self._present.leave(conn)

    def lose_log(self, seconds: float) -> bool:
        """`Presence.lose_log`."""
        return self._present is not None and self._present.lose_log(seconds)

    def forget(self) -> None:
        """In a forked child: it is the parent's."""
        self._present = self.names = None


def close(conn: sqlite3.Connection | None) -> None:
    """Close what was opened."""
    if conn is not None:
        conn.close()


@contextmanager
def _reachable(path: str) -> Iterator[None]:
    """In it, what the system says of the file, its log and its index is an error of ours. Raises: StorageError."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ESTALE):
            raise moved(path, "deleted" if exc.errno == errno.ENOENT else "replaced") from exc
        raise StorageError(
            f"{path} cannot be locked against the removal of its log: {exc.strerror}; "
            + advice(exc, "see the file system's log and try again"),
            errno=exc.errno,
            path=path,
        ) from exc


def join(path: str, inode: Inode, member: Member) -> Presence:
    """The presence of a database, the same for all; `opening` is held.

    Raises:
        OSError: the path names another file, or none, or it cannot be opened. sqlite3.OperationalError.
    """
    found = _present.get(inode)
    if found is None:
        found = _present[inode] = Presence(path, inode)
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
