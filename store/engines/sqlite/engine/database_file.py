"""Whether the database, its log and the log's index are still those that were opened.

A write to a file that was deleted or replaced goes into the void: nobody else sees what it has committed.
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
from store.engines.sqlite.engine.usability import Usability, moved
from store.engines.sqlite.opening import companions
from store.engines.sqlite.opening.network import check_no_log
from store.engines.sqlite.opening.strategy import Strategy
from store.errors import StorageError
from store.system.file_status import LOOK_AT_LOG, unreachable
from store.system.refusals import advice

NO_WAIT = 0.0  # seconds


class DatabaseFile:
    """What one engine has of its file: joined before a connection is opened, left as it is closed."""

    def __init__(self, path: str, inode: Inode, strategy: Strategy, usability: Usability, member: Member) -> None:
        self.path = path
        self.inode = inode
        self._strategy = strategy
        self._usability = usability
        self._member = ref(member)
        self._shared: SharedDatabase | None = None
        self._logs: LogFiles | None = None  # those that were opened; None: none is open, or nobody shares one

    # -- connections

    def join(self) -> None:
        """Before a connection is opened; `opening` is held. Raises: StorageError, sqlite3.OperationalError."""
        member = self._member()
        if self._strategy.shares_log and member is not None:
            with _locking(self.path):
                self._shared = shared_database.join(self.path, self.inode, member)
            self._logs = self._shared.logs

    def opened(self) -> None:
        """After one with a log was. Raises: as `join`."""
        if self._shared is not None:
            with _locking(self.path):
                self._shared.opened()

    def leave(self, conn: sqlite3.Connection | None) -> None:
        """Close a connection, or none where none could be opened."""
        if self._shared is not None:
            self._shared.leave(conn)
        elif conn is not None:
            conn.close()

    def forget(self) -> None:
        """In a forked child: it is the parent's."""
        self._shared = self._logs = None

    # -- whether all is in its place

    def check_in_place(self) -> None:
        """Raises: StorageError: the path names another file than the one that is open, or none, or the log does."""
        if not self._is_in_place():
            self.lose_log(NO_WAIT)
            raise self._usability.failed()

    def check_log(self) -> None:
        """After each commit. Raises: StorageError: it went into a log that nobody else reads. OutcomeUnknown."""
        logs = self._logs
        if logs is not None and not logs.is_kept():
            self.lose_log(NO_WAIT)
            raise self._usability.failed()

    def lose_log(self, seconds: float) -> StorageError | None:
        """The log is not ours any more: close all connections of this process, so that it can open the file again.

        Returns the error, where commits may be lost with the log.
        """
        may_be_missed = self._shared is not None and self._shared.lose_log(seconds)
        return self._usability.failed() if may_be_missed else None

    def is_usable_at(self, path: str) -> bool:
        """Whether the file, found at `path`, can be used by this engine still."""
        try:
            return not self._usability.failure and self._is_in_place()
        except StorageError:
            return path == self.path  # what ails it will ail another engine too

    def is_log_lost(self) -> bool:
        """Whether the log was taken away, the database being in its place. False where that cannot be told."""
        try:
            return not self._is_in_place()
        except StorageError:
            return False

    def unchanged(self) -> int | None:
        """What the folder is known by, where `check_in_place` would find nothing; else None."""
        return None if self._logs is None else self._logs.unchanged()

    def has_new_log(self) -> bool:
        """Whether there is a log beside a database that had none when its connections were opened."""
        return self._logs is not None and not self._logs.is_known() and os.path.lexists(self.path + "-wal")

    def note_folded(self) -> None:
        """After a checkpoint of our own, which changed the database."""
        if self._logs is not None:
            self._logs.note_folded()

    def has_foreign_log(self) -> bool:
        """Whether another database stands where this one was, and our log beside it."""
        return self._logs is not None and self._logs.is_beside_another(self.inode)

    def _is_in_place(self) -> bool:
        """Whether the log is the one that was opened, or none is open. Raises: StorageError: the database is not."""
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
    """In it, what the system says of the file, its log and its index is an error of ours. Raises: StorageError."""
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
