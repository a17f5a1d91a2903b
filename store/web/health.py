"""`Health`: checks of a whole store on request, one at a time; the last result is kept with its time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from store.care.verify import Verification
from store.errors import StoreError
from store.mapping.store import Store


@dataclass(frozen=True, slots=True)
class Check:
    """A check that has ended. `found` is None where the store could not be checked, and `problem` says why.

    `began` and `ended` are Unix seconds.
    """

    began: float
    ended: float
    found: Verification | None
    problem: str | None = None


class Health:
    """The checks of one application, which are `Store.verify(quick=True)`. Safe across threads."""

    def __init__(self) -> None:
        self._running = threading.Lock()
        self._began: float | None = None
        self._last: Check | None = None
        self._count = 0

    @property
    def count(self) -> int:
        """How many checks have ended."""
        return self._count

    @property
    def last(self) -> Check | None:
        """The check that ended last, if there was any."""
        return self._last

    @property
    def began(self) -> float | None:
        """When the check began that runs now; None if none does."""
        return self._began

    def check(self, s: Store[Any], clock: Callable[[], float], number: int) -> bool:
        """Runs a check in this thread if `number` have ended so far; returns whether it did.

        A page that is loaded again asks with the same number, so that it shows the result and runs nothing. While
        another thread runs a check none is begun.
        """
        if not self._running.acquire(blocking=False):
            return False
        try:
            if number != self._count:
                return False
            self._began = clock()
            self._last = _checked(s, clock)
            self._count += 1
            return True
        finally:
            self._began = None
            self._running.release()


def _checked(s: Store[Any], clock: Callable[[], float]) -> Check:
    began = clock()
    try:
        found = s.verify(quick=True)
    except StoreError as exc:  # such as a lock of another program; the page shows it
        return Check(began, clock(), None, str(exc))
    return Check(began, clock(), found)
