"""Connections that were lost: what their backends still do, and the writes whose outcome is not known yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from store.engines.postgres.connection import Backend, Connection
from store.engines.postgres.errors import DRIVER_ERRORS, is_disconnected
from store.engines.postgres.outcome import Noted, noted_by
from store.engines.postgres.statements import Statements
from store.errors import OutcomeUnknown, StoreError
from store.system.clock import steady_clock

LEAST_SECONDS = 2.0  # to reach the server, whatever `timeout` says: libpq has no shorter time
SETTLE_MILLISECONDS = 200  # for how long a new connection waits for a write that a lost one left running


class Lost(NamedTuple):
    """What a lost connection left behind: a backend that may still run, and the token of a write."""

    backend: Any
    token: UUID | None


class LostSessions:
    """Those of one location. `connect` makes a connection until a deadline. Safe across threads."""

    def __init__(self, statements: Statements, connect: Callable[..., Connection], shown: str) -> None:
        self._statements = statements
        self._connect = connect
        self._shown = shown
        self.renew()

    def renew(self) -> None:
        """Forget them, in a forked child: the parent settles its own."""
        self.unsettled: list[Lost] = []
        self._settling = threading.RLock()

    def add(self, conn: Connection) -> None:
        """Have the backend of a connection that was given up ended by the next connection."""
        conn.was_stalled = False
        if conn.backend is not None:
            self.unsettled.append(Lost(conn.backend, None))

    def look(self, conn: Connection, seconds: float) -> Backend:
        """What has become of the statement of a connection that does not answer; asked over another one."""
        try:
            other = self._connect(steady_clock() + seconds, is_patient=False)
        except StoreError as exc:
            # The server answers, though not for long: it has too many clients, or starts up.
            return Backend.WORKING if "FATAL" in str(exc) else Backend.UNREACHABLE
        try:
            if conn.backend is None:
                return Backend.WORKING
            other.deadline = steady_clock() + seconds
            row = other.execute(self._statements.backend_state, conn.backend).fetchone()
        except DRIVER_ERRORS:
            return Backend.UNREACHABLE
        finally:
            other.close()
        return Backend.SILENT if row is None or (row[0] or "idle").startswith("idle") else Backend.WORKING

    def noted(self, conn: Connection, token: UUID, namespaces: Sequence[str], deadline: float) -> Noted | None:
        """What the write of a token has changed, whose connection was lost; None: nothing, now and later.

        Raises:
            OutcomeUnknown: the server cannot be reached until the deadline, or the write is still running.
        """
        if conn.was_stalled:
            self.add(conn)
        while True:
            try:
                return self._ask(token, namespaces, deadline)
            except (StoreError, *DRIVER_ERRORS) as exc:
                if is_disconnected(exc) and steady_clock() < deadline:
                    continue
                self.unsettled.append(Lost(None, token))
                raise OutcomeUnknown(
                    f"{self._shown}: the connection was lost during a write, and until the timeout it could not be "
                    f"found out whether it was committed ({exc}); read the record before you write it again",
                    path=self._shown,
                ) from exc

    def _ask(self, token: UUID, namespaces: Sequence[str], deadline: float) -> Noted | None:
        other = self._connect(deadline)
        try:
            left = max(deadline - steady_clock(), LEAST_SECONDS)
            other.deadline = steady_clock() + left + 1.0  # the end of a wait for a lock is an answer
            other.wait_for_locks(left)
            return noted_by(other, self._statements, token, namespaces)
        finally:
            other.close()

    def settle(self, conn: Connection) -> None:
        """End the backends that were given up, and keep writes of unknown outcome from being committed later.

        A program that reads after `OutcomeUnknown` then reads what stays.
        """
        with self._settling:  # another thread's read must not come before the end of this
            running = []
            try:
                while self.unsettled:
                    lost = self.unsettled[-1]
                    try:
                        self._settle(conn, lost)
                    except psycopg.errors.LockNotAvailable:
                        running.append(lost)
                    if lost in self.unsettled:
                        self.unsettled.remove(lost)
            finally:
                self.unsettled += running

    def _settle(self, conn: Connection, lost: Lost) -> None:
        if lost.backend is not None:
            conn.execute(self._statements.end_backend, lost.backend)
        if lost.token is not None:
            conn.wait_for_locks(SETTLE_MILLISECONDS / 1000)
            noted_by(conn, self._statements, lost.token, ())
