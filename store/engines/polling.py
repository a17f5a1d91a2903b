"""When a client tries again to get what another client holds, on a server that does not say when it is free."""

from __future__ import annotations

from random import random

FIRST_PAUSE, LAST_PAUSE = 0.001, 0.05  # seconds between two attempts


class Polling:
    """The pauses of one wait, longer from one to the next up to a limit. One thread uses it."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE

    def next(self, left: float) -> float:
        """Seconds until the next attempt, at most those that are left."""
        pause, self._pause = self._pause, min(2 * self._pause, LAST_PAUSE)
        return min(pause * (0.5 + random() / 2), left)  # by chance: those that met do not meet again
