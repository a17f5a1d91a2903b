"""A thread or greenlet on one database: its operation, its transaction, and the connection of that."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4
from weakref import ref

from psycopg.pq import PipelineStatus, TransactionStatus

from store.engines.postgres.connection import Connection
from store.engines.postgres.errors import (
    DRIVER_ERRORS,
    is_disconnected,
    is_overtaken,
    lost_in_transaction,
    says_replaced,
    translated,
    unconfirmed,
)
from store.engines.postgres.lost import LEAST_SECONDS
from store.engines.postgres.seen import Mark, Seen
from store.engines.postgres.sessions import Sessions
from store.engines.postgres.transaction_locks import Taken, TransactionLocks
from store.engines.transaction import HeldTransaction
from store.errors import Conflict, StoreClosed, StoreError, label
from store.system.clock import steady_clock
from store.system.locking import Hold

E = TypeVar("E", bound=StoreError)


class Savepoint(NamedTuple):
    """Where a nested transaction begins."""

    name: str
    taken: Taken
    seen: Mark


class ThreadPlace:
    """The contract `Place`."""

    def __init__(self, sessions: Sessions, after_commit: Callable[[], None]) -> None:
        self.path = sessions.location.shown
        self.operation: FrameType | None = None
        self.deferred: list[Any] = []
        self.transaction: ref[HeldTransaction] | None = None
        self.outermost: ref[HeldTransaction] | None = None
        self.conn: Connection | None = None
        self.seen = Seen()
        """What the open transaction has read."""
        self.has_written = False
        self._sessions = sessions
        self._locks: TransactionLocks | None = None
        self._after_commit = after_commit
        self._holder: ref[Hold] | None = None
        self._process = 0
        self._savepoints = 0
        self._unconfirmed: str | None = None
        self._is_overtaken = False  # the transaction must be run again, and commits nothing
        self._to_restart: ref[StoreError] | None = None  # the error that says so

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
        deadline = steady_clock() + max(timeout, LEAST_SECONDS)
        while True:
            try:
                conn = self._sessions.take(timeout, deadline)
            except DRIVER_ERRORS as exc:
                raise translated(exc, self.path, self._sessions.role) from exc
            self.conn, self._holder, self._process = conn, ref(hold, self._dropped), os.getpid()
            try:
                self._begin(hold, steady_clock() + timeout, timeout)
                return
            except DRIVER_ERRORS as exc:
                if not is_disconnected(exc, conn) or steady_clock() >= deadline:
                    raise self.failure(exc) from exc
                self._put_back()  # nothing was done yet

    def _begin(self, hold: HeldTransaction, deadline: float, timeout: float) -> None:
        conn = self.conn
        assert conn is not None
        self.seen, self._is_overtaken, self.has_written = Seen(), False, False
        namespace, names = hold.scope
        locks = self._locks = TransactionLocks(self._sessions, conn, timeout, is_shared=names is not None)
        if names is None:
            locks.begin_whole((namespace,) if isinstance(namespace, str) else namespace, deadline)
        else:
            assert isinstance(namespace, str)
            locks.begin_shared(namespace, names)

    def commit(self, hold: Hold) -> None:
        """Raises: OutcomeUnknown: it could not be found out until the timeout whether it was committed."""
        conn = self.conn
        assert conn is not None and isinstance(hold, HeldTransaction)
        token, deadline = uuid4(), steady_clock() + max(hold.timeout, LEAST_SECONDS)
        try:
            if self.has_written:
                conn.finish((self._sessions.statements.commit, (token,)), ("COMMIT", None))
            else:
                conn.finish(("COMMIT", None))
        except DRIVER_ERRORS as exc:
            if not is_disconnected(exc, conn):
                raise self.failure(exc) from exc
            if self.has_written and self._sessions.lost.noted(conn, token, (), deadline) is None:
                raise self._restartable(lost_in_transaction(exc, self.path)) from exc
        self._unconfirmed = conn.take_unconfirmed()

    def roll_back(self) -> None:
        self.transaction = None
        conn = self.conn
        if conn is None or self._process != os.getpid():
            return
        try:
            if conn.pgconn.pipeline_status is not PipelineStatus.OFF:
                conn.close()  # an interrupt came between several statements
            elif not _is_idle(conn):
                conn.finish(("ROLLBACK", None))
        except Exception:
            conn.close()

    def give(self, hold: Hold) -> None:
        holder = self._holder
        if holder is not None and holder() is hold:
            self._put_back()

    def committed(self) -> None:
        """Does nothing: the server maintains itself."""

    def settle(self, timeout: float) -> None:
        """COMMIT has waited for the disk, and for the standbys unless somebody ended that. Then maintenance."""
        self._after_commit()
        warning, self._unconfirmed = self._unconfirmed, None
        if warning:
            raise unconfirmed(warning, self.path)

    def savepoint(self, transaction: HeldTransaction) -> Savepoint:
        conn, locks = self.conn, self._locks
        assert conn is not None and locks is not None
        self._savepoints += 1
        name = f"s{self._savepoints}"
        namespace, names = transaction.scope
        mark = self.seen.mark()
        try:
            if names is None:  # before the savepoint: these locks stay if the nested transaction is rolled back
                locks.take_whole((namespace,) if isinstance(namespace, str) else namespace)
            taken = locks.taken
            locks.savepoint(f"SAVEPOINT {name}", namespace if isinstance(namespace, str) else "", names or ())
        except DRIVER_ERRORS as exc:
            raise self._not_begun(exc, name, locks) from exc
        return Savepoint(name, taken, mark)

    def _not_begun(self, error: Exception, savepoint: str, locks: TransactionLocks) -> StoreError | ValueError:
        """The error of a nested transaction that got no lock; the enclosing ones are as before."""
        assert self.conn is not None
        failure = self.failure(error)
        if not self.conn.closed and self.conn.info.transaction_status is TransactionStatus.INERROR:
            locks.taken = locks.taken._replace(shared=frozenset())  # it may have some; they are taken again
            self._run(f"ROLLBACK TO SAVEPOINT {savepoint}")
            self._is_overtaken = False
        return failure

    def release(self, savepoint: Savepoint) -> None:
        self._run(f"RELEASE SAVEPOINT {savepoint.name}")

    def roll_back_to(self, savepoint: Savepoint) -> None:
        assert self.conn is not None
        try:
            self.conn.finish((f"ROLLBACK TO SAVEPOINT {savepoint.name}", None))
        except DRIVER_ERRORS:  # an interrupt left a statement unfinished: the enclosing transaction is lost too
            self.conn.close()
        self.seen.go_back(savepoint.seen)
        if self._locks is not None:
            self._locks.taken = savepoint.taken
        self._is_overtaken = False

    def check_open(self, *, is_inside: bool) -> None:
        if not self._sessions.handles:
            raise StoreClosed(f"the store on {self.path} is closed; open it again")
        if not is_inside:
            return
        conn = self.conn
        if conn is None or self._process != os.getpid() or conn.closed or _is_idle(conn):
            raise StoreError(
                f"{self.path}: the transaction had ended before its block did (an interrupt or a lost connection "
                "ended it, or it is that of the process that this one was forked from); nothing of it was kept, run "
                "it again"
            )
        if self._is_overtaken:
            raise self.overtaken("another writer came first")
        if conn.info.transaction_status is TransactionStatus.INERROR:
            raise StoreError(
                f"{self.path}: an error before this has ended the transaction; nothing of it is kept, run it again"
            )

    # -- locks

    def take_namespace(self, namespace: str) -> None:
        """Lock a namespace before it is read, where the transaction has no lock on it yet."""
        if self._locks is not None:
            self._locks.take(namespace)

    def locks_rows(self) -> bool:
        """Whether other writers of the namespace go on, so that a row that is read must be locked."""
        return self._locks is not None and self._locks.is_shared

    # -- errors

    def failure(self, error: Exception) -> StoreError | ValueError:
        """The error of this library for one of the driver; a lost connection has kept nothing of a transaction."""
        if says_replaced(error):
            self._sessions.is_replaced = True
        if self.conn is not None and is_disconnected(error, self.conn):
            return self._restartable(lost_in_transaction(error, self.path))
        if is_overtaken(error) and self.conn is not None:
            return self.overtaken(" ".join(str(error).split()))
        return translated(error, self.path, self._sessions.role)

    def overtaken(self, why: str, **record: str) -> Conflict:
        """The error of a transaction that others have overtaken; it commits nothing, and may be run again."""
        conflict = Conflict(
            f"{self.path}: {why}; nothing of the transaction was kept, run it again (`transact` and `modify` do)",
            **record,
        )
        self._is_overtaken = True
        return self._restartable(conflict)

    def _restartable(self, error: E) -> E:
        self._to_restart = ref(error)
        return error

    def overtaken_by_write_of(self, key: tuple[str, str]) -> Conflict:
        """The error where a record is not as the transaction read it."""
        namespace, name = key
        return self.overtaken(
            f"{label(name, namespace)} was written by another writer", name=name, namespace=namespace
        )

    def must_restart(self, error: BaseException) -> bool:
        """Whether that error ended a transaction of this place, which has left it."""
        return self.transaction is None and self._to_restart is not None and self._to_restart() is error

    # -- the connection

    def _run(self, statement: str) -> None:
        assert self.conn is not None
        try:
            self.conn.execute(statement)
        except DRIVER_ERRORS as exc:
            raise self.failure(exc) from exc

    def _put_back(self) -> None:
        conn, self.conn, self._holder = self.conn, None, None
        if conn is not None and self._process == os.getpid():
            self._sessions.put_back(conn)

    def _dropped(self, reference: ref[Hold]) -> None:
        """The transaction was collected before its block ended."""
        if self._holder is reference:
            self.roll_back()
            self._put_back()


def _is_idle(conn: Connection) -> bool:
    """Whether it is in no transaction. It is in one while several statements are being sent at once."""
    return conn.info.transaction_status is TransactionStatus.IDLE
