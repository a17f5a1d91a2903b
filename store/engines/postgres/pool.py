"""The pool of connections of a process to one database, with a stack of idle ones before the driver's pool."""

from __future__ import annotations

from collections import deque
from typing import Any

from psycopg_pool import ConnectionPool

from store.system.clock import steady_clock

RETURN_SECONDS = 60.0  # how long a connection stays out of the driver's pool, which ends old and unused ones


class Pool:
    """Connections that one caller at a time uses. Safe across threads.

    The driver's pool opens them, limits their number and ends old ones. Taking one from it and returning it takes
    a fifth of the time of a short read, so that the ones that were used last stay on a stack here. A caller that
    finds the stack empty waits in the queue of the driver's pool, and while one does, connections are returned there.
    """

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool
        self._idle: deque[Any] = deque()
        self._waiters: list[None] = []  # one for each thread that waits; append and pop are atomic
        self._is_closed = False

    def take(self, timeout: float) -> Any:
        """A connection; the one that was used last. Raises: PoolTimeout, PoolClosed."""
        try:
            return self._idle.pop()
        except IndexError:
            pass
        self._waiters.append(None)
        try:
            # Looked at again: `give` looks for waiters after it has put one there.
            conn = self._idle.pop() if self._idle else self._pool.getconn(timeout)
        except IndexError:  # another thread was faster
            conn = self._pool.getconn(timeout)
        finally:
            self._waiters.pop()
        conn.taken_at = steady_clock()
        return conn

    def give(self, conn: Any) -> None:
        """Return a connection that is not inside a statement or transaction, or was closed."""
        now = conn.idle_since = steady_clock()
        if self._waiters or self._is_closed or conn.closed or now - conn.taken_at > RETURN_SECONDS:
            self._pool.putconn(conn)
            if self._idle and now - self._idle[0].idle_since > RETURN_SECONDS:
                self._return(self._idle.popleft)
            return
        self._idle.append(conn)
        if self._waiters or self._is_closed:
            self._return(self._idle.pop)

    def close(self, timeout: float) -> None:
        """Close all connections; those in use when they are returned."""
        self._is_closed = True
        while self._idle:
            self._return(self._idle.pop)
        self._pool.close(timeout)

    def _return(self, take: Any) -> None:
        try:
            conn = take()
        except IndexError:  # another thread took it
            return
        self._pool.putconn(conn)
