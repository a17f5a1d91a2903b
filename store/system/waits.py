"""How often and for how long a process has waited for its locks."""

from __future__ import annotations


class Waits:
    """Two sums. Threads that end a wait at the same moment may lose one of them; nothing depends on it."""

    __slots__ = ("number", "seconds")

    def __init__(self) -> None:
        self.number = 0
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one wait."""
        self.number += 1
        self.seconds += seconds
