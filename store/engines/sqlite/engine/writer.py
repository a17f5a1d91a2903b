"""The writer of one file in this process: its lock, and the checkpoints that are made under it."""

from __future__ import annotations

import errno
import sqlite3
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from store.engines.reentry import refuse
from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.checkpoints import GARBAGE_AT_ONCE, Checkpoints
from store.engines.sqlite.engine.database_file import DatabaseFile
from store.engines.sqlite.engine.pool import ConnectionPool
from store.engines.sqlite.engine.synced_log import SyncedLog
from store.engines.sqlite.engine.thread_connection import ThreadConnection
from store.engines.sqlite.engine.usability import Usability
from store.errors import OutcomeUnknown, StorageError, StoreError
from store.system.locking import Hold, WriterLock

T = TypeVar("T")


class Writer:
    """The writer of one engine. Safe across threads and processes: only one of them holds the lock."""

    def __init__(
        self,
        lock: WriterLock,
        file: DatabaseFile,
        usability: Usability,
        pool: ConnectionPool,
        checkpoints: Checkpoints,
    ) -> None:
        self._lock = lock
        self._file = file
        self._usability = usability
        self._pool = pool
        self._checkpoints = checkpoints
        self.give = lock.release
        if lock.file is not None:
            lock.file.folder = file.unchanged_lately

    def alone(self, work: Callable[[], T], timeout: float) -> T:
        """Call `work` under the writer's lock, as one operation of this thread.

        Raises:
            InUse: the caller interrupts another operation of this thread, which may hold the lock.
        """
        connection = self._pool.own()
        refuse(connection)
        before = connection.operation
        try:
            connection.operation = sys._getframe()
            return self.holding(connection, work, timeout)
        finally:
            connection.operation = before
            if connection.deferred:
                connection.run_deferred()

    def holding(self, connection: ThreadConnection, work: Callable[[], T], timeout: float) -> T:
        """Call `work` under the writer's lock, inside an operation."""
        hold = Hold()  # not in a frame that a connection refers to: after an interrupt that would keep the lock
        self.take(hold, connection, timeout)
        try:
            return work()
        finally:
            self.give(hold)

    def take(self, hold: Hold, connection: ThreadConnection, timeout: float) -> None:
        """Acquire the lock, and check that the path still names the open file."""
        if self._usability.has_ended:
            self._usability.check()
        lock = self._lock
        lock.acquire(hold, connection.roll_back, timeout)
        try:
            log = connection.log
            if log is not None and log.failed:
                self._mend_first(connection, log, timeout)
            if lock.file is not None and lock.file.seen is not None:  # the folder was looked at just now
                return
            self._file.check_in_place()
        except BaseException:
            self._part_from_log()
            self.give(hold)
            raise

    def sync(self, connection: ThreadConnection, log: SyncedLog, timeout: float) -> None:
        """Wait until the commits of this process are on the disk; the lock is not held.

        Raises:
            OutcomeUnknown: the disk failed. The commits can be read, and a power cut may take them back. Or as
                `DatabaseFile.check_log`, which looks again: the log may be gone, and a file system that has shut down
                may say that it synced a file, but fails when it is asked for its status.
        """
        try:
            log.sync()
        except OSError:
            try:
                self.holding(connection, lambda: _mend(connection, log, timeout), timeout)
            except (OSError, StoreError) as exc:
                raise _unsynced(self._file.path, exc) from exc
        self._file.check_log()

    def committed(self, connection: ThreadConnection) -> None:
        """Checkpoint after a commit if one is due; the lock is still held."""
        if self._checkpoints.is_due():
            self.fold(connection)

    def fold(
        self, connection: ThreadConnection, mode: str | None = None, files: int = GARBAGE_AT_ONCE
    ) -> tuple[int, int]:
        """Checkpoint under the lock, and remove up to `files` dropped files; returns how many, and their bytes."""
        self._file.check_log()
        with connection.guard:
            if connection.conn is None:  # closed by another thread, which folds in the log as well
                return 0, 0
            try:
                return self._checkpoints.run(connection.conn, mode, files)
            finally:
                self._file.note_folded()

    def _mend_first(self, connection: ThreadConnection, log: SyncedLog, timeout: float) -> None:
        """Raises: StorageError: the disk still fails."""
        try:
            _mend(connection, log, timeout)
        except OSError as exc:
            raise StorageError(
                f"{self._file.path}: nothing was written, since the disk failed to store earlier changes ({exc}); "
                "see to the disk and its free space, and try again",
                errno=exc.errno,
                path=self._file.path,
            ) from exc

    def _part_from_log(self) -> None:
        """If the database was replaced, fold the log into the old one, under the lock.

        Otherwise SQLite would read it as the log of the new database.
        """
        if self._file.has_foreign_log():
            for connection in self._pool.all():
                with connection.guard, suppress(sqlite3.Error):
                    if connection.conn is not None and connection.logged:
                        connection.conn.execute(sql.TRUNCATE_LOG).fetchone()
                        return


def _mend(connection: ThreadConnection, log: SyncedLog, timeout: float) -> None:
    """Write the log again, unless another thread has. The lock is held; other SQLite programs are kept out too."""

    def write(begun: sqlite3.Cursor) -> None:
        try:
            log.write_again()
        finally:
            begun.connection.rollback()

    if log.failed:
        connection.run("BEGIN IMMEDIATE", (), write, timeout)


def _unsynced(path: str, exc: OSError | StoreError) -> OutcomeUnknown:
    reason = exc.__cause__ if isinstance(exc.__cause__, OSError) else exc  # not the message for another write
    return OutcomeUnknown(
        f"{path}: a change was written and can be read, but the disk failed to store it ({reason}), so a power cut "
        "may take it back; see to the disk and its free space, and write it again",
        errno=getattr(exc, "errno", None) or errno.EIO,
        path=path,
    )
