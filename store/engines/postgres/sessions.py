"""The sessions of a process on one database: a pool of connections, and how each is set up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg_pool import ConnectionPool

from store.engines.postgres.connection import SETTINGS, Connection, milliseconds
from store.engines.postgres.errors import DRIVER_ERRORS, translated
from store.engines.postgres.location import Location
from store.engines.postgres.pool import Pool
from store.engines.postgres.schema import lock_key, prepare
from store.engines.postgres.statements import Statements
from store.errors import StoreClosed


class Sessions:
    """The pool of one location, the statements on its tables, and the keys of its advisory locks."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.statements = Statements(location)
        self.id = b""
        self.handles: WeakSet[Any] = WeakSet()
        self.is_pooled = bool(location.pooler)
        """Whether a pooler gives each transaction another session of the server; known once it is prepared."""
        self._pool: Pool | None = None
        self._mutex = threading.RLock()
        self._keys: dict[str, int] = {}

    def prepare(self, mode: str, timeout: float, also: Callable[[Connection], None]) -> None:
        """Connect once, make the tables if the mode says so, and read the id; then call `also`."""
        conn = self._connect(timeout)
        try:
            if self.location.pooler is None:
                # A pooler makes up the number of the process that it tells at the start.
                (found,) = conn.execute("SELECT pg_backend_pid()", prepare=False).fetchall()
                self.is_pooled = found[0] != conn.pgconn.backend_pid
            self.configure(conn)
            self.id = prepare(conn, self.location, mode)
            also(conn)
        finally:
            conn.close()

    def take(self, timeout: float, *, check: bool = True) -> Connection:
        """A connection that nobody else uses, until `put_back`. `check` that the server has not ended it."""
        while True:
            conn: Connection = (self._pool or self.pool()).take(max(timeout, 0.001))
            if not check or not conn.has_news():
                try:
                    if timeout != conn.lock_timeout:
                        conn.wait_for_locks(timeout)
                    return conn
                except BaseException:
                    self.put_back(conn)
                    raise
            conn.close()  # the server has ended it while it was idle
            self.put_back(conn)

    def put_back(self, conn: Connection) -> None:
        """Return it to the pool; one that is still inside a statement or a transaction is closed."""
        if conn.waiting:
            conn.forget_waiting()
        if conn.pgconn.transaction_status != IDLE:
            conn.close()
        (self._pool or self.pool()).give(conn)

    def pool(self) -> Pool:
        pool = self._pool
        if pool is None:
            with self._mutex:
                pool = self._pool
                if pool is None:
                    if not self.handles:
                        raise StoreClosed(f"the store on {self.location.shown} was closed; open it again")
                    pool = self._pool = Pool(
                        ConnectionPool(
                            self.location.conninfo,
                            connection_class=Connection,
                            kwargs=_KWARGS,
                            min_size=1,
                            max_size=self.location.pool_size,
                            configure=self.configure,
                            open=True,
                            name="store",
                        )
                    )
        return pool

    def configure(self, conn: Connection) -> None:
        """Set what the session needs; through a pooler each transaction sets it."""
        conn.is_pooled, conn.synchronous_commit = self.is_pooled, self.location.synchronous_commit
        if self.is_pooled:
            conn.prepare_threshold = None  # no statement is prepared by a name that another session does not know
            return
        conn.execute(SETTINGS.format("false"), (conn.synchronous_commit, milliseconds(conn.lock_timeout)))

    def _connect(self, timeout: float) -> Connection:
        try:
            return Connection.connect(self.location.conninfo, connect_timeout=max(2, round(timeout)), **_KWARGS)
        except DRIVER_ERRORS as exc:
            raise translated(exc, self.location.shown) from exc

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
        if self._pool is not None:
            _abandoned.append(self._pool)  # closing it here would end the parent's sessions
            self._pool = None

    # -- advisory locks

    def lock_of(self, namespace: str) -> int:
        """The key of the advisory lock of a namespace."""
        key = self._keys.get(namespace)
        if key is None:
            key = self._keys[namespace] = lock_key(self.location, "namespace", namespace)
        return key

    def lock_of_name(self, namespace: str, name: str) -> int:
        """The key of the advisory lock of one name, for what is read before it is written."""
        return lock_key(self.location, "name", namespace, name)


IDLE = psycopg.pq.TransactionStatus.IDLE
_KWARGS: dict[str, Any] = {"autocommit": True, "cursor_factory": psycopg.RawCursor, "prepare_threshold": 0}
_abandoned: list[Any] = []
