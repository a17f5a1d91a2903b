"""A connection outside of the pool, for what must not wait until one becomes free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from store.engines.postgres.connection import Connection
from store.engines.postgres.errors import DRIVER_ERRORS, is_disconnected, translated
from store.engines.postgres.sessions import Blocking, Sessions
from store.errors import StorageError
from store.system.clock import steady_clock

CONNECT_SECONDS = 5.0


class Dedicated:
    """One connection, made when it is first needed, and again after it was lost. One thread uses it at a time.

    It blocks that thread, also beside an event loop.
    """

    def __init__(self, sessions: Sessions) -> None:
        self.conn: Connection | None = None
        self.number = 0
        """Counts the connections: knowledge from one that is lost may not hold on the next."""
        self._sessions = sessions

    def opened(self) -> Connection:
        """The connection. Raises: StorageError: the server cannot be reached."""
        conn = self.conn
        if conn is None or conn.closed:
            deadline = steady_clock() + CONNECT_SECONDS
            conn = self.conn = self._sessions.connect(deadline, is_patient=False, connecting=Blocking())
            conn.patience = CONNECT_SECONDS
            self.number += 1
        return conn

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of a statement that may run twice: again, on a new connection, if the first one is lost."""
        again = self.conn is not None
        while True:
            conn = self.opened()
            try:
                cursor = conn.execute(statement, values, binary=True)
                return [] if cursor.description is None else cursor.fetchall()
            except DRIVER_ERRORS as exc:
                if not is_disconnected(exc):
                    raise translated(exc, self._sessions.location.shown, self._sessions.role) from exc
                self.close()
                if not again:
                    raise StorageError(f"{self._sessions.location.shown}: {exc}") from exc
                again = False

    def close(self) -> None:
        """Close it; the next statement opens another one."""
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.close()

    def abandon(self) -> None:
        """In a forked child: forget the parent's connection, which closing would end."""
        if self.conn is not None:
            self._sessions.abandon(self.conn)
            self.conn = None
