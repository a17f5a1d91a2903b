"""Notes of the uses of records in a table that is not logged: the contract `Accesses`.

One round trip brings the gathered notes; those of records that are not there are dropped. It has a connection of its
own: inside the caller's transaction it would lock what others note, and an error would end that transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from store.engines.capabilities import Figures, Use
from store.engines.gathering import PATIENCE_SECONDS, Gathering, nothing
from store.engines.postgres.errors import DRIVER_ERRORS
from store.engines.postgres.eviction_statements import EvictionStatements
from store.engines.postgres.handle import Handle
from store.errors import StoreError

TICKS = 16  # of a second: the precision of times
MINUTE = 60.0


class PostgresAccesses:
    """Safe across threads and after a fork."""

    def __init__(
        self,
        handle: Handle,
        statements: EvictionStatements,
        namespace: str,
        now: Callable[[], float],
    ) -> None:
        self._sessions = handle.sessions
        self._statements = statements
        self._namespace = namespace
        self._now = now
        self._swept = ""  # up to this name
        self.gathering = Gathering(self._carry, now, is_writable=not handle.read_only)
        self.note: Callable[[str], None] = nothing if handle.read_only else self.gathering.note
        self.count, self.flush = self.gathering.count, self.gathering.flush

    def uses(self, names: Sequence[str]) -> list[Use | None]:
        self.flush()
        wanted = [name for name in names if _is_text(name)]
        answers = self._run(PATIENCE_SECONDS, (self._statements.uses, (self._namespace, wanted)))
        now = self._now()
        found = {} if answers is None else {name: _use(last, frequency, now) for name, last, frequency in answers[0]}
        return [found.get(name) for name in names]

    def figures(self) -> Figures:
        """Those of the namespace."""
        self.flush()
        answers = self._run(PATIENCE_SECONDS, (self._statements.figures, (self._namespace,)))
        stored = answers[0][0] if answers and answers[0] else (0, 0, 0)
        return self.gathering.added_to(stored)

    def reset(self) -> None:
        if self.gathering.is_writable:
            self.gathering.figures = [0, 0, 0]
            self._run(PATIENCE_SECONDS, (self._statements.reset, (self._namespace,)))

    def close(self) -> None:
        """Bring the gathered notes to the server; afterwards nothing is noted."""
        self.note = nothing
        self.gathering.close()

    def _carry(
        self, seconds: float, last: Mapping[str, float], uses: Mapping[str, int], figures: Sequence[int]
    ) -> bool:
        names = [name for name in uses if _is_text(name)]
        values = self._namespace, names, [last[name] for name in names], [uses[name] for name in names]
        answers = self._run(
            seconds,
            (self._statements.flush, values),
            (self._statements.sweep, (self._namespace, self._swept)),
            (self._statements.count, (self._namespace, *figures)),
        )
        if answers is None:
            return False
        self._swept = answers[1][0][0]
        return True

    def _run(self, seconds: float, *statements: tuple[str, Sequence[Any]]) -> list[list[Any]] | None:
        """The rows of each statement; None if they cannot be run now, and nothing was done."""
        try:
            conn = self._sessions.take(seconds)
            try:
                if len(statements) == 1:
                    cursors = [conn.execute(*statements[0])]
                else:
                    cursors = conn.together(("BEGIN", ()), *statements, ("COMMIT", ()))[1:-1]
                return [cursor.fetchall() if cursor.description else [] for cursor in cursors]
            finally:
                self._sessions.put_back(conn)
        except (StoreError, *DRIVER_ERRORS):  # a role without the right to write, a standby, no connection
            return None


def _use(last: float, frequency: int, now: float) -> Use:
    """A note as of now: the frequency falls with each minute that has begun since."""
    faded = max(0, int(now // MINUTE - last // MINUTE))
    return Use(int(last * TICKS) / TICKS, max(0, frequency - faded))


def _is_text(name: str) -> bool:
    """Whether PostgreSQL has such a text; no record has another name."""
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:
        return False
