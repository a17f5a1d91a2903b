"""The connection of one thread or greenlet, and the operation and the transaction that it is in."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

from store.engines.reentry import Later, conflict
from store.engines.sqlite.errors import (
    SQLITE_ERRORS,
    SqliteError,
    is_busy,
    is_interrupted,
    is_of_text,
    is_read_only,
    timed_out,
    translate,
)
from store.engines.sqlite.statements import CHANGES_NOTHING
from store.system import running
from store.system.clock import steady_clock
from store.system.step_budget import Budget

if TYPE_CHECKING:
    from store.engines.sqlite.engine.transaction import SqliteTransaction

T = TypeVar("T")
Fetch = Callable[[sqlite3.Cursor], T]

fetch_one: Fetch[Any] = sqlite3.Cursor.fetchone
fetch_all: Fetch[list[Any]] = sqlite3.Cursor.fetchall
row_count: Fetch[int] = attrgetter("rowcount")

RETRY_SECONDS = 0.001  # between two attempts at a database that another program keeps locked


class Slot:
    """A connection, opened on first use and closed before a fork.

    `guard` is held during each statement, by `with` alone, so that an interrupt cannot leave it locked and
    a fork can tell an idle connection from one in use.
    """

    __slots__ = (
        "budget", "conn", "connect", "disconnect", "guard", "life", "logged", "operation", "outdated", "outermost",
        "owner", "parked", "path", "put_off", "running", "transaction", "writes",
    )  # fmt: skip

    def __init__(
        self,
        path: str,
        connect: Callable[[Slot], sqlite3.Connection],
        disconnect: Callable[[sqlite3.Connection], None],
    ) -> None:
        self.path = path
        self.budget = Budget(path)
        self.connect = connect
        self.disconnect = disconnect
        self.guard = threading.RLock()
        self.life: running.Life | None = None  # of the thread or greenlet that has it; None: it outlives any
        self.operation: FrameType | None = None
        """The frame of the innermost operation of the engine's that its owner is in."""
        self.put_off: list[Later] = []  # what finalizers left to be done after the operation
        self.conn: sqlite3.Connection | None = None
        self.logged = False  # whether the connection has the write-ahead log open; then it has until it is closed
        self.running = False
        self.writes = False  # whether the connection is known to be one that can
        self.outdated = False  # to be opened again with other settings
        self.parked = False  # closed, and its guard kept, for a fork
        self.owner = running.ident()  # whose `transaction` is
        self.transaction: ref[SqliteTransaction] | None = None
        self.outermost: ref[SqliteTransaction] | None = None

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
                    if conn is None or self.outdated or (self.transaction is None and conn.in_transaction):
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

    def _reads_any_text(self, error: SqliteError, sql: str) -> bool:
        """Whether the statement is worth another attempt: now what is no text comes as the bytes that it is.

        Whoever can write the file can plant a row of such text: it must not stand in the way of the others. Not so
        from the beginning, because each column of text then takes a call.
        """
        conn = self.conn
        if conn is None or conn.text_factory is not str or not is_of_text(error):
            return False
        conn.text_factory = _text_or_bytes
        return sql.startswith(("SELECT", "BEGIN", "WITH", "\nWITH"))

    def begin(self, timeout: float) -> None:
        """Begin to write. IMMEDIATE: a deferred transaction that reads first fails at its first write."""
        self.run("BEGIN IMMEDIATE", (), self._check_writes, timeout)

    def _check_writes(self, begun: sqlite3.Cursor) -> None:
        """On a connection for reading only BEGIN IMMEDIATE begins to read, and the first write would fail."""
        if not self.writes:
            begun.connection.execute(CHANGES_NOTHING)
            self.writes = True

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

    def _has_grown(self, error: SqliteError) -> bool:
        """Whether a statement came to the end of its budget, and the database is larger now than that was made for.

        One that writes is not repeated in a transaction: SQLite has rolled that back.
        """
        if not is_interrupted(error) or not self.budget.grow():
            return False
        return self.transaction is None or (self.conn is not None and self.conn.in_transaction)

    def _can_write_again(self, error: SqliteError) -> bool:
        """Whether another connection is worth an attempt, where this one turned out to be for reading only.

        SQLite opens a file so where it cannot open it for writing, be it for a moment, and leaves it at that
        (unixOpen, unixOpenSharedMemory in its os_unix.c). The next statement outside a transaction opens it again.
        """
        if not is_read_only(error):
            return False
        self.outdated = True
        return self.transaction is None

    def ready(self) -> sqlite3.Connection:
        """The connection, opened, and rid of what an interrupt left open. Under the guard."""
        conn = self.conn
        if conn is None:
            conn = self._opened()
        elif self.transaction is None and (conn.in_transaction or self.outdated):
            conn = self._refresh(conn)
        return conn

    def _refresh(self, conn: sqlite3.Connection) -> sqlite3.Connection:
        conn.rollback()
        if self.outdated:
            self.close()
            self.outdated = False
            conn = self._opened()
        return conn

    def _opened(self) -> sqlite3.Connection:
        self.writes = False
        conn = self.conn = self.connect(self)
        self.budget.watch(conn)
        return conn

    def current(self) -> SqliteTransaction | None:
        """The transaction that the caller is in; what an interrupt left of one is undone.

        None in a signal handler or a finalizer that struck an operation of this thread, and in another task.
        """
        return None if self.transaction is None or conflict(self) is not None else self.settled()

    def own_transaction(self) -> SqliteTransaction | None:
        """The one that its owner began, whatever became of it."""
        transaction = self.transaction  # read once: a finalizer may end it between two looks
        return None if transaction is None else transaction()

    def settled(self) -> SqliteTransaction | None:
        """The same inside an operation, where no other one has been struck.

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
        """End whatever is open on the connection; never raises: a connection that cannot is closed."""
        with self.guard:
            self.transaction = None
            if self.conn is not None and self.conn.in_transaction:
                try:
                    self.conn.rollback()
                except sqlite3.Error:
                    self.close()

    def close(self) -> None:
        """Close the connection; the next use opens one again."""
        with self.guard:
            conn, self.conn = self.conn, None  # first, so that of two that close at once one sees that it is the last
            if conn is not None:
                self.disconnect(conn)

    def inherit(self, other: Slot) -> None:
        """Take over the connection of one that nobody has any more, where there is none yet."""
        other.roll_back()
        with other.guard, self.guard:
            if self.conn is None and other.conn is not None and not other.outdated:
                self.logged, self.writes = other.logged, other.writes
                # In this order: a process that has none for a moment would let go of the index. And in one statement:
                # a signal handler that came between two would find one connection in both, and close it.
                self.conn, other.conn = other.conn, None

    def park(self, deadline: float) -> None:
        """Before a fork: wait until nothing runs on the connection, close it, and keep it from opening.

        Statements of other threads end soon, and most transactions too. The caller's own does not.
        """
        mine = self.owner == running.ident()
        if mine and conflict(self) is None and self.settled() is None:
            self.roll_back()  # what an interrupt left
        while self.guard.acquire(timeout=max(0.0, deadline - steady_clock())):
            if self.is_idle():
                self.close()
                self.parked = True
                return
            if mine or steady_clock() >= deadline:
                return
            self.guard.release()
            time.sleep(RETRY_SECONDS)

    def unpark(self) -> None:
        """After it, in the parent."""
        self.parked = False
        with suppress(RuntimeError):  # the guard was not to be had
            self.guard.release()

    def is_orphaned(self) -> bool:
        """Whether the thread or greenlet that it belongs to has ended."""
        return self.life is not None and self.life.is_over()

    def end_put_off(self) -> None:
        """Do what finalizers left, unless its owner is still inside something of the library's own."""
        transaction = self.own_transaction()
        if self.operation is None and (transaction is None or transaction.is_program_own()):
            while self.put_off:
                self.put_off.pop()

    def is_idle(self) -> bool:
        """Whether the connection is in no statement and no transaction. Under the guard."""
        return not self.running and not (self.conn is not None and self.conn.in_transaction)


def wait(error: SqliteError, path: str, deadline: float | None, timeout: float) -> float:
    """Pause before another attempt at what SQLite was too busy for; returns the deadline of them all.

    Raises:
        StoreError: it is another error, translated, or the deadline has passed.
    """
    if not is_busy(error):
        raise translate(error, path) from error
    now = steady_clock()
    if deadline is None:
        deadline = now + timeout
    if now >= deadline:
        raise timed_out(path, timeout) from error
    time.sleep(RETRY_SECONDS)
    return deadline


class NotText(bytes):
    """What stands in a column of text, and is no UTF-8."""


def _text_or_bytes(data: bytes) -> str | NotText:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return NotText(data)
