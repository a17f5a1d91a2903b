"""The connection of one thread or greenlet, and the operation and the transaction that it is in.

One file, though a long one: what a statement checks, and what an interrupt or a fork leaves, is the same state.
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
from store.engines.sqlite.engine.coherence import SqliteCoherence, Touched
from store.engines.sqlite.engine.database_file import DatabaseFile
from store.engines.sqlite.engine.fetching import Fetch, row_count, text_or_bytes
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
    """What has been done in the open transaction: one for all that are nested in it."""

    __slots__ = ("anything", "changes", "depth", "header", "timeout", "touched")

    def __init__(self, header: bytes | None, changes: int, timeout: float) -> None:
        self.header = header  # that of the index before it
        self.changes = changes  # rows that the connection had changed before it
        self.timeout = timeout
        self.depth = 0  # of savepoints
        self.touched: list[tuple[str, str]] = []  # in what is rolled back inside it as well
        self.anything = False

    def touch(self, touched: Touched) -> None:
        """Remember what a statement may have changed."""
        if touched is None:
            self.anything = True
        else:
            self.touched += touched


class ThreadConnection:
    """A connection, opened on first use and closed before a fork. The contract `Place` of transactions.

    `guard` is held during each statement, by `with` alone, so that an interrupt cannot leave it locked and
    a fork can tell an idle connection from one in use.
    """

    __slots__ = (
        "budget", "conn", "connect", "deferred", "guard", "host", "is_outdated", "is_parked", "life", "logged",
        "operation", "outermost", "owner", "path", "running", "transaction", "work", "writes",
    )  # fmt: skip

    def __init__(self, path: str, connect: Callable[[ThreadConnection], sqlite3.Connection], host: Host) -> None:
        self.path = path
        self.budget = Budget(path)
        self.connect = connect
        self.host = host
        self.guard = threading.RLock()
        self.life: running.Life | None = None  # of the thread or greenlet that has it; None: it outlives any
        self.operation: FrameType | None = None
        """The frame of the innermost operation of the engine's that its owner is in."""
        self.deferred: list[Later] = []  # what finalizers left to be done after the operation
        self.conn: sqlite3.Connection | None = None
        self.logged = False  # whether the connection has the write-ahead log open; then it has until it is closed
        self.running = False
        self.writes = False  # whether the connection is known to be one that can
        self.is_outdated = False  # to be opened again with other settings
        self.is_parked = False  # closed, and its guard kept, for a fork
        self.owner = running.ident()  # whose `transaction` is
        self.transaction: ref[HeldTransaction] | None = None
        self.outermost: ref[HeldTransaction] | None = None
        self.work: Work | None = None

    # -- statements

    def run(self, sql: str, params: Sequence[Any], fetch: Fetch[T], timeout: float) -> T:
        """What `fetch` makes of the statement's cursor; waits while another program holds SQLite's lock.

        Raises:
            StoreError: what SQLite raised, translated.
        """
        deadline = None
        is_again = False
        while True:
            try:
                with self.guard:
                    conn = self.conn
                    if conn is None or self.is_outdated or (self.transaction is None and conn.in_transaction):
                        conn = self.ready()
                    self.running = True
                    self.budget.begin()
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
                            # Under the guard still: closed with a statement that is not at its end, SQLite keeps the
                            # files open (https://www.sqlite.org/c3ref/close.html), and a fork would hand them down.
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

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """One statement for each row, inside a transaction; how many rows that changed."""
        try:
            with self.guard:
                conn = self.ready()
                self.budget.begin(len(rows))
                return conn.executemany(sql, rows).rowcount
        except SQLITE_ERRORS as exc:
            self._can_write_again(exc)
            raise translate(exc, self.path) from exc

    def _check_writes(self, begun: sqlite3.Cursor) -> None:
        """On a connection for reading only BEGIN IMMEDIATE begins to read, and the first write would fail."""
        if not self.writes:
            begun.connection.execute(CHANGES_NOTHING)
            self.writes = True

    def _reads_any_text(self, error: SqliteError, sql: str) -> bool:
        """Whether the statement is worth another attempt: now text that is not UTF-8 comes as bytes.

        Anyone who can write the file can plant a row of such text: it must not stand in the way of the others. Not
        so from the beginning, because each column of text then takes a call.
        """
        conn = self.conn
        if conn is None or conn.text_factory is not str or not is_of_text(error):
            return False
        conn.text_factory = text_or_bytes
        return sql.startswith(("SELECT", "BEGIN", "WITH", "\nWITH"))

    def _has_grown(self, error: SqliteError) -> bool:
        """Whether a statement came to the end of its budget, and the database is larger now than that was made for.

        One that writes is not repeated in a transaction: SQLite has rolled that back.
        """
        if not is_interrupted(error) or not self.budget.grow():
            return False
        return self.transaction is None or (self.conn is not None and self.conn.in_transaction)

    def _can_write_again(self, error: SqliteError) -> bool:
        """Whether another connection is worth an attempt, where this one turned out to be for reading only.

        SQLite does so where it cannot open the file for writing, if only for a moment, and leaves it at that
        (unixOpen, unixOpenSharedMemory in its os_unix.c). The next statement outside a transaction opens it again.
        """
        if not is_read_only(error):
            return False
        self.is_outdated = True
        return self.transaction is None

    # -- opening and closing

    def ready(self) -> sqlite3.Connection:
        """The connection, opened, and rid of what an interrupt left open. Under the guard."""
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
            conn, self.conn = self.conn, None  # first, so that of two that close at once one sees that it is the last
            if conn is not None:
                self.host.disconnect(conn)

    def close_for_good(self, connect: Callable[[ThreadConnection], sqlite3.Connection]) -> None:
        """The same; the next use calls `connect`, which raises."""
        with self.guard:
            self.close()
            self.connect = connect

    def close_within(self, seconds: float, *, if_idle: bool) -> None:
        """Close it, waiting for so long for a statement that is running; `if_idle`: not in a transaction.

        One that cannot be closed now is closed before its next statement, unless it was only to be closed if idle.
        """
        if self.guard.acquire(timeout=seconds):
            with self.guard:
                if not if_idle or self.is_idle():
                    self.close()
            self.guard.release()
        elif not if_idle:
            self.is_outdated = True

    def inherit(self, other: ThreadConnection) -> None:
        """Take over the connection of a thread that has ended, where there is none yet."""
        other.roll_back()
        with other.guard, self.guard:
            if self.conn is None and other.conn is not None and not other.is_outdated:
                self.logged, self.writes = other.logged, other.writes
                # In this order: a process that has none for a moment would let go of the index. And in one statement:
                # a signal handler that came between two would find one connection in both, and close it.
                self.conn, other.conn = other.conn, None

    def is_orphaned(self) -> bool:
        """Whether the thread or greenlet that it belongs to has ended."""
        return self.life is not None and self.life.is_over()

    def is_idle(self) -> bool:
        """Whether the connection is in no statement and no transaction. Under the guard."""
        return not self.running and not (self.conn is not None and self.conn.in_transaction)

    # -- its transaction

    def current(self) -> HeldTransaction | None:
        """The transaction that the caller is in; what an interrupt left of one is undone.

        None in a signal handler or a finalizer that struck an operation of this thread, and in another task.
        """
        return None if self.transaction is None or conflict(self) is not None else self.live_transaction()

    def own_transaction(self) -> HeldTransaction | None:
        """The one that its owner began, including one that an interrupt ended."""
        transaction = self.transaction  # read once: a finalizer may end it between two looks
        return None if transaction is None else transaction()

    def live_transaction(self) -> HeldTransaction | None:
        """The same as `current` inside an operation, which no other one can have struck.

        Where an interrupt left an inner block and was caught in the outer one, that is the outer one, which has
        ended as well: its next write says so.
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

    def roll_back(self) -> None:
        """End what is open on the connection; never raises: a connection that cannot roll back is closed."""
        if self.host.usability.is_forked:  # it is the parent's
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
        """Do what finalizers left, unless its owner is still inside something of the library's own."""
        transaction = self.own_transaction()
        if self.operation is None and (transaction is None or transaction.is_program_own()):
            while self.deferred:
                self.deferred.pop()

    # -- the contract `Place` of `store.engines.transaction`

    def begin(self, hold: Hold, timeout: float) -> None:
        """Take the writer's lock for `hold`, and begin to write.

        IMMEDIATE: a deferred transaction that reads first fails at its first write.
        """
        self.host.writer.take(hold, self, timeout)
        self.owner = hold.thread
        self.run("BEGIN IMMEDIATE", (), self._check_writes, timeout)
        self.work = Work(self.host.coherence.header(), self._changes(), timeout)

    def commit(self, hold: Hold) -> None:
        """Raises: StoreError: nothing was committed, or it went into a log that nobody else reads."""
        work, host = self.work, self.host
        assert work is not None
        host.file.check_in_place()  # it may have begun long ago
        self._execute("COMMIT")
        host.file.check_log()
        if work.header is not None and self._changes() != work.changes:  # else any change is somebody else's
            host.coherence.committed(work.header, None if work.anything else work.touched)

    def committed(self) -> None:
        """After the commit, the writer's lock still held: a checkpoint, if one is due."""
        self.host.writer.committed(self)

    def give(self, hold: Hold) -> None:
        """Give the writer's lock back; nothing happens where `hold` does not have it."""
        self.host.writer.give(hold)

    def savepoint(self) -> int:
        """The depth of a new one."""
        assert self.work is not None
        depth = self.work.depth + 1
        self._execute(f"SAVEPOINT nested_{depth}")
        self.work.depth = depth
        return depth

    def release(self, savepoint: int) -> None:
        """Keep the changes since the savepoint, as a part of the transaction around it."""
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
        self.work.anything = True  # rows changed that no commit will have changed

    def check_open(self, *, is_inside: bool) -> None:
        """Raises: StoreError: nothing may be written: the store is closed, or the transaction has ended already."""
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
        """Before a fork: wait until nothing runs on the connection, close it, and keep it from opening.

        Statements of other threads end soon, and most transactions too. The caller's own does not.
        """
        mine = self.owner == running.ident()
        if mine and conflict(self) is None and self.live_transaction() is None:
            self.roll_back()  # what an interrupt left
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
        """After it, in the parent."""
        self.is_parked = False
        with suppress(RuntimeError):  # the guard was not to be had
            self.guard.release()
