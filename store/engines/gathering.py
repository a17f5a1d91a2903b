"""Notes of the uses of records, and figures, that a process gathers before it brings them to a server.

What is noted costs no round trip: one brings `GATHERED` notes at once. Notes that cannot be brought are dropped;
figures are kept for the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from weakref import WeakSet

from store.engines.capabilities import Figures
from store.system import forking

GATHERED = 1000  # notes
WAIT_SECONDS = 0.01  # for the server, for a caller that has its answer already
PATIENCE_SECONDS = 1.0  # for one that asks

Carry = Callable[[float, Mapping[str, float], Mapping[str, int], Sequence[int]], bool]
"""Brings notes and figures to the server within so many seconds: the last use of each name, its number of uses, and
hits, misses and evictions. Returns whether it could; it raises nothing."""


class Gathering:
    """Safe across threads: of two that note at once one may be lost. A forked child begins with no notes.

    `is_writable`: False for a reader, which brings nothing to the server.
    """

    def __init__(self, carry: Carry, now: Callable[[], float], *, is_writable: bool) -> None:
        self.is_writable = is_writable
        self._carry = carry
        self._now = now
        self.renew()
        _open.add(self)

    def renew(self) -> None:
        """In a forked child: all notes and figures are the parent's."""
        self._is_carrying = False  # a signal handler may note a use meanwhile
        self.forget()

    def forget(self) -> None:
        """Drop all."""
        self._last: dict[str, float] = {}
        self._uses: dict[str, int] = {}
        self.figures = [0, 0, 0]
        self._left = GATHERED

    def note(self, name: str) -> None:
        """As `Accesses.note`."""
        self._last[name] = self._now()
        self._uses[name] = self._uses.get(name, 0) + 1
        self._left -= 1
        if self._left <= 0:
            self.bring(WAIT_SECONDS)

    def count(self, *, hits: int = 0, misses: int = 0, evictions: int = 0) -> None:
        """As `Accesses.count`."""
        figures = self.figures
        figures[0] += hits
        figures[1] += misses
        figures[2] += evictions

    def added_to(self, stored: Sequence[int]) -> Figures:
        """Hits, misses and evictions that the server has, and those that could not be brought to it."""
        return Figures(*[there + here for there, here in zip(stored, self.figures, strict=True)])

    def flush(self) -> None:
        """As `Accesses.flush`."""
        self.bring(PATIENCE_SECONDS)

    def bring(self, seconds: float) -> None:
        """Bring all notes and figures to the server within so many seconds, if there are any."""
        if not self.is_writable or self._is_carrying or not (self._uses or any(self.figures)):
            return
        self._is_carrying = True
        last, uses, figures = self._last, self._uses, self.figures
        self.forget()
        try:
            if not self._carry(seconds, last, {name: uses[name] for name in list(uses) if name in last}, figures):
                self.figures = [here + kept for here, kept in zip(self.figures, figures, strict=True)]
        finally:
            self._is_carrying = False

    def close(self) -> None:
        """Bring all to the server, for the last time."""
        self.bring(WAIT_SECONDS)
        self.is_writable = False
        self.forget()
        _open.discard(self)


def nothing(name: str) -> None:
    """A `note` where none can be kept."""


_open: WeakSet[Gathering] = WeakSet()


def _after_fork_in_child() -> None:
    for gathering in list(_open):
        gathering.renew()


forking.register(forking.Stage.ENGINES, in_child=_after_fork_in_child)
