"""Checks that the database, its log and the log's index are still those that were opened.

A write to a file that was deleted or replaced is lost: no other process sees its commits.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import ref

from store.engines.sqlite.engine import shared_database
from store.engines.sqlite.engine.log_files import Inode, LogFiles
from store.engines.sqlite.engine.shared_database import Member, SharedDatabase
from store.engines.sqlite.engine.synced_log import SyncedLog
from store.engines.sqlite.engine.usability import Usability, moved
from store.engines.sqlite.opening import companions
from store.engines.sqlite.opening.network import check_no_log
from store.engines.sqlite.opening.strategy import Strategy
from store.errors import OutcomeUnknown, StorageError
from store.system.file_status import LOOK_AT_LOG, unreachable
from store.system.refusals import advice

NO_WAIT = 0.0  # seconds


class DatabaseFile:
    """One engine's part in its file: joined before a connection is opened, left when it is closed."""

    def __init__(self, path: str, inode: Inode, strategy: Strategy, usability: Usability, member: Member) -> None:
        self.path = path
        self.inode = inode
        self._strategy = strategy
        self._usability = usability
        self._member = ref(member)
        self._shared: SharedDatabase | None = None
        self._logs: LogFiles | None = None  # the opened log files; None: none is open, or the log is not shared

    # -- connections

    def join(self) -> None:
        """Prepare to open a connection; `opening` is held. Raises: StorageError, sqlite3.OperationalError."""
        member = self._member()
        if self._strategy.shares_log and member is not None:
            with _locking(self.path):
                self._shared = shared_database.join(self.path, self.inode, member)
            self._logs = self._shared.logs

    def opened(self) -> None:
        """Record that a connection with a log was opened. Raises: as `join`."""
        if self._shared is not None:
            with _locking(self.path):
                self._shared.opened()

    def log_to_sync(self) -> SyncedLog | None:
        """The log, to be synced after commits; None: SQLite must sync it. `opening` is held."""
        return None if self._logs is None else self._logs.to_sync()

    def leave(self, conn: sqlite3.Connection | None) -> None:
        """Close a connection; None if it could not be opened."""
        if self._shared is not None:
            self._shared.leave(conn)
        elif conn is not None:
            conn.close()

    def forget(self) -> None:
        """In a forked child: forget the parent's part."""
        self._shared = self._logs = None

    # -- checking that the files are in their place

    def check_in_place(self) -> None:
        """Raises: StorageError: the database or its log was deleted or replaced since it was opened."""
        if not self._is_in_place():
            self.lose_log(NO_WAIT)
            raise self._usability.failed()

    def check_log(self) -> None:
        """Check after each commit.

        Raises:
            OutcomeUnknown: the database or its log was deleted or replaced, or cannot be checked. The commit may be
                in a log that no other process reads. But others may have read it before, and SQLite may have folded
                it into the database when this process closed its connections.
        """
        logs = self._logs
        if logs is None or logs.is_undisturbed():
            return
        try:
            if not logs.is_kept():
                self.lose_log(NO_WAIT)
                raise self._usability.failed()
            self._check_database()
        except StorageError as exc:
            raise OutcomeUnknown(
                f"{self.path}: a change was written, but it is unknown whether others see it ({exc}); read the "
                "record before you write it again",
                errno=exc.errno,
                path=self.path,
            ) from exc

    def lose_log(self, seconds: float) -> StorageError | None:
        """Close all connections of this process after the log was replaced, so that it can open the file again.

        Returns the error if commits may be lost with the log.
        """
        may_be_missed = self._shared is not None and self._shared.lose_log(seconds)
        return self._usability.failed() if may_be_missed else None

    def is_usable_at(self, path: str) -> bool:
        """Whether this engine can still use the file, found at `path`."""
        try:
            return not self._usability.failure and self._is_in_place()
        except StorageError:
            return path == self.path  # another engine would have the same problem

    def is_log_lost(self) -> bool:
        """Whether the log was removed while the database is in its place. False if that is unknown."""
        try:
            return not self._is_in_place()
        except StorageError:
            return False

    def unchanged_lately(self) -> int | None:
        """The folder's time of change, if `check_in_place` would have found no problem a moment ago; else None."""
        return None if self._logs is None else self._logs.unchanged_lately()

    def has_new_log(self) -> bool:
        """Whether there is a log beside a database that had none when its connections were opened."""
        return self._logs is not None and not self._logs.is_known() and os.path.lexists(self.path + "-wal")

    def note_folded(self) -> None:
        """Record a checkpoint of our own, which changed the database."""
        if self._logs is not None:
            self._logs.note_folded()

    def has_foreign_log(self) -> bool:
        """Whether another database replaced this one, with our log still beside it."""
        return self._logs is not None and self._logs.is_beside_another(self.inode)

    def _is_in_place(self) -> bool:
        """Whether the log is the opened one, or none is open. Raises: StorageError: the database is not in place."""
        logs = self._logs
        if logs is None:
            self._check_database()
            return True
        if logs.unchanged() is not None:
            return True
        begun = logs.begin()
        self._check_database()
        return logs.check(begun)

    def _check_database(self) -> None:
        try:
            status = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            found = None
        except OSError as exc:
            raise unreachable(self.path, exc) from exc
        else:
            found = (status.st_dev, status.st_ino)
        if found != self.inode:
            raise moved(self.path, "replaced" if found else "deleted")
        if self._strategy.locks_reads:
            check_no_log(self.path)
            companions.check_logs(self.path, writes=True)  # SQLite asks for a journal before each transaction


@contextmanager
def _locking(path: str) -> Iterator[None]:
    """Translates the system's errors about the file, its log and its index in the block. Raises: StorageError."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ESTALE):
            raise moved(path, "deleted" if exc.errno == errno.ENOENT else "replaced") from exc
        raise StorageError(
            f"{path} cannot be locked against the removal of its log: {exc.strerror}; {advice(exc, LOOK_AT_LOG)}",
            errno=exc.errno,
            path=path,
        ) from exc
