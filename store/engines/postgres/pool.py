"""A pool of connections that its callers fill: it has no thread of its own.

psycopg_pool connects in threads. A caller then waits for its whole timeout where the server refuses the connection,
and does not learn why; after an outage of minutes the threads pause for minutes; and a forked child has none of them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar
from weakref import WeakSet

from store.errors import LockTimeout
from store.system.clock import steady_clock

IDLE_SECONDS = 600.0  # an unused connection is closed after that, when another one is put back
SLICE_SECONDS = 0.25  # a waiter looks again after that: a connection that is collected notifies nobody


class Pooled(Protocol):
    """A connection, as a pool knows it."""

    idle_since: float

    @property
    def closed(self) -> bool: ...

    def close(self) -> None: ...


C = TypeVar("C", bound=Pooled)


class _Place:
    """A place in the pool for a connection that is being made."""


class Pool(Generic[C]):
    """At most `size` connections, each used by one thread at a time. Safe across threads.

    It refers weakly to those that are in use or being made: one that an interrupt lost is collected, and frees its
    place.
    """

    def __init__(self, connect: Callable[[float], C], size: int, shown: str) -> None:
        self._connect = connect
        self._size = size
        self._shown = shown
        self._idle: deque[C] = deque()
        self._every: WeakSet[C] = WeakSet()
        self._connecting: WeakSet[_Place] = WeakSet()
        self._waiting = 0
        self._is_closed = False
        self._freed = threading.Condition(threading.RLock())

    def take(self, deadline: float) -> C:
        """The connection that was used last, or a new one.

        Raises:
            LockTimeout: all of them were in use until then. And as `connect`.
        """
        if not self._waiting:
            try:
                return self._idle.pop()
            except IndexError:
                pass
        found = self._wait(deadline)
        return self._add(found, deadline) if isinstance(found, _Place) else found

    def _wait(self, deadline: float) -> C | _Place:
        """An idle connection, or a place for one that the caller makes."""
        with self._freed:
            self._waiting += 1
            try:
                while not self._idle:
                    if len(self._every) + len(self._connecting) < self._size:
                        place = _Place()
                        self._connecting.add(place)
                        return place
                    left = deadline - steady_clock()
                    if left <= 0:
                        raise self._exhausted()
                    self._freed.wait(min(left, SLICE_SECONDS))
                return self._idle.pop()
            finally:
                self._waiting -= 1

    def _add(self, place: _Place, deadline: float) -> C:
        try:
            conn = self._connect(deadline)
            self._every.add(conn)
            return conn
        finally:
            with self._freed:
                self._connecting.discard(place)
                self._freed.notify()

    def put_back(self, conn: C) -> None:
        """Make it idle again; one that is closed frees its place."""
        if self._is_closed:
            conn.close()
        if conn.closed:
            with self._freed:
                self._every.discard(conn)
                self._freed.notify()
        else:
            now = conn.idle_since = steady_clock()
            idle = self._idle
            idle.append(conn)
            if self._waiting:
                with self._freed:
                    self._freed.notify()
            elif idle and now - idle[0].idle_since > IDLE_SECONDS:
                self._close_oldest()

    def _close_oldest(self) -> None:
        try:
            conn = self._idle.popleft()
        except IndexError:
            return
        conn.close()
        self._every.discard(conn)

    def close(self) -> None:
        """Close the idle connections now, and the others when they are put back."""
        self._is_closed = True
        while self._idle:
            self._close_oldest()

    def _exhausted(self) -> LockTimeout:
        return LockTimeout(
            f"{self._shown}: all {self._size} connections of this process were in use until the timeout; raise "
            "pool_size in the URL (and max_connections of the server), or hold fewer transactions open at once",
            path=self._shown,
        )
