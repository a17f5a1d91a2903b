"""Deleting old changes: by those who write, some with every so many, so that the table does not grow for ever."""

from __future__ import annotations

from store.engines.postgres.coordination import TRIMMED_AT_ONCE, ChangeStatements
from store.engines.postgres.errors import DRIVER_ERRORS
from store.engines.postgres.schema import lock_key
from store.engines.postgres.sessions import Sessions
from store.errors import StoreError

TRIM_EVERY = 1000  # changes of this process
WAIT_SECONDS = 0.01  # for a connection: the caller has its answer already


class Trimming:
    """Counts the changes of a process. A lost count does no harm, so threads need no lock."""

    def __init__(self, sessions: Sessions, statements: ChangeStatements) -> None:
        self._sessions = sessions
        self._statements = statements
        self._key = lock_key(sessions.location, "trim")
        self._noted = 0

    def note(self, changes: int) -> None:
        """So many changes were written; they need not be committed yet."""
        self._noted += changes

    def pay(self) -> None:
        """After a commit: delete some old changes, if it is time. Never raises a `StoreError`.

        Each call deletes more than were written since the last one, so that a backlog shrinks.
        """
        if self._noted >= TRIM_EVERY:
            self._noted = max(0, self._noted - TRIMMED_AT_ONCE // 2)
            try:
                self.trim()
            except (StoreError, *DRIVER_ERRORS):
                pass  # the next one does it

    def trim(self) -> int:
        """Delete up to TRIMMED_AT_ONCE changes that are old enough; returns how many."""
        conn = self._sessions.take(WAIT_SECONDS)
        try:
            features = self._sessions.features
            if features is None or features.xids:
                row = conn.execute(self._statements.trim, (self._key,), binary=True).fetchone()
            else:
                row = conn.execute(self._statements.trim_all, binary=True).fetchone()
            return int(row[0]) if row else 0
        finally:
            self._sessions.put_back(conn)
