"""Whose turn it is among the threads of a process that wait for one lock: first come, first served.

A thread that takes a lock again and again is always faster than one that has to wake up first: 104,418 to 1 were
seen. So it may do so a few times while others wait, since each change of threads costs as much as a write or two;
then the lock is kept for the one that waits longest.
"""

from __future__ import annotations

import threading
from collections import deque
from weakref import ref

TURN = 8  # times in a row that a thread may take the lock while others wait
PATIENCE = 3  # looks at a free lock whose turn is another's, QUEUE_SECONDS apart, until that one counts as gone
QUEUE_SECONDS = 0.05


class Ticket:
    """Of a thread that waits; an interrupt may lose it on any way, and then it no longer counts."""

    __slots__ = ("__weakref__", "thread", "wake")

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.wake = threading.Event()


class Turns:
    """Of one lock, and under its mutex."""

    def __init__(self) -> None:
        self.waiting: deque[ref[Ticket]] = deque()
        """Empty where nobody waits; then there is nothing to ask."""
        self._last = 0  # the thread that took it last, and how often in a row
        self._taken = 0
        self._looks = 0

    def take(self, thread: int, ticket: Ticket | None, *, is_late: bool) -> bool:
        """Whether that thread may take the lock, which is free; `is_late`: nobody took it while it waited."""
        first = self._first()
        is_mine = first is None or first is ticket or first.thread == thread
        if not is_mine and (self._last != thread or self._taken >= TURN):
            self._look(is_late)
            return False
        self._taken = self._taken + 1 if self._last == thread else 1
        self._last = thread
        self._looks = 0
        if ticket is not None:
            self.leave(ticket)
        return True

    def join(self, ticket: Ticket) -> None:
        """Stand in the queue, at its end if not in it yet."""
        if all(other() is not ticket for other in self.waiting):
            self.waiting.append(ref(ticket))

    def leave(self, ticket: Ticket) -> None:
        self.waiting = deque(other for other in self.waiting if other() not in (None, ticket))

    def wake(self) -> None:
        """The lock is free: tell the one that waits longest."""
        first = self._first()
        if first is not None:
            first.wake.set()

    def _first(self) -> Ticket | None:
        while self.waiting:
            ticket = self.waiting[0]()
            if ticket is not None:
                return ticket
            self.waiting.popleft()
        return None

    def _look(self, is_late: bool) -> None:
        """The first one does not come: it may be what an interrupt left, kept by a traceback."""
        self._looks += is_late
        if self._looks >= PATIENCE:
            self._looks = 0
            self.waiting.popleft()
            self.wake()
