"""One handle on a database, shared by its engine and its capabilities."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from store.engines.capabilities import WHOLE, Scope
from store.engines.postgres.errors import DRIVER_ERRORS, is_disconnected, translated
from store.engines.postgres.place import ThreadPlace
from store.engines.postgres.server import Server
from store.engines.postgres.sessions import Connection
from store.engines.reentry import conflict, in_use, is_in_block, refuse
from store.engines.transaction import HeldTransaction
from store.errors import OutcomeUnknown, ReadOnly, StoreClosed

T = TypeVar("T")


class Handle:
    """Runs statements for one `Store` until it is closed."""

    def __init__(self, server: Server, *, read_only: bool, timeout: float) -> None:
        self.server = server
        self.sessions = server.sessions
        self.location = server.sessions.location.shown
        self.read_only = read_only
        self.timeout = timeout
        server.sessions.handles.add(self)

    def check_open(self, *, is_writing: bool = False) -> None:
        """Raises: StoreClosed: it was closed. ReadOnly."""
        if self not in self.sessions.handles:
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

        Outside of a transaction it is called again, on another connection, where one is lost meanwhile.
        """
        self.check_open()
        place = self.server.visitor()
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
            return self._alone(lambda conn: work(conn, None), again=True)
        except DRIVER_ERRORS as exc:
            raise translated(exc, self.location) from exc
        finally:
            place.operation = before
            if place.deferred:
                place.run_deferred()

    # -- writing

    def write(self, work: Callable[[Connection, ThreadPlace | None], T]) -> T:
        """Call `work`, which writes by one statement, in the open transaction or by itself."""
        self.check_open(is_writing=True)
        place = self.server.visitor()
        if place.operation is not None or place.transaction is not None:
            refuse(place)
        before = place.operation
        try:
            place.operation = sys._getframe()
            self.server.trimming.note(1)
            if place.live_transaction() is not None:
                place.check_open(is_inside=True)
                assert place.conn is not None
                return work(place.conn, place)
            done = self._alone(lambda conn: work(conn, None), again=False)
            self.server.trimming.pay()
            return done
        except DRIVER_ERRORS as exc:
            raise translated(exc, self.location) from exc
        finally:
            place.operation = before
            if place.deferred:
                place.run_deferred()

    def _alone(self, work: Callable[[Connection], T], *, again: bool) -> T:
        sessions = self.sessions
        while True:
            conn = sessions.take(self.timeout)
            try:
                return work(conn)
            except DRIVER_ERRORS as exc:
                if not is_disconnected(exc):
                    raise
                if not again:
                    raise OutcomeUnknown(
                        f"{self.location}: the connection was lost during a write ({exc}); read the record before "
                        "you write it again",
                        path=self.location,
                    ) from exc
                again = False
            finally:
                sessions.put_back(conn)

    def transaction(
        self, timeout: float | None = None, *, block: bool = False, scope: Scope = WHOLE
    ) -> HeldTransaction:
        """A transaction for the caller to enter."""
        self.check_open(is_writing=True)
        return HeldTransaction(
            self.server.visitor(), self.timeout if timeout is None else timeout, block=block, scope=scope
        )

    def close(self) -> None:
        """Release the server; a second call does nothing."""
        self.sessions.handles.discard(self)
        self.server.close_unused()
