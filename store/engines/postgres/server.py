"""One database as a process sees it: its pool of connections, shared by all handles on the same location."""

from __future__ import annotations

import select
import threading
import time
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

import psycopg
from psycopg_pool import ConnectionPool

from store.engines.postgres.errors import DRIVER_ERRORS, translated
from store.engines.postgres.location import Location
from store.engines.postgres.place import ThreadPlace
from store.engines.postgres.schema import lock_key, prepare
from store.engines.postgres.statements import Statements
from store.engines.reentry import conflict
from store.engines.registry import in_transaction
from store.errors import StoreClosed
from store.system import forking, running
from store.system.clock import steady_clock

CLOCK_SECONDS = 60.0  # how long a measured offset of the server's clock is used


class Connection(psycopg.Connection[Any]):
    """A session in autocommit mode; placeholders are `$1`, as the server has them."""

    lock_timeout = -1.0

    def wait_for_locks(self, seconds: float) -> None:
        """Set for how long a statement waits for a lock; 0 and less wait for a millisecond."""
        if seconds != self.lock_timeout:
            self.execute("SELECT set_config('lock_timeout', $1, false)", (f"{max(1, round(seconds * 1000))}ms",))
            self.lock_timeout = seconds


class Server:
    """The pool, the statements and the threads of one location."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.statements = Statements(location)
        self.id = b""
        self.handles: WeakSet[Any] = WeakSet()
        self.known_sealers: set[bytes] = set()
        self._pool: ConnectionPool[Connection] | None = None
        self._mutex = threading.RLock()
        self._local = threading.local()
        self._of_greenlets: WeakKeyDictionary[Any, dict[str, ThreadPlace]] = WeakKeyDictionary()
        self._offset = 0.0
        self._offset_at = -CLOCK_SECONDS * 2
        self._keys: dict[str, int] = {}

    # -- connections

    def prepare(self, mode: str, timeout: float) -> None:
        """Connect once, make the tables if the mode says so, and read the id."""
        conn = self._connect(timeout)
        try:
            self.configure(conn)
            self.id = prepare(conn, self.location, mode)
        finally:
            conn.close()

    def take(self, timeout: float) -> Connection:
        """A connection that nobody else uses, until `put_back`."""
        while True:
            conn = self.pool().getconn(max(timeout, 0.001))
            if not _has_news(conn):
                try:
                    conn.wait_for_locks(timeout)
                    return conn
                except BaseException:
                    self.put_back(conn)
                    raise
            conn.close()  # the server has ended it while it was idle
            self.put_back(conn)

    def put_back(self, conn: Connection) -> None:
        """Return it to the pool; one that is still inside a statement or a transaction is closed."""
        if conn.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
            conn.close()
        self.pool().putconn(conn)

    def pool(self) -> ConnectionPool[Connection]:
        pool = self._pool
        if pool is None:
            with self._mutex:
                pool = self._pool
                if pool is None:
                    if not self.handles:
                        raise StoreClosed(f"the store on {self.location.shown} was closed; open it again")
                    pool = self._pool = ConnectionPool(
                        self.location.conninfo,
                        connection_class=Connection,
                        kwargs=_KWARGS,
                        min_size=1,
                        max_size=self.location.pool_size,
                        configure=self.configure,
                        open=True,
                        name="store",
                    )
        return pool

    def configure(self, conn: Connection) -> None:
        """Set what the session needs, whatever the server's, the database's and the role's defaults are."""
        commit = self.location.synchronous_commit
        conn.execute(
            "SELECT set_config('default_transaction_isolation', 'read committed', false), "
            "set_config('search_path', 'pg_catalog', false), "
            "set_config('synchronous_commit', coalesce($1, "
            "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'local' "
            "ELSE current_setting('synchronous_commit') END), false)",
            (commit,),
        )

    def _connect(self, timeout: float) -> Connection:
        try:
            return Connection.connect(self.location.conninfo, connect_timeout=max(2, round(timeout)), **_KWARGS)
        except DRIVER_ERRORS as exc:
            raise translated(exc, self.location.shown) from exc

    # -- threads

    def visitor(self) -> ThreadPlace:
        """The place of the calling thread or greenlet."""
        greenlet = running.greenlet()
        own = self._local.__dict__ if greenlet is None else self._of_greenlets.setdefault(greenlet, {})
        return own.get("visitor") or own.setdefault("visitor", ThreadPlace(self))

    def is_in_transaction(self) -> bool:
        """Whether the caller is in a transaction, or interrupts one."""
        visitor = self.visitor()
        return conflict(visitor) is not None or visitor.live_transaction() is not None

    def lock_of(self, namespace: str) -> int:
        """The key of the advisory lock of a namespace."""
        key = self._keys.get(namespace)
        if key is None:
            key = self._keys[namespace] = lock_key(self.location, "namespace", namespace)
        return key

    def lock_of_name(self, namespace: str, name: str) -> int:
        """The key of the advisory lock of one name, for what is read before it is written."""
        return lock_key(self.location, "name", namespace, name)

    # -- the clock

    def now(self) -> float:
        """The time of the server, in Unix seconds; off by at most half a round trip to it."""
        if steady_clock() - self._offset_at > CLOCK_SECONDS:
            self._measure()
        return time.time() + self._offset

    def _measure(self) -> None:
        conn = self.take(10.0)
        try:
            before = time.time()
            row = conn.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
            after = time.time()
        finally:
            self.put_back(conn)
        assert row is not None
        self._offset = row[0] - (before + after) / 2
        self._offset_at = steady_clock()

    # -- the end

    def close_unused(self) -> None:
        """Close the pool if no handle uses it."""
        if not self.handles:
            with self._mutex:
                pool, self._pool = self._pool, None
            if pool is not None:
                pool.close(5.0)

    def renew(self) -> None:
        """In a forked child: leave the parent's sessions alone, and begin with none."""
        self._mutex = threading.RLock()
        self._local = threading.local()
        self._of_greenlets = WeakKeyDictionary()
        if self._pool is not None:
            _abandoned.append(self._pool)  # closing it here would end the parent's sessions
            self._pool = None


_KWARGS: dict[str, Any] = {"autocommit": True, "cursor_factory": psycopg.RawCursor, "prepare_threshold": 0}
_servers: WeakValueDictionary[Location, Server] = WeakValueDictionary()
_servers_lock = threading.RLock()
_abandoned: list[Any] = []


def server_at(location: Location) -> Server:
    """The server of a location, one for each process."""
    with _servers_lock:
        server = _servers.get(location)
        if server is None:
            server = _servers[location] = Server(location)
        return server


def _has_news(conn: Connection) -> bool:
    """Whether something lies in the socket of an idle connection: the server said goodbye."""
    if conn.closed:
        return True
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _after_fork_in_child() -> None:
    global _servers_lock
    _servers_lock = threading.RLock()
    for server in list(_servers.values()):
        server.renew()


in_transaction.append(lambda: any(server.is_in_transaction() for server in list(_servers.values())))
forking.register(forking.Stage.ENGINES, in_child=_after_fork_in_child)
