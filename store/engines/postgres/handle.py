"""One handle on a database, shared by its engine and its capabilities."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID, uuid4

from store.engines.bodies import Bodies
from store.engines.postgres.connection import Connection
from store.engines.postgres.errors import (
    DRIVER_ERRORS,
    is_disconnected,
    is_overtaken,
    unconfirmed,
    unreachable,
)
from store.engines.postgres.lost import LEAST_SECONDS
from store.engines.postgres.outcome import Noted
from store.engines.postgres.place import ThreadPlace
from store.engines.postgres.server import Server
from store.engines.reentry import conflict, in_use, is_in_block, refuse
from store.errors import ReadOnly, StoreClosed
from store.system.clock import steady_clock

T = TypeVar("T")


class Handle:
    """Runs statements for one `Store` until it is closed; if `is_shared`, until no handle is open any more."""

    def __init__(self, server: Server, *, read_only: bool, timeout: float, is_shared: bool = False) -> None:
        self.server = server
        self.sessions = server.sessions
        self.location = server.sessions.location.shown
        self.read_only = read_only
        self.timeout = timeout
        self.bodies = Bodies()
        self._is_closed = False
        self._is_shared = is_shared
        if not is_shared:
            server.sessions.handles.add(self)

    def check_open(self, *, is_writing: bool = False) -> None:
        """Raises: StoreClosed: it was closed. ReadOnly."""
        if self._is_closed or (self._is_shared and not self.sessions.handles):
            raise StoreClosed(f"the store on {self.location} was closed; open it again")
        if is_writing and self.read_only:
            raise ReadOnly(
                f'{self.location} was opened with mode="r"; open it with mode="w" to write', path=self.location
            )

    # -- reading

    def one(self, statement: str, values: Sequence[Any]) -> Any:
        """The first row, or None."""
        return self.read(lambda conn, place: conn.execute(statement, values, binary=True).fetchone())

    def all(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """All rows."""
        return self.read(lambda conn, place: conn.execute(statement, values, binary=True).fetchall())

    def read(self, work: Callable[[Connection, ThreadPlace | None], T]) -> T:
        """Call `work` with the connection of the caller's transaction and its place, or with any one and None.

        Outside of a transaction it is called again, on another connection, until the timeout, if one is lost.
        """
        self.check_open()
        place = self.server.visitors.current()
        before = place.operation
        problem = None
        if (
            (before is not None or place.transaction is not None)
            and (problem := conflict(place))
            and before is not None
        ):
            raise in_use(place, problem)
        try:
            place.operation = sys._getframe()
            # A caller that has no part in the transaction reads what is committed.
            if is_in_block(place) if problem else place.live_transaction() is not None:
                place.check_open(is_inside=True)
                assert place.conn is not None
                return work(place.conn, place)
            return self._alone(work)
        except DRIVER_ERRORS as exc:
            raise place.failure(exc) from exc
        finally:
            place.operation = before
            if place.deferred:
                place.run_deferred()

    # -- writing

    def change(
        self,
        work: Callable[[Connection, ThreadPlace | None, UUID | None], T],
        namespaces: Sequence[str],
        recovered: Callable[[Noted], T],
    ) -> T:
        """Call `work`, which writes by one statement, in the open transaction or by itself.

        By itself it gets a token to store with its changes. If its connection is lost and it was committed, the
        result is `recovered` from what it has changed in those namespaces; if it was not, it is called again.

        Raises:
            OutcomeUnknown: it could not be found out until the timeout. StorageError: nothing was written.
        """

        def run(conn: Connection, place: ThreadPlace | None) -> T:
            return work(conn, place, None)

        return self.write(run, lambda: self._certainly(work, namespaces, recovered))

    def write(self, work: Callable[[Connection, ThreadPlace | None], T], alone: Callable[[], T] | None = None) -> T:
        """Call `work`, which writes by one statement, in the open transaction; else `alone`.

        Without `alone`, `work` may be called again if a connection is lost: it must not matter how often it is done.
        """
        self.check_open(is_writing=True)
        place = self.server.visitors.current()
        if place.operation is not None or place.transaction is not None:
            refuse(place)
        before = place.operation
        try:
            place.operation = sys._getframe()
            self.server.trimming.note(1)
            if place.live_transaction() is not None:
                place.check_open(is_inside=True)
                assert place.conn is not None
                place.has_written = True
                return work(place.conn, place)
            done = alone() if alone is not None else self._alone(work)
            self.server.trimming.pay()
            return done
        except DRIVER_ERRORS as exc:
            raise place.failure(exc) from exc
        finally:
            place.operation = before
            if place.deferred:
                place.run_deferred()

    def _alone(self, work: Callable[[Connection, ThreadPlace | None], T]) -> T:
        """The result of `work` on a connection of its own; on another one until the timeout, if it is lost."""
        sessions, deadline = self.sessions, steady_clock() + max(self.timeout, LEAST_SECONDS)
        while True:
            conn = sessions.take(self.timeout, deadline, check=False)  # one that was ended while idle fails at once
            try:
                return work(conn, None)
            except DRIVER_ERRORS as exc:
                if is_overtaken(exc) and steady_clock() < deadline:
                    continue  # one statement is a transaction: nothing of it was kept
                if not is_disconnected(exc, conn):
                    raise
                if steady_clock() >= deadline:
                    raise unreachable(exc, self.location) from exc
            finally:
                sessions.put_back(conn)

    def _certainly(
        self,
        work: Callable[[Connection, ThreadPlace | None, UUID | None], T],
        namespaces: Sequence[str],
        recovered: Callable[[Noted], T],
    ) -> T:
        sessions, deadline = self.sessions, steady_clock() + max(self.timeout, LEAST_SECONDS)
        while True:
            token = uuid4()
            conn = sessions.take(self.timeout, deadline)
            try:
                found = work(conn, None, token)
                if conn.unconfirmed and (warning := conn.take_unconfirmed()):
                    raise unconfirmed(warning, self.location)
                return found
            except DRIVER_ERRORS as exc:
                if is_overtaken(exc) and steady_clock() < deadline:
                    continue  # one statement is a transaction: nothing of it was kept
                if not is_disconnected(exc, conn):
                    raise
                noted = sessions.lost.noted(conn, token, namespaces, deadline)
                if noted is not None:
                    return recovered(noted)
                if steady_clock() >= deadline:
                    raise unreachable(exc, self.location) from exc
            finally:
                sessions.put_back(conn)

    def close(self) -> None:
        """Release the server; a second call does nothing."""
        self._is_closed = True
        self.sessions.handles.discard(self)
        self.bodies.keep_bytes(0)
        self.server.close_unused()
