"""One thread's connection, and the transaction that may be open on it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

from store.backends.sqlite_errors import is_busy, timed_out, translate

if TYPE_CHECKING:
    from store.backends.sqlite_transaction import SqliteTransaction

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

    __slots__ = ("conn", "connect", "guard", "outdated", "path", "running", "thread", "transaction")

    def __init__(self, path: str, connect: Callable[[Slot], sqlite3.Connection]) -> None:
        self.path = path
        self.connect = connect
        self.guard = threading.RLock()
        self.thread = threading.current_thread()
        self.conn: sqlite3.Connection | None = None
        self.running = False
        self.outdated = False  # to be opened again with other settings
        self.transaction: ref[SqliteTransaction] | None = None

    def run(self, sql: str, params: Sequence[Any], fetch: Fetch[T], timeout: float) -> T:
        """What `fetch` makes of the statement's cursor; waits while another program holds SQLite's lock.

        Raises:
            StoreError: what SQLite raised, translated.
        """
        deadline = None
        while True:
            try:
                with self.guard:
                    conn = self.ready()
                    self.running = True
                    try:
                        return fetch(conn.execute(sql, params))
                    finally:
                        self.running = False
            except sqlite3.Error as exc:
                if not is_busy(exc):
                    raise translate(exc, self.path) from exc
                deadline = self._wait(deadline, timeout, exc)

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """One statement for each row, inside a transaction."""
        try:
            with self.guard:
                self.ready().executemany(sql, rows)
        except sqlite3.Error as exc:
            raise translate(exc, self.path) from exc

    def ready(self) -> sqlite3.Connection:
        """The connection, opened, and rid of what an interrupt left open. Under the guard."""
        conn = self.conn
        if conn is None:
            conn = self.conn = self.connect(self)
        elif self.transaction is None and (conn.in_transaction or self.outdated):
            conn = self._refresh(conn)
        return conn

    def _refresh(self, conn: sqlite3.Connection) -> sqlite3.Connection:
        conn.rollback()
        if self.outdated:
            self.close()
            self.outdated = False
            conn = self.conn = self.connect(self)
        return conn

    def current(self) -> SqliteTransaction | None:
        """The transaction that this thread is in; what an interrupt left of one is undone."""
        if self.transaction is None:
            return None
        transaction = self.transaction()
        if transaction is not None and transaction.thread != threading.get_ident():
            return None  # an in-memory store: one connection for all threads
        if transaction is None or transaction.was_left():
            self.roll_back()
            return None
        return transaction

    def roll_back(self) -> None:
        """End whatever is open on the connection; never raises: a connection that cannot is closed."""
        with self.guard:
            self.transaction = None
            if self.conn is not None and self.conn.in_transaction:
                try:
                    self.conn.rollback()
                except sqlite3.Error:
                    self.conn.close()
                    self.conn = None

    def close(self) -> None:
        """Close the connection; the next use opens one again."""
        with self.guard:
            conn, self.conn = self.conn, None
            if conn is not None:
                conn.close()

    def is_idle(self) -> bool:
        """Whether the connection is in no statement and no transaction. Under the guard."""
        return not self.running and not (self.conn is not None and self.conn.in_transaction)

    def _wait(self, deadline: float | None, timeout: float, error: sqlite3.Error) -> float:
        now = time.monotonic()
        if deadline is None:
            return now + timeout
        if now >= deadline:
            raise timed_out(self.path, timeout) from error
        time.sleep(RETRY_SECONDS)
        return deadline
