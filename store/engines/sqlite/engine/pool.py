"""The connections of one process to one file: one for each thread and greenlet that uses it, opened on first use.

Lock order: the pool's lock, then a connection's guard.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from store.engines.reentry import conflict
from store.engines.sqlite.engine.thread_connection import Host, ThreadConnection
from store.errors import StoreClosed
from store.system import running
from store.system.clock import steady_clock


class ConnectionPool:
    """Safe across threads. Before a fork `park` closes idle connections, and in the child `renew` starts anew.

    `connect` opens a connection.
    """

    def __init__(self, path: str, connect: Callable[[ThreadConnection], sqlite3.Connection], host: Host) -> None:
        self._path = path
        self._connect = connect
        self._host = host
        self._connections: list[ThreadConnection] = []
        self._lock = threading.RLock()
        self._local = threading.local()
        self._of_greenlets: dict[int, ThreadConnection] = {}  # by their `id`

    def own(self) -> ThreadConnection:
        """The connection of the calling thread or greenlet."""
        if "greenlet" in sys.modules and (greenlet := running.greenlet()) is not None:
            return self._of_greenlet(greenlet) or self._new(greenlet)
        try:
            return self._local.connection  # type: ignore[no-any-return]
        except AttributeError:
            own = self._local.__dict__  # `setdefault`, since a signal handler in between may set it first
            mark = own.setdefault("mark", running.Mark())
            return own.setdefault("connection", self._new(mark))  # type: ignore[no-any-return]

    def known(self) -> ThreadConnection | None:
        """The connection of the caller, or None if it has not used the file."""
        greenlet = running.greenlet()
        return getattr(self._local, "connection", None) if greenlet is None else self._of_greenlet(greenlet)

    def is_in_transaction(self) -> bool:
        """Whether the caller is in a transaction, or interrupts one. Never opens a connection."""
        connection = self.known()
        return connection is not None and (conflict(connection) is not None or connection.current() is not None)

    def open_extra(self) -> ThreadConnection:
        """A connection that belongs to no thread; close it by `close_extra`."""
        return self._add(ThreadConnection(self._path, self._connect, self._host))

    def close_extra(self, connection: ThreadConnection) -> None:
        """Close it for good: a statement that another thread is about to run on it raises StoreClosed."""
        connection.close_for_good(_given_back)
        with self._lock:  # removed only now: a fork must find it for as long as it is open
            if connection in self._connections:
                self._connections.remove(connection)

    def all(self) -> list[ThreadConnection]:
        """All current connections."""
        return self._connections.copy()

    def has_open(self, *, logged: bool = False) -> bool:
        """Whether a connection is open; `logged`: one that has read through the index of the log.

        A file with a rollback journal may have an old index beside it, which does not change any more.
        """
        return any(each.conn is not None and (each.logged or not logged) for each in self._connections.copy())

    def reopen(self) -> None:
        """Reopen each connection before its next statement."""
        with self._lock:
            for connection in self._connections:
                connection.is_outdated = True

    def close_idle(self, seconds: float) -> None:
        """Close the connections that no thread is using; the next use opens them again."""
        for connection in self._connections.copy():
            connection.close_within(seconds, if_idle=True)

    def close_within(self, seconds: float) -> None:
        """Close all connections, also in a transaction; one in a longer statement is closed after it."""
        for connection in self._connections.copy():
            connection.close_within(seconds, if_idle=False)

    def close(self) -> None:
        """Close all connections for good; open transactions are rolled back."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def _of_greenlet(self, greenlet: Any) -> ThreadConnection | None:
        connection = self._of_greenlets.get(id(greenlet))
        is_its = connection is not None and connection.life is not None and connection.life.is_of(greenlet)
        return connection if is_its else None

    def _new(self, bearer: object) -> ThreadConnection:
        """A connection for the thread with that mark, or for that greenlet."""
        connection = ThreadConnection(self._path, self._connect, self._host)
        connection.life = running.Life(bearer)
        with self._lock:
            if not isinstance(bearer, running.Mark):
                self._of_greenlets[id(bearer)] = connection
            return self._add(connection)

    def _add(self, heir: ThreadConnection) -> ThreadConnection:
        """Remove the connections of ended threads; the heir takes over one of them, since opening one is slow."""
        with self._lock:
            self._connections.append(heir)
            for old in [old for old in self._connections if old.is_orphaned()]:
                heir.inherit(old)
                old.close()
                with suppress(ValueError):  # a signal handler has closed it meanwhile
                    self._connections.remove(old)
                if self._of_greenlets.get(old.owner) is old:
                    del self._of_greenlets[old.owner]
        return heir

    # -- fork

    def park(self, deadline: float) -> bool:
        """Before a fork: close every connection once it is idle, and keep all from opening.

        Returns whether that was done by the deadline.
        """
        self._lock.acquire(timeout=max(0.0, deadline - steady_clock()))
        connections = self._connections.copy()
        for connection in connections:
            connection.park(deadline)
        return all(connection.is_parked for connection in connections)

    def unpark(self) -> None:
        """After a fork, in the parent."""
        for connection in self._connections.copy():
            connection.unpark()
        with suppress(RuntimeError):  # the lock was not to be had
            self._lock.release()

    def renew(self) -> list[ThreadConnection]:
        """After a fork, in the child: start anew. Returns connections that were in use; they must stay referenced."""
        in_use = [connection for connection in self._connections if not connection.is_parked]
        self._lock = threading.RLock()
        self._local = threading.local()
        self._of_greenlets = {}
        self._connections = []
        return in_use


def _given_back(connection: ThreadConnection) -> sqlite3.Connection:
    raise StoreClosed(f"{connection.path}: this connection was closed")
