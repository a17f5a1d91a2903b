"""The connection of one thread or greenlet, and the operation and the transaction that it is in.

One file because statements, transactions, interrupts and forks all check and change the state of one connection.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol, TypeVar
from weakref import ref

from store.engines.reentry import Later, conflict
from store.engines.sqlite.engine.coherence import Commit, SqliteCoherence, Touched
from store.engines.sqlite.engine.database_file import DatabaseFile
from store.engines.sqlite.engine.fetching import Fetch, row_count, text_or_bytes
from store.engines.sqlite.engine.synced_log import SyncedLog
from store.engines.sqlite.engine.usability import Usability
from store.engines.sqlite.errors import (
    RETRY_SECONDS,
    SQLITE_ERRORS,
    SqliteError,
    is_interrupted,
    is_of_text,
    is_read_only,
    translate,
    wait,
)
from store.engines.sqlite.statements import CHANGES_NOTHING
from store.engines.transaction import HeldTransaction
from store.errors import StoreError
from store.system import running
from store.system.clock import steady_clock
from store.system.locking import Hold
from store.system.step_budget import Budget

T = TypeVar("T")


class Lock(Protocol):
    """The writer's lock, as a transaction uses it; see `Writer`."""

    def take(self, hold: Hold, connection: ThreadConnection, timeout: float) -> None: ...

    def give(self, hold: Hold) -> None: ...

    def committed(self, connection: ThreadConnection) -> None: ...

    def sync(self, connection: ThreadConnection, log: SyncedLog, timeout: float) -> None: ...


class Host(Protocol):
    """The engine, as its connections use it."""

    usability: Usability
    file: DatabaseFile
    coherence: SqliteCoherence

    @property
    def writer(self) -> Lock: ...

    def disconnect(self, conn: sqlite3.Connection) -> None:
        """Close a connection."""


class Work:
    """The changes in the open transaction, including those nested in it."""

    __slots__ = ("anything", "changes", "commit", "depth", "timeout", "touched")

    def __init__(self, coherence: SqliteCoherence, changes: int, timeout: float) -> None:
        self.touched: list[tuple[str, str]] = []  # including names in nested transactions that were rolled back
        self.commit: Commit | None = coherence.begin(self.touched)
        self.changes = changes  # rows that the connection had changed before the transaction
        self.timeout = timeout
        self.depth = 0  # of savepoints
        self.anything = False

    def touch(self, touched: Touched) -> None:
        """Remember the names that a statement may have changed."""
        if touched is None:
            self.anything = True
        else:
            self.touched += touched


