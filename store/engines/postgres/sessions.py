"""The sessions of a process on one database: a pool of connections, and how each is set up."""

from __future__ import annotations

import select
import threading
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg_pool import ConnectionPool

from store.engines.postgres.errors import DRIVER_ERRORS, translated, unreachable
from store.engines.postgres.location import Location
from store.engines.postgres.schema import lock_key, prepare
from store.engines.postgres.statements import Statements
from store.errors import StoreClosed


class Connection(psycopg.Connection[Any]):
    """A session in autocommit mode; placeholders are `$1`, as the server has them."""

    lock_timeout = -1.0

    def wait_for_locks(self, seconds: float) -> None:
        """Set for how long a statement waits for a lock; 0 and less wait for a millisecond."""
        if seconds != self.lock_timeout:
            self.execute("SELECT set_config('lock_timeout', $1, false)", (f"{max(1, round(seconds * 1000))}ms",))
            self.lock_timeout = seconds


class Sessions:
    """The pool of one location, the statements on its tables, and the keys of its advisory locks."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.statements = Statements(location)
        self.id = b""
        self.handles: WeakSet[Any] = WeakSet()
        self._pool: ConnectionPool[Connection] | None = None
        self._mutex = threading.RLock()
        self._keys: dict[str, int] = {}

    def prepare(self, mode: str, timeout: float) -> None:
        """Connect once, make the tables if the mode says so, and read the id."""
        conn = self._connect(timeout)
        try:
            self.configure(conn)
            self.id = prepare(conn, self.location, mode)
        except DRIVER_ERRORS as exc:
            raise translated(exc, self.location.shown) from exc
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
        # First, by a statement that calls no function: the owner of a database can set a path on which others' are.
        conn.execute("SET search_path = pg_catalog, pg_temp")
        conn.execute(
            "SELECT set_config('default_transaction_isolation', 'read committed', false), "
            "(SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings "
            "WHERE name = 'restrict_nonsystem_relation_kind'), "  # as a table could be replaced by one later
            "set_config('synchronous_commit', coalesce($1, "
            "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'local' "
            "ELSE current_setting('synchronous_commit') END), false)",
            (commit,),
        )

    def _connect(self, timeout: float) -> Connection:
        try:
            return Connection.connect(self.location.conninfo, connect_timeout=max(2, round(timeout)), **_KWARGS)
        except DRIVER_ERRORS as exc:
            raise unreachable(exc, self.location.shown) from exc

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


_KWARGS: dict[str, Any] = {"autocommit": True, "cursor_factory": psycopg.RawCursor, "prepare_threshold": 0}
_abandoned: list[Any] = []


def _has_news(conn: Connection) -> bool:
    """Whether something lies in the socket of an idle connection: the server said goodbye."""
    if conn.closed:
        return True
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    return bool(poll.poll(0))
