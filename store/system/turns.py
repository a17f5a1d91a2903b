"""The queue of the threads of a process that wait for one lock: first come, first served.

A thread that acquires a lock repeatedly is always faster than one that must wake up first: 104,418 to 1 were
measured. It may do so a few times while others wait, since each switch of threads costs as much as a write or two;
then the lock is reserved for the thread that has waited longest.
"""

from __future__ import annotations

import threading
from collections import deque
from weakref import ref

TURN = 8  # times in a row that a thread may take the lock while others wait
PATIENCE = 3  # looks at a free lock whose turn is another's, QUEUE_SECONDS apart, until that one counts as gone
QUEUE_SECONDS = 0.05


class Ticket:
    """The place of a waiting thread in the queue; one that an interrupt drops does not count any more."""

    __slots__ = ("__weakref__", "_late_at", "thread", "wake")

    def __init__(self, thread: int, now: float = 0.0) -> None:
        self.thread = thread
        self.wake = threading.Event()
        self._late_at = now + QUEUE_SECONDS

    def is_late(self, now: float) -> bool:
        """Whether one that polls is late now: every QUEUE_SECONDS, however often it polls.

        Greenlets poll every 2 ms. Were each of their looks late, a few of them would drop the first ticket before it
        polls itself, and it would go to the end of the queue: nobody took the free lock for a minute.
        """
        if now < self._late_at:
            return False
        self._late_at = now + QUEUE_SECONDS
        return True


class Turns:
    """The queue of one lock, used under its mutex."""

    def __init__(self) -> None:
        self.waiting: deque[ref[Ticket]] = deque()
        """Empty if no thread waits; callers check that first."""
        self._last = 0  # the thread that took it last, and how often in a row
        self._taken = 0
        self._looks = 0

    def take(self, thread: int, ticket: Ticket | None, *, is_late: bool) -> bool:
        """Whether that thread may take the free lock; `is_late`: it was not woken while it waited."""
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
        """Add the ticket at the end of the queue, unless it is in it."""
        if all(other() is not ticket for other in self.waiting):
            self.waiting.append(ref(ticket))

    def leave(self, ticket: Ticket) -> None:
        self.waiting = deque(other for other in self.waiting if other() not in (None, ticket))

    def wake(self) -> None:
        """Wake the thread that has waited longest, since the lock is free."""
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
        """Drop a first ticket that does not take its turn: an interrupt may have left it, kept by a traceback."""
        self._looks += is_late
        if self._looks >= PATIENCE:
            self._looks = 0
            self.waiting.popleft()
            self.wake()
