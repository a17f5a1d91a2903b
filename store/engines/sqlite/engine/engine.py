"""The engine of one file in one process: it runs statements, and writes under the writer's lock.

Lock order: the writer's lock, then the pool's, then a connection's guard.

One file because reads, writes, close and fork all decide by the same parts, which this class owns and connects.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from weakref import ref

from store.engines.activity import Counters
from store.engines.capabilities import LOOK_SECONDS
from store.engines.named_locks import SUFFIX as NAMED_LOCKS_SUFFIX
from store.engines.named_locks import NamedLocks
from store.engines.reentry import conflict, in_use, is_in_block, refuse
from store.engines.sqlite.engine import wal_index
from store.engines.sqlite.engine.activity_file import ActivityFile
from store.engines.sqlite.engine.checkpoints import Checkpoints
from store.engines.sqlite.engine.coherence import Commit, SqliteCoherence, Touched
from store.engines.sqlite.engine.database_file import DatabaseFile
from store.engines.sqlite.engine.fetching import Fetch, row_count
from store.engines.sqlite.engine.log_files import Inode
from store.engines.sqlite.engine.opener import Opener
from store.engines.sqlite.engine.pool import ConnectionPool
from store.engines.sqlite.engine.thread_connection import ThreadConnection
from store.engines.sqlite.engine.usability import Usability
from store.engines.sqlite.engine.writer import Writer
from store.engines.sqlite.opening.strategy import Opening
from store.engines.sqlite.spill.files import SqliteSpill
from store.engines.transaction import HeldTransaction
from store.errors import StorageError, StoreError
from store.system.clock import steady_clock
from store.system.file_status import size_of
from store.system.locking import Hold, WriterLock

T = TypeVar("T")

CLOSING_SECONDS = 1.0  # for a statement of another thread


def _each(cursor: sqlite3.Cursor, path: str) -> Iterable[Any]:
    """The rows of a cursor as they come."""
    return cursor


class Engine:
    """Runs statements for all `Store`s of this process on one file.

    Safe across threads (a connection for each) and processes. Before a fork `park` closes what is idle;
    in the child `renew` starts anew, and a file that was in a transaction cannot be used there (`Usability`).
    """

    def __init__(self, path: str, inode: Inode, opening: Opening, *, read_only: bool) -> None:
        self.path = path
        self.inode = inode
        self.strategy = opening.strategy
        self._locks_reads = opening.strategy.locks_reads  # asked at each read
        self.read_only = read_only
        self.leases: dict[int, ref[Any]] = {}  # of the handles that have it open
        self.known_sealers: set[bytes] = set()
        self.usability = Usability(path)
        self.file = DatabaseFile(path, inode, self.strategy, self.usability, self)
        self.opener = Opener(opening, self.file, self.usability)
        self.pool = ConnectionPool(path, self.opener.open, self)
        self.connection = self.pool.own
        self.counters = Counters()
        self.activity = ActivityFile(path, self.counters)
        waits = self.counters.waits
        self.writer_lock = WriterLock(path + ".lock" if self._has_lock() else None, waits=waits)
        self.writer_lock.looks = self.activity.look
        self.named_locks = NamedLocks(path + NAMED_LOCKS_SUFFIX, waits)
        self.spill = SqliteSpill(self)
        self.coherence = SqliteCoherence(
            path if self.strategy.shares_log else None,
            self.writer_lock,
            self._has_logged_connection,
            self._look,
            self.counters,
            read_only=read_only,
        )
        self.checkpoints = Checkpoints(path, self.coherence, self.spill)
        self.writer = Writer(self.writer_lock, self.file, self.usability, self.pool, self.checkpoints)

    def _has_lock(self) -> bool:
        """Whether this engine uses a lock file.

        A reader in network mode uses the writers' lock file if it may write it; otherwise only SQLite's own locks
        keep it from reading during a commit. It creates none: writers of another user could not open it.
        """
        if self.read_only:
            return self.strategy.locks_reads and os.access(self.path + ".lock", os.W_OK)
        return True

    @property
    def store_id(self) -> bytes:
        """The id of the store, once a connection was opened."""
        return self.opener.store_id

    @property
    def handles(self) -> int:
        """How many handles have it open."""
        return sum(map(_is_open, self.leases.copy().values()))

    # -- statements

    def read(self, statement: str, params: Sequence[Any], fetch: Fetch[T], now: float, timeout: float) -> T:
        """Run a statement that changes nothing; takes no lock, unless the strategy requires it."""
        if now and not 0 <= now - self.coherence.looked < LOOK_SECONDS:  # 0: the caller has no time
            self._look(now)
        connection = self.connection()
        if (connection.operation is not None or connection.transaction is not None) and (
            problem := conflict(connection)
        ):
            return self._read_apart(connection, problem, statement, params, fetch, timeout)
        before = connection.operation
        try:
            connection.operation = sys._getframe()
            inside = connection.transaction is not None and connection.live_transaction() is not None
            if self._locks_reads and not inside:
                return self.exclusively(connection, statement, params, fetch, timeout)
            return connection.run(statement, params, fetch, timeout)
        finally:
            connection.operation = before
            if connection.deferred:
                connection.run_deferred()

    def read_together(
        self,
        statements: Sequence[tuple[str, Sequence[Any]]],
        now: float,
        timeout: float,
        walk: Callable[[sqlite3.Cursor, str], Iterable[Any]] = _each,
    ) -> list[Any]:
        """All rows of several statements, as of one moment; `walk` reads them from each cursor."""
        connection = self.connection()
        inside = connection.current() is not None or (conflict(connection) is not None and is_in_block(connection))

        def run(conn: sqlite3.Connection, text: str, values: Sequence[Any]) -> sqlite3.Cursor:
            connection.budget.begin()
            return conn.execute(text, values)

        def fetch(cursor: sqlite3.Cursor) -> list[Any]:
            conn = cursor.connection
            try:
                return [row for text, values in statements for row in walk(run(conn, text, values), self.path)]
            finally:
                if not inside:
                    conn.rollback()

        return self.read("SELECT 1" if inside else "BEGIN", (), fetch, now, timeout)

    def write(
        self, statement: str, params: Sequence[Any], touched: Touched, size: int, timeout: float
    ) -> tuple[int, Commit | None]:
        """Run a statement that changes about `size` bytes, in the open transaction or in a new one.

        Returns how many rows it changed, and the commit, as `put` does.
        """
        connection = self.connection()
        if (connection.operation is not None or connection.transaction is not None) and (
            problem := conflict(connection)
        ):
            return self._write_apart(connection, problem, statement, params, touched, size, timeout)
        outer = connection.operation
        try:
            connection.operation = sys._getframe()
            if connection.transaction is None or not connection.is_plainly_inside():
                if connection.live_transaction() is None:
                    return self._write_alone(connection, statement, params, touched, size, timeout)
                connection.check_open(is_inside=True)  # otherwise the statement would be its own transaction
            assert connection.work is not None
            connection.work.touch(touched)
            self.checkpoints.wrote(1, size)
            changed = connection.run(statement, params, row_count, timeout)
            if touched != ():  # else it is a statement about no record
                self.counters.writes += changed
            return changed, connection.work.commit
        finally:
            connection.operation = outer
            if connection.deferred:
                connection.run_deferred()

    def _write_alone(
        self,
        connection: ThreadConnection,
        statement: str,
        params: Sequence[Any],
        touched: Touched,
        size: int,
        timeout: float,
    ) -> tuple[int, Commit | None]:
        """Like `write`, outside of transactions."""
        hold = Hold()
        self.writer.take(hold, connection, timeout)
        try:
            commit = self.coherence.begin(touched)
            if commit is not None:
                self.coherence.announce(commit)
            fetch = connection.count_and_note if self.opener.durability == "full" else row_count
            changed = connection.run(statement, params, fetch, timeout)
            self.file.check_log()
            if commit is not None and not self.coherence.end(commit, changed=changed > 0):
                commit = None
            if self.checkpoints.wrote(1, size):
                self.writer.committed(connection)
        finally:
            self.writer.give(hold)
        if touched != ():  # else it is a statement about no record
            self.counters.writes += changed
        if connection.unsynced is not None:
            connection.settle(timeout)
        return changed, commit

    def write_many(self, statement: str, rows: Sequence[Sequence[Any]], touched: Touched, size: int) -> int:
        """Run a statement for each row, in the open transaction; returns how many rows changed."""
        connection = self.connection()
        refuse(connection)
        before = connection.operation
        try:
            connection.operation = sys._getframe()
            connection.check_open(is_inside=True)
            assert connection.work is not None
            connection.work.touch(touched)
            changed = connection.run_many(statement, rows)
            if touched != ():
                self.counters.writes += changed
            self.checkpoints.wrote(len(rows), size)
            return changed
        finally:
            connection.operation = before

    def open_commit(self) -> Commit | None:
        """The commit of this thread's open transaction, still to come; None: changes are unknown."""
        work = self.connection().work
        return None if work is None else work.commit

    def exclusively(
        self, connection: ThreadConnection, statement: str, params: Sequence[Any], fetch: Fetch[T], timeout: float
    ) -> T:
        """Run a statement under the writer's lock, which this thread may already hold."""
        if self.writer_lock.is_mine():
            return connection.run(statement, params, fetch, timeout)
        return self.writer.holding(connection, lambda: connection.run(statement, params, fetch, timeout), timeout)

    # -- callers that may not use their thread's connection now: signal handlers, finalizers, other tasks

    def _read_apart(
        self,
        connection: ThreadConnection,
        problem: str,
        statement: str,
        params: Sequence[Any],
        fetch: Fetch[T],
        timeout: float,
    ) -> T:
        """Read on another connection, which sees committed rows. Raises: InUse: the strategy allows no other one.

        If the program is in a transaction block of its own, the caller reads in that block.
        """
        if is_in_block(connection):
            return connection.run(statement, params, fetch, timeout)
        if self.strategy.locks_reads:
            raise in_use(connection, problem)
        extra = self.pool.open_extra()
        try:
            return extra.run(statement, params, fetch, timeout)
        finally:
            self.pool.close_extra(extra)

    def _write_apart(
        self,
        connection: ThreadConnection,
        problem: str,
        statement: str,
        params: Sequence[Any],
        touched: Touched,
        size: int,
        timeout: float,
    ) -> tuple[int, Commit | None]:
        """Write on another connection. Raises: InUse: this thread holds the lock, or as `_read_apart`."""
        if self.strategy.locks_reads or self.writer_lock.is_mine():
            raise in_use(connection, problem)
        extra = self.pool.open_extra()
        try:
            return self._write_alone(extra, statement, params, touched, size, timeout)
        finally:
            self.pool.close_extra(extra)

    def transaction(self, timeout: float, *, block: bool = False) -> HeldTransaction:
        """A transaction for the caller to enter; `block`: it is a block of the program."""
        return HeldTransaction(self.connection(), timeout, block=block)

    # -- the file

    def _look(self, now: float) -> None:
        self.file.check_in_place()
        if self.file.has_new_log():  # connections that were opened without a log would not keep it in its place
            self.pool.reopen()
        self.coherence.looked = now
        self.activity.look(steady_clock())

    def file_bytes(self) -> int:
        """The size of the database. Raises: StorageError."""
        return size_of(self.path)

    def identity(self, timeout: float) -> bytes:
        """The id of the store."""
        if not self.opener.store_id:
            self.read("SELECT 1", (), row_count, 0.0, timeout)  # opens a connection, which reads it
        return self.opener.store_id

    def sync_fully(self) -> None:
        """Make commits on every connection wait for the disk from now on (`durability="full"`)."""
        if self.opener.durability != "full":
            self.opener.durability = "full"
            self.pool.reopen()

    def is_stale(self, path: str) -> bool:
        """Whether the file at `path` needs a new engine; then closes the connections of this one."""
        if self.file.is_usable_at(path):
            return False
        self.file.lose_log(CLOSING_SECONDS)
        return True

    def close(self) -> None:
        """Close all connections; a transaction that is open on one is rolled back.

        Raises:
            StorageError: the log was removed, with acknowledged writes. Everything is closed nevertheless.
        """
        if self.file.has_foreign_log():
            with suppress(StoreError):  # which it raises because the database was replaced
                self.writer.take(Hold(), self.connection(), 0.0)
        failure = self._lost_log()
        self.activity.add()
        self.usability.close()
        self.pool.close()
        wal_index.release_unused()
        self.opener.close()
        self.spill.forget()
        self.writer_lock.close()
        if failure is not None:
            raise failure

    def _lost_log(self) -> StorageError | None:
        """The error for acknowledged commits that were lost with the log, unless it was raised before."""
        usability = self.usability
        is_reported = usability.is_forked or usability.is_closed or usability.failure
        if self.read_only or is_reported or not self.checkpoints.has_unfolded() or not self.file.is_log_lost():
            return None
        return self.file.lose_log(CLOSING_SECONDS)

    # -- for the other engines on the file: `shared_database.Member`

    def has_any_connection(self) -> bool:
        """Whether a connection is open, with a log or without."""
        return self.pool.has_open()

    def fail(self, error: str) -> None:
        """Make every use raise this error from now on."""
        self.usability.fail(error)

    def close_connections(self, seconds: float) -> None:
        """Close all connections, waiting for so long; one in a longer statement is closed after it."""
        self.pool.close_within(seconds)

    def _has_logged_connection(self) -> bool:
        return self.pool.has_open(logged=True)

    def disconnect(self, conn: sqlite3.Connection) -> None:
        """Close a connection; closing the last one empties the caches."""
        if not self._has_logged_connection():
            self.coherence.drop()
        self.file.leave(conn)

    # -- fork

    def renew(self) -> list[sqlite3.Connection]:
        """In a forked child: start anew. Returns the connections that were in use, which must stay referenced."""
        in_use = self.pool.renew()
        self.file.forget()
        if in_use:
            self.usability.fork()
        self.named_locks.forget()
        self.activity.renew()
        self.coherence.renew()
        self.spill.renew()
        return [connection.conn for connection in in_use if connection.conn is not None]


def _is_open(reference: ref[Any]) -> bool:
    lease = reference()
    return lease is not None and getattr(lease, "is_open", False)
