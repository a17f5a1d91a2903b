"""One database as a process sees it: its sessions, the places of its threads, and the server's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from psycopg.pq import TransactionStatus

from store.engines.leases import Leases
from store.engines.postgres.connection import Connection
from store.engines.postgres.coordination import ChangeStatements, NamedLockStatements
from store.engines.postgres.errors import DRIVER_ERRORS, translated
from store.engines.postgres.leases import PostgresLeases
from store.engines.postgres.listening import Listening
from store.engines.postgres.location import Location
from store.engines.postgres.place import ThreadPlace
from store.engines.postgres.sessions import Blocking, Connecting, Sessions
from store.engines.postgres.sharing import Key, differences, key_of
from store.engines.postgres.trimming import Trimming
from store.engines.servers import Servers
from store.engines.visitors import Visitors
from store.errors import StoreError
from store.system import running
from store.system.clock import steady_clock

CLOCK_SECONDS = 60.0  # how long a measured offset of the server's clock is used
CLOCK_PATIENCE = (2.0, 10.0)  # seconds to ask for it again, and for the first time


class Server:
    """What all handles of a process on one location share; those of an event loop have one for themselves."""

    def __init__(self, location: Location, connecting: Connecting) -> None:
        self.sessions = Sessions(location, connecting)
        self.lock_statements = NamedLockStatements(location)
        self.leases = Leases(PostgresLeases(self.sessions, self.lock_statements))
        self.change_statements = ChangeStatements(location)
        self.listening = Listening(self.sessions, self.change_statements, self.sessions.statements.channel)
        self.trimming = Trimming(self.sessions, self.change_statements)
        self.known_sealers: set[bytes] = set()
        sessions, trimming = self.sessions, self.trimming
        self.visitors: Visitors[ThreadPlace] = Visitors(lambda: ThreadPlace(sessions, trimming.pay))
        self._offset = 0.0
        self._offset_at = -CLOCK_SECONDS * 2
        self.is_in_transaction: Callable[[], bool] = self.visitors.is_in_transaction

    @property
    def handles(self) -> WeakSet[Any]:
        """Those that are open on the location in this process."""
        return self.sessions.handles

    def now(self) -> float:
        """The time of the server, in Unix seconds; off by at most half a round trip to it."""
        if steady_clock() - self._offset_at > CLOCK_SECONDS:
            self._measure()
        return time.time() + self._offset

    def _measure(self) -> None:
        """Ask for the time; if the server cannot be reached, the offset that was measured before is used on."""
        place, seconds = self.visitors.current(), CLOCK_PATIENCE[self._offset_at < 0]
        own = place.conn  # of a transaction: all others may be in use, by threads that wait for this one
        is_own = own is not None and own.info.transaction_status is TransactionStatus.INTRANS
        try:
            conn = own if own is not None and is_own else self.sessions.take(seconds)
            try:
                self._ask(conn)
            finally:
                if not is_own:
                    self.sessions.put_back(conn)
        except (StoreError, *DRIVER_ERRORS) as exc:
            if self._offset_at < 0:
                if isinstance(exc, StoreError):
                    raise
                raise translated(exc, self.sessions.location.shown, self.sessions.role) from exc
            self._offset_at = steady_clock()

    def prepare(self, mode: str, timeout: float, store_id: bytes | None = None) -> bool:
        """See `Sessions.prepare`; it measures the clock too."""
        was_there = self.sessions.prepare(mode, timeout, self._ask, store_id)
        location, same = self.sessions.location, self.sessions.same
        self.lock_statements, self.change_statements = (
            NamedLockStatements(location, same), ChangeStatements(location, same),
        )  # fmt: skip
        return was_there

    def _ask(self, conn: Connection) -> None:
        before = time.time()
        (row,) = conn.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchall()
        after = time.time()
        self._offset = row[0] - (before + after) / 2
        self._offset_at = steady_clock()

    def close_unused(self) -> None:
        """Close what the process has open, if no handle uses it."""
        if not self.sessions.handles:
            self.leases.close()
            self.listening.close()
            self.sessions.close_unused()

    def renew(self) -> None:
        """In a forked child: leave the parent's sessions alone, and begin with none."""
        self.visitors.renew()
        for handle in list(self.sessions.handles):
            handle.bodies.renew()
        self.leases.renew()
        self.listening.renew()
        self.sessions.renew()


_servers: Servers[tuple[Key, Any], Server] = Servers()  # by location and event loop


def server_at(location: Location) -> Server:
    """The server of a location, one for each process, or for each event loop that waits for the caller.

    Raises: ValueError: the process has it open by a URL whose options are others, and none of `FIRST_WINS`.
    """
    loop = running.event_loop()
    with _servers.mutex:
        key = key_of(location), loop
        server = _servers.by_key.get(key)
        if server is not None and _is_unfit(server, location):
            server = None
        if server is None:
            server = _servers.add(key, Server(location, Blocking() if loop is None else _awaited(loop)))
        return server


def _is_unfit(server: Server, location: Location) -> bool:
    """Whether a new server must take its place: its store was destroyed, or all with other options were closed."""
    sessions = server.sessions
    if sessions.is_replaced or sessions.location == location:
        return sessions.is_replaced
    if not sessions.handles:
        return True
    found = differences(sessions.location, location, is_pooled=sessions.is_pooled)
    if found:
        raise ValueError(
            f"{location.shown}: this process has the store open by a URL that differs in {', '.join(found)}; give "
            "both the same options, or close the other one first"
        )
    return False


def _awaited(loop: Any) -> Connecting:
    from store.engines.postgres.awaited import Awaited  # needs greenlet, which other programs need not have

    return Awaited(loop)
