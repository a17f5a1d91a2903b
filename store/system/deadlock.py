"""Deadlocks between writers of several files: how they are detected, and which writer gives up.

A thread that holds the lock of one file and waits for that of another writes a line into the lock file that it holds:
a count that grows while it waits, and the lock it waits for. A thread that waits against the order of the paths
follows those lines from the lock that it wants. If they lead to a lock that it holds itself, and every count grows,
it gives up: in each ring some thread waits against the order, and the others can then continue. The line of a killed
process stays, but its count does not grow.

Only lock files of stores that this process has open are read: a line, which another user may have written, never
makes it open another file. A ring through a store that it does not have open ends by the timeout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

LOOK_SECONDS = 0.01  # between two looks along the lines
LINE_BYTES = 8192  # a path has no more than 4096


class Lock(Protocol):
    """A writer's lock, as this module uses it."""

    label: str
    """Its path; for a store in memory, a unique name."""

    def say(self, line: bytes) -> None:
        """Publish the lock that its holder waits for; other waiters read it by `said`."""

    def said(self) -> bytes: ...


L = TypeVar("L", bound=Lock)


class Waiting(Generic[L]):
    """A thread that holds some locks and waits for another. To be used by that thread alone.

    `find` returns the lock with a label, if this process has it.
    """

    def __init__(self, wanted: L, held: Sequence[L], find: Callable[[str], L | None]) -> None:
        self.wanted = wanted
        self.held = held
        self._find = find
        self._count = 0
        self._labels = {lock.label for lock in held}
        self._is_against_order = any(_place(lock) > _place(wanted) for lock in held)
        self._ring: list[tuple[str, bytes]] = []  # as first seen

    def look(self) -> bool:
        """Publish that this thread still waits; returns whether it is in a deadlock."""
        self._count += 1
        for lock in self.held:
            lock.say(b"%d %s\n" % (self._count, self.wanted.label.encode("utf-8", "surrogateescape")))
        if not self._is_against_order:
            return False
        ring = self._followed()
        if [label for label, _ in ring] != [label for label, _ in self._ring]:
            self._ring = ring
            return False
        return bool(ring) and all(now != then for (_, now), (_, then) in zip(ring, self._ring, strict=True))

    def end(self) -> None:
        """Stop publishing that this thread waits."""
        for lock in self.held:
            lock.say(b"\n")

    def advice(self) -> str:
        """The order of locking in which there is no deadlock."""
        return ", then of ".join(_file(lock) for lock in sorted([*self.held, self.wanted], key=_place))

    def _followed(self) -> list[tuple[str, bytes]]:
        """The locks from the wanted one to one that we hold, with their waiters' counts; empty if the chain ends."""
        ring: list[tuple[str, bytes]] = []
        lock: L | None = self.wanted
        while lock is not None and lock.label not in [label for label, _ in ring]:
            count, _, label = lock.said().partition(b"\n")[0].partition(b" ")
            if not count.isdigit():
                return []
            ring.append((lock.label, count))
            target = label.decode("utf-8", "surrogateescape")
            if target in self._labels:
                return ring
            lock = self._find(target)
        return []


def _place(lock: Lock) -> tuple[bool, str]:
    """Files by their path, then those in memory."""
    return lock.label.startswith(":"), lock.label


def _file(lock: Lock) -> str:
    return ":memory:" if lock.label.startswith(":") else lock.label.removesuffix(".lock")
