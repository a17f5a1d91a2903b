"""What programs do with a store: the figures, the capability that gives them, and the counters of this process."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from store.system.waits import Waits


class Activity(NamedTuple):
    """What programs did with a store since its counters began; None: the engine does not know that figure."""

    reads: int | None = None
    """Records that were looked up, or read in a listing of values. On a server a page of a listing counts once."""
    hits: int | None = None
    """Those of them that a read cache answered."""
    writes: int | None = None
    """Records that were written or deleted."""
    lock_waits: int | None = None
    """How often a program waited for a lock: for its turn to write, or for a named one."""
    lock_wait_seconds: float | None = None
    waiting: int | None = None
    """How many wait for a lock now."""


class ActivityCounters(Protocol):
    """Figures of what all programs do with a store. Those that a killed program had not added yet are lost."""

    def begin(self) -> None:
        """Have programs count from now on, where they would not otherwise. It does nothing where that cannot be."""

    def figures(self) -> Activity:
        """The figures now. On a server they may be those of other stores too. Raises: StoreError."""


class Counters:
    """Sums of this process since it opened the store. Threads that count at once may lose one; nothing depends on it.

    Plain attributes, because a cached read that counts must cost no call.
    """

    __slots__ = ("hits", "reads", "waits", "writes")

    def __init__(self) -> None:
        self.hits = 0
        """Reads that a cache answered."""
        self.reads = 0
        """Records that were looked up or read in the engine."""
        self.writes = 0
        """Records that were written or deleted, also by transactions that were rolled back."""
        self.waits = Waits()
        """Waits for the writer's lock and for named locks."""
