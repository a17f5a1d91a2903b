"""A thread or greenlet on one database: its operation, its transaction, and the connection of that."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any
from weakref import ref

from psycopg.pq import TransactionStatus

from store.engines.postgres.errors import DRIVER_ERRORS, is_disconnected, translated
from store.engines.postgres.sessions import Connection, Sessions
from store.engines.transaction import HeldTransaction
from store.errors import LockTimeout, OutcomeUnknown, StoreClosed, StoreError
from store.system.clock import steady_clock
from store.system.locking import Hold

FIRST_PAUSE, LAST_PAUSE = 0.001, 0.05  # seconds between two attempts at an exclusive lock


class ThreadPlace:
    """The contract `Place`."""

    def __init__(self, sessions: Sessions, after_commit: Callable[[], None]) -> None:
        self.path = sessions.location.shown
        self.operation: FrameType | None = None
        self.deferred: list[Any] = []
        self.transaction: ref[HeldTransaction] | None = None
        self.outermost: ref[HeldTransaction] | None = None
        self.conn: Connection | None = None
        self.absent: set[tuple[str, str]] = set()
        """The names that the transaction has read, and that had no record."""
        self._sessions = sessions
        self._after_commit = after_commit
        self._holder: ref[Hold] | None = None
        self._process = 0
        self._savepoints = 0
        self._whole: set[str] = set()  # namespaces that it has for itself
        self._is_shared = False  # it took names only, and never takes a namespace for itself after that

    def own_transaction(self) -> HeldTransaction | None:
        """The transaction that its owner began, also one that an interrupt ended."""
        reference = self.transaction
        return None if reference is None else reference()

    def live_transaction(self) -> HeldTransaction | None:
        """The open transaction; one that an interrupt ended is rolled back."""
        if self.transaction is None:
            return None
        transaction = self.own_transaction()
        if transaction is not None and not transaction.was_left():
            return transaction
        outermost = None if self.outermost is None else self.outermost()
        self.roll_back()
        if outermost is None or outermost.was_left():
            self._put_back()
            return None
        self.transaction = self.outermost
        return outermost

    def run_deferred(self) -> None:
        transaction = self.own_transaction()
        if self.operation is None and (transaction is None or transaction.is_program_own()):
            while self.deferred:
                self.deferred.pop()

    # -- the transaction

    def begin(self, hold: Hold, timeout: float) -> None:
        assert isinstance(hold, HeldTransaction)
        self._put_back()
        deadline = steady_clock() + timeout
        try:
            conn = self._sessions.take(timeout)
        except DRIVER_ERRORS as exc:
            raise translated(exc, self.path) from exc
        self.conn, self._holder, self._process = conn, ref(hold, self._dropped), os.getpid()
        self.absent, self._whole, self._savepoints = set(), set(), 0
        namespace, names = hold.scope
        self._is_shared = names is not None
        try:
            if names is None:
                conn.execute("BEGIN")
                self._lock_namespace(namespace, deadline, timeout)
            else:
                with conn.pipeline():
                    conn.execute("BEGIN")
                    conn.execute(self._sessions.statements.lock_shared, (self._sessions.lock_of(namespace),))
                    self._lock_names(namespace, names)
        except DRIVER_ERRORS as exc:
            raise translated(exc, self.path) from exc

    def commit(self, hold: Hold) -> None:
        conn = self.conn
        assert conn is not None
        try:
            conn.execute("COMMIT")
        except DRIVER_ERRORS as exc:
            if is_disconnected(exc):
                raise OutcomeUnknown(
                    f"{self.path}: the connection was lost during the commit ({exc}); read what you wrote before you "
                    "write it again",
                    path=self.path,
                ) from exc
            raise translated(exc, self.path) from exc

    def roll_back(self) -> None:
        self.transaction = None
        conn = self.conn
        if conn is None or self._process != os.getpid():
            return
        try:
            if conn.info.transaction_status is not TransactionStatus.IDLE:
                conn.execute("ROLLBACK")
        except Exception:
            conn.close()

    def give(self, hold: Hold) -> None:
        holder = self._holder
        if holder is not None and holder() is hold:
            self._put_back()

    def committed(self) -> None:
        """Does nothing: the server maintains itself."""

    def settle(self, timeout: float) -> None:
        """Only maintenance, now that the connection is free: COMMIT has waited for the disk."""
        self._after_commit()

    def savepoint(self, transaction: HeldTransaction) -> str:
        conn = self.conn
        assert conn is not None
        self._savepoints += 1
        name = f"s{self._savepoints}"
        namespace, names = transaction.scope
        try:
            with conn.pipeline():
                conn.execute(f"SAVEPOINT {name}")
                if namespace not in self._whole and names:
                    conn.execute(self._sessions.statements.lock_shared, (self._sessions.lock_of(namespace),))
                    self._lock_names(namespace, names)
        except DRIVER_ERRORS as exc:
            raise translated(exc, self.path) from exc
        return name

    def release(self, savepoint: str) -> None:
        self._run(f"RELEASE SAVEPOINT {savepoint}")

    def roll_back_to(self, savepoint: str) -> None:
        self.absent = set()
        self._run(f"ROLLBACK TO SAVEPOINT {savepoint}")

    def check_open(self, *, is_inside: bool) -> None:
        if not self._sessions.handles:
            raise StoreClosed(f"the store on {self.path} is closed; open it again")
        if not is_inside:
            return
        if self.conn is None or self._process != os.getpid() or self.conn.closed:
            raise StoreError(
                f"{self.path}: the transaction had ended before its block did (an interrupt or a lost connection "
                "ended it, or it is that of the process that this one was forked from); nothing of it was kept, run "
                "it again"
            )
        if self.conn.info.transaction_status is TransactionStatus.INERROR:
            raise StoreError(
                f"{self.path}: an error before this has ended the transaction; nothing of it is kept, run it again"
            )

    # -- locks

    def take_namespace(self, namespace: str) -> None:
        """Have a namespace for itself before it is read, where the transaction does not have it yet."""
        if not self._is_shared and namespace not in self._whole:
            transaction = self.own_transaction()
            timeout = 0.0 if transaction is None else transaction.timeout
            self._lock_namespace(namespace, steady_clock() + timeout, timeout)

    def locks_rows(self) -> bool:
        """Whether other writers of the namespace go on, so that a row that is read must be locked."""
        return self._is_shared

    def _lock_names(self, namespace: str, names: Sequence[str]) -> None:
        if names:
            assert self.conn is not None
            keys = [self._sessions.lock_of_name(namespace, name) for name in names]
            self.conn.execute(self._sessions.statements.lock_names, (keys,))

    def _lock_namespace(self, namespace: str, deadline: float, timeout: float) -> None:
        """Exclude all other writers of the namespace.

        For the first half of the timeout by attempts: a waiter in the server's queue holds up everybody behind it.
        """
        conn, statements = self.conn, self._sessions.statements
        assert conn is not None
        key = (self._sessions.lock_of(namespace),)
        pause, patience = FIRST_PAUSE, deadline - timeout / 2
        while True:
            row = conn.execute(statements.try_lock, key).fetchone()
            if row is not None and row[0]:
                break
            now = steady_clock()
            if now >= deadline:
                raise LockTimeout(
                    f"{self.path}: other writers kept the namespace {namespace!r} for {timeout:g} seconds; try "
                    "again, shorten their transactions, or open the store with a longer timeout",
                    path=self.path,
                )
            if now >= patience:
                conn.execute(statements.lock, key)  # for as long as lock_timeout says
                break
            time.sleep(min(pause, deadline - now))
            pause = min(pause * 2, LAST_PAUSE)
        self._whole.add(namespace)

    # -- the connection

    def _run(self, statement: str) -> None:
        assert self.conn is not None
        try:
            self.conn.execute(statement)
        except DRIVER_ERRORS as exc:
            raise translated(exc, self.path) from exc

    def _put_back(self) -> None:
        conn, self.conn, self._holder = self.conn, None, None
        if conn is not None and self._process == os.getpid():
            self._sessions.put_back(conn)

    def _dropped(self, reference: ref[Hold]) -> None:
        """The transaction was collected before its block ended."""
        if self._holder is reference:
            self.roll_back()
            self._put_back()
