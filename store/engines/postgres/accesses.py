"""Notes of the uses of records in a table that is not logged: the contract `Accesses`.

Notes are gathered in the process, and brought to the server by one round trip for every `GATHERED` of them, at
`flush`, and before `uses`; those of records that are not there are dropped. That has a connection of its own: inside
the caller's transaction it would lock what others note, and an error would end that transaction. What cannot be
brought is dropped; the figures are kept for the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

from store.engines.capabilities import Figures, Use
from store.engines.postgres.errors import DRIVER_ERRORS
from store.engines.postgres.eviction_statements import EvictionStatements
from store.engines.postgres.handle import Handle
from store.errors import StoreError
from store.system import forking

GATHERED = 1000  # notes
WAIT_SECONDS = 0.01  # for a connection, for a caller that has its answer already
PATIENCE_SECONDS = 1.0  # for one that asks
TICKS = 16  # of a second: the precision of times
MINUTE = 60.0


class PostgresAccesses:
    """Safe across threads: of two that note at once one may be lost. A forked child begins with no notes."""

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
        self._is_writable = not handle.read_only
        self._swept = ""  # up to this name
        self._is_flushing = False  # a signal handler may note a use meanwhile
        self.forget()
        self.note: Callable[[str], None] = self._note if self._is_writable else _nothing
        _open.add(self)

    def forget(self) -> None:
        """Drop all gathered notes and figures: in a forked child they are the parent's."""
        self._last: dict[str, float] = {}
        self._count: dict[str, int] = {}
        self._figures = [0, 0, 0]
        self._left = GATHERED

    def _note(self, name: str) -> None:
        self._last[name] = self._now()
        self._count[name] = self._count.get(name, 0) + 1
        self._left -= 1
        if self._left <= 0:
            self._bring(WAIT_SECONDS)

    def uses(self, names: Sequence[str]) -> list[Use | None]:
        self._bring(PATIENCE_SECONDS)
        wanted = [name for name in names if _is_text(name)]
        answers = self._run(PATIENCE_SECONDS, (self._statements.uses, (self._namespace, wanted)))
        now = self._now()
        found = {} if answers is None else {name: _use(last, frequency, now) for name, last, frequency in answers[0]}
        return [found.get(name) for name in names]

    def count(self, *, hits: int = 0, misses: int = 0, evictions: int = 0) -> None:
        figures = self._figures
        figures[0] += hits
        figures[1] += misses
        figures[2] += evictions

    def figures(self) -> Figures:
        """Those of the namespace."""
        self._bring(PATIENCE_SECONDS)
        answers = self._run(PATIENCE_SECONDS, (self._statements.figures, (self._namespace,)))
        stored = answers[0][0] if answers and answers[0] else (0, 0, 0)
        return Figures(*[there + here for there, here in zip(stored, self._figures, strict=True)])

    def reset(self) -> None:
        if self._is_writable:
            self._figures = [0, 0, 0]
            self._run(PATIENCE_SECONDS, (self._statements.reset, (self._namespace,)))

    def flush(self) -> None:
        self._bring(PATIENCE_SECONDS)

    def close(self) -> None:
        """Bring the gathered notes to the server; afterwards nothing is noted."""
        self._bring(WAIT_SECONDS)
        self._is_writable = False
        self.note = _nothing
        self.forget()
        _open.discard(self)

    def _bring(self, seconds: float) -> None:
        """Bring the gathered notes and figures to the server, if there are any."""
        if not self._is_writable or self._is_flushing or not (self._count or any(self._figures)):
            return
        self._is_flushing = True
        last, count, figures = self._last, self._count, self._figures
        self.forget()
        try:
            names = [name for name in count if name in last and _is_text(name)]
            values = self._namespace, names, [last[name] for name in names], [count[name] for name in names]
            answers = self._run(
                seconds,
                (self._statements.flush, values),
                (self._statements.sweep, (self._namespace, self._swept)),
                (self._statements.count, (self._namespace, *figures)),
            )
            if answers is None:
                self._figures = [here + kept for here, kept in zip(self._figures, figures, strict=True)]
            else:
                self._swept = answers[1][0][0]
        finally:
            self._is_flushing = False

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


def _nothing(name: str) -> None:
    """A `note` where none can be kept."""


_open: WeakSet[PostgresAccesses] = WeakSet()


def _after_fork_in_child() -> None:
    for accesses in list(_open):
        accesses.forget()


forking.register(forking.Stage.ENGINES, in_child=_after_fork_in_child)