class ThreadConnection:
    """A connection, opened on first use and closed before a fork. The contract `Place` of transactions.

    `guard` is held during each statement, only by `with`, so that an interrupt cannot leave it locked and a fork
    recognises an idle connection.
    """

    __slots__ = (
        "budget", "conn", "connect", "deferred", "guard", "host", "is_outdated", "is_parked", "life", "log", "logged",
        "operation", "outermost", "owner", "path", "running", "transaction", "unsynced", "work", "writes",
    )  # fmt: skip

    def __init__(self, path: str, connect: Callable[[ThreadConnection], sqlite3.Connection], host: Host) -> None:
        self.path = path
        self.budget = Budget(path)
        self.connect = connect
        self.host = host
        self.guard = threading.RLock()
        self.life: running.Life | None = None  # of the thread or greenlet that owns it; None: no owner
        self.operation: FrameType | None = None
        """The frame of the innermost engine operation that its owner is in."""
        self.deferred: list[Later] = []  # work of finalizers, to be done after the operation
        self.conn: sqlite3.Connection | None = None
        self.logged = False  # whether the connection has the write-ahead log open, until it is closed
        self.log: SyncedLog | None = None  # to be synced after commits; None: SQLite does so, if required
        self.unsynced: SyncedLog | None = None  # with a commit of this connection that `settle` syncs
        self.running = False
        self.writes = False  # whether the connection is known to be able to write
        self.is_outdated = False  # to be opened again with other settings
        self.is_parked = False  # closed for a fork, with its guard held
        self.owner = running.ident()  # the thread of `transaction`
        self.transaction: ref[HeldTransaction] | None = None
        self.outermost: ref[HeldTransaction] | None = None
        self.work: Work | None = None

    # -- statements

    def run(self, sql: str, params: Sequence[Any], fetch: Fetch[T], timeout: float) -> T:
        """The result of `fetch` on the statement's cursor; waits while another program holds SQLite's lock.

        Raises:
            StoreError: SQLite's error, translated.
        """
        deadline, is_again, budget = None, False, self.budget
        while True:
            try:
                with self.guard:
                    conn = self.conn
                    if conn is None or self.is_outdated or (self.transaction is None and conn.in_transaction):
                        conn = self.ready()
                    self.running = True
                    if len(budget.ends) <= budget.calls:
                        budget.begin()
                    try:
                        cursor = conn.execute(sql, params)
                        try:
                            return fetch(cursor)
                        except BaseException:
                            # The traceback may keep the cursor: its statement would keep the connection in an old
                            # snapshot.
                            cursor.close()
                            raise
                        finally:
                            # Still under the guard: if it is closed with an unfinished statement, SQLite keeps the
                            # files open (https://www.sqlite.org/c3ref/close.html), and a fork would inherit them.
                            del cursor
                    finally:
                        self.running = False
            except SQLITE_ERRORS as exc:
                if self._has_grown(exc):
                    continue
                if self._can_write_again(exc) and not is_again:
                    is_again = True
                    continue
                if self._reads_any_text(exc, sql):
                    continue
                deadline = wait(exc, self.path, deadline, timeout)

    def count_and_note(self, cursor: sqlite3.Cursor) -> int:
        """How many rows a statement outside of transactions changed; notes the log to sync as `_note_commit`."""
        changed = cursor.rowcount
        self.unsynced = self.log if changed else None
        return changed

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement for each row, inside a transaction; returns how many rows changed."""
        try:
            with self.guard:
                conn = self.ready()
                self.budget.begin(len(rows))
                return conn.executemany(sql, rows).rowcount
        except SQLITE_ERRORS as exc:
            self._can_write_again(exc)
            raise translate(exc, self.path) from exc

    def _check_writes(self, begun: sqlite3.Cursor) -> None:
        """Check that it can write: on a read-only connection BEGIN IMMEDIATE succeeds, and the first write fails."""
        if not self.writes:
            begun.connection.execute(CHANGES_NOTHING)
            self.writes = True

    def _reads_any_text(self, error: SqliteError, sql: str) -> bool:
        """Whether to retry the statement, with text that is not UTF-8 returned as bytes.

        A person who can write the file can plant a row of such text, which must not block the others. It is not the
        default because each text column then costs a call.
        """
        conn = self.conn
        if conn is None or conn.text_factory is not str or not is_of_text(error):
            return False
        conn.text_factory = text_or_bytes
        return sql.startswith(("SELECT", "BEGIN", "WITH", "\nWITH"))

    def _has_grown(self, error: SqliteError) -> bool:
        """Whether a statement used up its budget because the database has grown since the budget was made.

        A statement that writes is not repeated in a transaction: SQLite has rolled that back.
        """
        if not is_interrupted(error) or not self.budget.grow():
            return False
        return self.transaction is None or (self.conn is not None and self.conn.in_transaction)

    def _can_write_again(self, error: SqliteError) -> bool:
        """Whether to retry on a new connection because this one turned out to be read-only.

        SQLite falls back to reading if it cannot open the file for writing, even for a moment, and does not try again
        (unixOpen, unixOpenSharedMemory in its os_unix.c). The next statement outside a transaction opens it again.
        """
        if not is_read_only(error):
            return False
        self.is_outdated = True
        return self.transaction is None

    # -- opening and closing

    def ready(self) -> sqlite3.Connection:
        """The connection, opened if necessary, without a transaction that an interrupt left. Under the guard."""
        conn = self.conn
        if conn is not None and self.transaction is None and (conn.in_transaction or self.is_outdated):
            conn.rollback()
            if self.is_outdated:
                self.close()
                self.is_outdated = False
                conn = None
        if conn is None:
            self.writes = False
            conn = self.conn = self.connect(self)
            self.budget.watch(conn)
        return conn

    def close(self) -> None:
        """Close the connection; the next use opens one again."""
        with self.guard:
            conn, self.conn = self.conn, None  # first, so that one of two closing threads sees that it is the last
            self.log = None
            if conn is not None:
                self.host.disconnect(conn)

    def close_for_good(self, connect: Callable[[ThreadConnection], sqlite3.Connection]) -> None:
        """Close the connection; the next use calls `connect`, which raises."""
        with self.guard:
            self.close()
            self.connect = connect

    def close_within(self, seconds: float, *, if_idle: bool) -> None:
        """Close it, waiting for so long for a running statement; `if_idle`: only outside of transactions.

        A connection that cannot be closed now is closed before its next statement, unless `if_idle`.
        """
        if self.guard.acquire(timeout=seconds):
            with self.guard:
                if not if_idle or self.is_idle():
                    self.close()
            self.guard.release()
        elif not if_idle:
            self.is_outdated = True

    def inherit(self, other: ThreadConnection) -> None:
        """Take over the connection of a thread that has ended, if this one is not open."""
        other.roll_back()
        with other.guard, self.guard:
            if self.conn is None and other.conn is not None and not other.is_outdated:
                self.logged, self.log, self.writes = other.logged, other.log, other.writes
                # In this order: a process without a connection, even for a moment, would release the index. And in
                # one statement: a signal handler between two would find the connection in both, and close it.
                self.conn, other.conn = other.conn, None

    def is_orphaned(self) -> bool:
        """Whether the thread or greenlet that it belongs to has ended."""
        return self.life is not None and self.life.is_over()

    def is_idle(self) -> bool:
        """Whether the connection is neither in a statement nor in a transaction. Under the guard."""
        return not self.running and not (self.conn is not None and self.conn.in_transaction)

    # -- its transaction

    def current(self) -> HeldTransaction | None:
        """The transaction that the caller is in; one that an interrupt ended is rolled back.

        None in a signal handler or a finalizer that interrupts an operation of this thread, and in another task.
        """
        return None if self.transaction is None or conflict(self) is not None else self.live_transaction()

    def own_transaction(self) -> HeldTransaction | None:
        """The transaction that its owner began, also one that an interrupt ended."""
        transaction = self.transaction  # read once: a finalizer may end it between two looks
        return None if transaction is None else transaction()

    def live_transaction(self) -> HeldTransaction | None:
        """Like `current`, for an operation that has already checked that it interrupts no other one.

        If an interrupt left an inner block and was caught in the outer one, this is the outer transaction, which has
        ended as well: its next write raises an error.
        """
        reference = self.transaction  # read once, as above
        if reference is None:
            return None
        transaction = reference()
        if transaction is not None and not transaction.was_left():
            return transaction
        self.roll_back()
        reference = self.outermost
        outermost = None if reference is None else reference()
        if outermost is None or outermost.was_left():
            return None
        self.transaction = reference
        return outermost

    def is_plainly_inside(self) -> bool:
        """Whether the transaction is open, by a quick look; False: `live_transaction` and `check_open` find out.

        A set in a block asks this first, because these two take a twentieth of its time.
        """
        reference, conn = self.transaction, self.conn
        transaction = None if reference is None else reference()
        if transaction is None or conn is None or not transaction.is_untouched():
            return False
        try:
            return conn.in_transaction and not self.host.usability.has_ended
        except sqlite3.ProgrammingError:  # another thread closes the store
            return False

    def roll_back(self) -> None:
        """Roll back the open transaction; never raises: a connection that cannot roll back is closed."""
        if self.host.usability.is_forked:  # the transaction belongs to the parent
            self.transaction = None
            return
        with self.guard:
            self.transaction = None
            if self.conn is not None and self.conn.in_transaction:
                try:
                    self.conn.rollback()
                except sqlite3.Error:
                    self.close()

    def run_deferred(self) -> None:
        """Run the deferred work of finalizers, unless its owner is still inside an operation of the library."""
        transaction = self.own_transaction()
        if self.operation is None and (transaction is None or transaction.is_program_own()):
            while self.deferred:
                self.deferred.pop()

    # -- the contract `Place` of `store.engines.transaction`

    def begin(self, hold: Hold, timeout: float) -> None:
        """Acquire the writer's lock for `hold`, and begin.

        IMMEDIATE, because a deferred transaction that reads first fails at its first write.
        """
        self.host.writer.take(hold, self, timeout)
        self.owner = hold.thread
        self.run("BEGIN IMMEDIATE", (), self._check_writes, timeout)
        self.work = Work(self.host.coherence, self._changes(), timeout)

    def commit(self, hold: Hold) -> None:
        """Raises: StoreError: nothing was committed, or only to a log that no other process reads."""
        work, host = self.work, self.host
        assert work is not None
        host.file.check_in_place()  # the transaction may have begun long ago
        commit = work.commit if self._changes() != work.changes else None
        if commit is not None:
            commit.touched = None if work.anything else work.touched
            host.coherence.announce(commit)
        self.run("COMMIT", (), self._note_commit, work.timeout)
        host.file.check_log()
        if commit is not None:
            host.coherence.end(commit, changed=True)

    def committed(self) -> None:
        """Run a checkpoint after the commit if one is due; the writer's lock is still held."""
        self.host.writer.committed(self)

    def give(self, hold: Hold) -> None:
        """Release the writer's lock; does nothing if `hold` does not have it."""
        self.host.writer.give(hold)

    def settle(self, timeout: float) -> None:
        """Wait until the commit is on the disk, if the durability requires it. Raises: OutcomeUnknown."""
        log, self.unsynced = self.unsynced, None
        if log is not None:
            self.host.writer.sync(self, log, timeout)

    def _note_commit(self, cursor: sqlite3.Cursor) -> None:
        """Note the log to sync. Under the guard, since another thread may close the connection after it."""
        assert self.work is not None
        self.unsynced = None if cursor.connection.total_changes == self.work.changes else self.log

    def savepoint(self, transaction: HeldTransaction) -> int:
        """Begin a savepoint; returns its depth."""
        assert self.work is not None
        depth = self.work.depth + 1
        self._execute(f"SAVEPOINT nested_{depth}")
        self.work.depth = depth
        return depth

    def release(self, savepoint: int) -> None:
        """Keep the changes since the savepoint, as part of the enclosing transaction."""
        self._execute(f"RELEASE nested_{savepoint}")
        assert self.work is not None
        self.work.depth = savepoint - 1

    def roll_back_to(self, savepoint: int) -> None:
        """Undo all changes since the savepoint."""
        assert self.work is not None
        if self._is_in_transaction():  # an error such as a full disk may have ended the whole transaction
            self._execute(f"ROLLBACK TO nested_{savepoint}")
            self._execute(f"RELEASE nested_{savepoint}")
        self.work.depth = savepoint - 1
        self.work.anything = True  # the count of changed rows includes those that were rolled back

    def check_open(self, *, is_inside: bool) -> None:
        """Raises: StoreError: the store is closed, or the transaction has ended already."""
        self.host.usability.check()
        if is_inside and not self._is_in_transaction():
            self.host.usability.check()  # another thread may have closed the store just now
            raise StoreError(
                f"{self.path}: the transaction had ended before its block did (a failed write or "
                "an interrupt rolled it back); nothing of it was kept, run it again"
            )

    def _is_in_transaction(self) -> bool:
        conn = self.conn
        try:
            return not self.host.usability.is_forked and conn is not None and conn.in_transaction
        except sqlite3.ProgrammingError:  # another thread closes the store
            return False

    def _changes(self) -> int:
        conn = self.conn
        try:
            return 0 if conn is None else conn.total_changes
        except sqlite3.ProgrammingError:  # another thread closes the store
            return 0

    def _execute(self, sql: str) -> None:
        assert self.work is not None
        self.run(sql, (), row_count, self.work.timeout)

    # -- fork

    def park(self, deadline: float) -> None:
        """Before a fork: wait until the connection is idle, close it, and keep it from opening.

        Statements of other threads end soon, and so do most transactions; a transaction of the caller does not.
        """
        mine = self.owner == running.ident()
        if mine and conflict(self) is None and self.live_transaction() is None:
            self.roll_back()  # a transaction that an interrupt left
        while self.guard.acquire(timeout=max(0.0, deadline - steady_clock())):
            if self.is_idle():
                self.close()
                self.is_parked = True
                return
            if mine or steady_clock() >= deadline:
                return
            self.guard.release()
            time.sleep(RETRY_SECONDS)

    def unpark(self) -> None:
        """After a fork, in the parent."""
        self.is_parked = False
        with suppress(RuntimeError):  # `park` did not get the guard
            self.guard.release()
