"""The sessions of a process on one database: a pool of connections, and how one is made.

One file because how a session is made, handed out and given up is one life.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from weakref import WeakSet

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from store.engines.postgres.connection import Connection
from store.engines.postgres.errors import DRIVER_ERRORS, is_disconnected, translated, unreachable
from store.engines.postgres.features import Features, detect, require_advisory
from store.engines.postgres.identity import ANY_STORE, Identity, same_store
from store.engines.postgres.location import Location
from store.engines.postgres.lock_statements import ADVISORY, SPACES, of_rows
from store.engines.postgres.lost import LEAST_SECONDS, LostSessions
from store.engines.postgres.pool import Pool
from store.engines.postgres.schema import STRIPES, exists, lock_key, prepare
from store.engines.postgres.statements import Statements
from store.errors import StoreClosed
from store.system import running
from store.system.clock import steady_clock

FIRST_PAUSE, LAST_PAUSE = 0.02, 0.5  # seconds between two attempts to connect


class Connections(Protocol):
    """A pool of connections."""

    def take(self, deadline: float) -> Connection:
        """One that nobody else uses. Raises: LockTimeout, StorageError, PoolTimeout: there was none until then."""

    def put_back(self, conn: Connection) -> None: ...

    def close(self) -> None: ...


class Connecting(Protocol):
    """Makes connections and pools: those that block their thread, or those that wait in an event loop."""

    def connect(self, arguments: Mapping[str, Any]) -> Connection:
        """A new connection, not set up yet. Raises: psycopg.Error."""

    def pool(self, sessions: Sessions) -> Connections: ...


class Blocking:
    """Makes connections that block the thread that waits for them."""

    def connect(self, arguments: Mapping[str, Any]) -> Connection:
        return Connection.connect(**SETTINGS, **arguments)

    def pool(self, sessions: Sessions) -> Connections:
        return Pool(sessions.connect, sessions.location.pool_size, sessions.location.shown)


class Sessions:
    """The pool of one location, the statements on its tables, and the keys of its advisory locks."""

    def __init__(self, location: Location, connecting: Connecting) -> None:
        self.location = location
        self._connecting = connecting
        self.statements = Statements(location)
        self.id = b""
        self.same = ANY_STORE
        """The condition of a statement that must see the store of `id` and no other one; see `identity`."""
        self.is_replaced = False
        """Whether the store was destroyed since it was opened; what is opened from now on needs another `Server`."""
        self.role = ""
        """The role that the sessions have, once one was made."""
        self.is_full = False
        self.is_pooled = bool(location.pooler)
        """Whether a pooler gives each transaction another session of the server; known once it is prepared."""
        self.features: Features | None = None
        """What the server has; known once it is prepared."""
        self.stripes = False
        """Whether the locks of this store are rows of the table `stripes`."""
        self.handles: WeakSet[Any] = WeakSet()
        self._pool: Connections | None = None
        self._mutex = threading.RLock()
        self._keys: dict[str, int] = {}
        self.lost = LostSessions(self.statements, self.connect, location.shown)

    def prepare(
        self, mode: str, timeout: float, also: Callable[[Connection], None], store_id: bytes | None = None
    ) -> bool:
        """Connect once, make the tables if the mode says so, read the id and call `also`; again if it is lost.

        `store_id` is the id of a store that is made. Returns whether there was one. A server that refuses the
        connection is an error at once, unless the URL names several.
        """
        deadline = steady_clock() + max(timeout, LEAST_SECONDS)
        is_patient = "," in self.location.conninfo
        was_there = None
        while True:
            try:
                with self.apart(timeout, deadline=deadline, is_patient=is_patient) as conn:
                    self.role = conn.info.user
                    if was_there is None:
                        was_there = exists(conn, self.location, "identity")
                    features = self.features = self.detect(conn, deadline)
                    identity, has_xids = prepare(conn, self.location, mode, features, store_id)
                    features = self.features = features._replace(xids=features.xids and has_xids)
                    self._choose_statements(conn, features, identity)
                    also(conn)
                    return was_there
            except DRIVER_ERRORS as exc:
                if not is_disconnected(exc) or steady_clock() >= deadline:
                    raise translated(exc, self.location.shown, self.role) from exc
                is_patient = True

    def detect(self, conn: Connection, deadline: float) -> Features:
        """What the server of a connection has; it may take another connection to find out."""
        return detect(conn, lambda: self.connect(deadline, is_patient=False))

    def _choose_statements(self, conn: Connection, features: Features, identity: Identity) -> None:
        self.id = identity.id
        self.stripes = exists(conn, self.location, STRIPES)
        locks = of_rows(self.location.table(STRIPES)) if self.stripes else ADVISORY
        self.same, self.is_replaced = same_store(self.location, identity), False
        self.statements = Statements(self.location, locks, notifies=features.notify, same=self.same)
        self._keys.clear()

    def require_locks(self) -> None:
        """Raises: Unsupported: writers of this store would not exclude each other."""
        if self.features is not None and not self.stripes:
            require_advisory(self.features, self.location.shown)

    @contextmanager
    def apart(
        self, timeout: float, *, deadline: float | None = None, is_patient: bool = False
    ) -> Iterator[Connection]:
        """A session that is not one of the pool; its statements wait for locks as long. See `connect`."""
        patience = max(timeout, LEAST_SECONDS)
        conn = self.connect(steady_clock() + patience if deadline is None else deadline, is_patient=is_patient)
        try:
            conn.patience = patience
            conn.wait_for_locks(timeout)
            yield conn
        finally:
            conn.close()

    # -- the pool

    def take(self, timeout: float, deadline: float = math.inf, *, check: bool = True) -> Connection:
        """A connection that nobody else uses, until `put_back`; its statements wait for locks for `timeout` seconds.

        `deadline`: of the operation that needs it, where that is a second attempt.

        `check` that the server has not ended it while it was idle.

        Raises:
            StorageError: the server cannot be reached. LockTimeout: all are in use. Nothing was sent.
        """
        now = steady_clock()
        deadline = min(deadline, now + max(timeout, LEAST_SECONDS))
        while True:
            conn = (self._pool or self.pool()).take(min(deadline, now + timeout))
            if not check or not conn.has_news():
                try:
                    conn.patience = max(timeout, LEAST_SECONDS)
                    if self.lost.unsettled:
                        self.lost.settle(conn)
                    if timeout != conn.lock_timeout:
                        conn.wait_for_locks(timeout)
                    if self.is_full and not conn.is_full:
                        conn.commit_fully()
                    return conn
                except DRIVER_ERRORS as exc:
                    self.put_back(conn)
                    if not is_disconnected(exc, conn) or steady_clock() >= deadline:
                        raise
                    continue
                except BaseException:
                    self.put_back(conn)
                    raise
            conn.close()  # the server has ended it while it was idle
            self.put_back(conn)

    def put_back(self, conn: Connection) -> None:
        """Return it to the pool; one that is still inside a statement or a transaction is closed."""
        if conn.pgconn.transaction_status != IDLE:
            conn.close()
        if conn.was_stalled:
            self.lost.add(conn)
        pool = self._pool
        if pool is None:
            conn.close()
        else:
            pool.put_back(conn)

    def pool(self) -> Connections:
        pool = self._pool
        if pool is None:
            with self._mutex:
                pool = self._pool
                if pool is None:
                    if not self.handles:
                        raise StoreClosed(f"the store on {self.location.shown} was closed; open it again")
                    pool = self._pool = self._connecting.pool(self)
        return pool

    def close_unused(self) -> None:
        """Close the pool if no handle uses it."""
        if not self.handles:
            with self._mutex:
                pool, self._pool = self._pool, None
            if pool is not None:
                pool.close()

    def renew(self) -> None:
        """In a forked child: leave the parent's sessions alone, and begin with none."""
        self._mutex = threading.RLock()
        self.lost.renew()
        if self._pool is not None:
            self.abandon(self._pool)
            self._pool = None

    def abandon(self, resource: object) -> None:
        """In a forked child: keep what is the parent's, since closing or collecting it would end its sessions."""
        _abandoned.append(resource)

    # -- connections

    def connect(
        self, deadline: float, *, is_patient: bool = True, connecting: Connecting | None = None
    ) -> Connection:
        """A new connection, outside of the pool. `is_patient`: try again until the deadline.

        `connecting`: how, if not as the others; a thread beside an event loop takes `Blocking`.

        Raises:
            StorageError: the server cannot be reached.
        """
        pause = FIRST_PAUSE
        if is_patient:
            deadline = max(deadline, steady_clock() + LEAST_SECONDS)
        while True:
            conn = None
            try:
                conn = (connecting or self._connecting).connect(self.arguments(deadline))
                self.configure(conn, deadline)
                return conn
            except BaseException as exc:
                if conn is not None:
                    conn.close()
                if not isinstance(exc, psycopg.Error):
                    raise
                if not is_disconnected(exc, conn):
                    raise translated(exc, self.location.shown, self.role) from exc
                if not is_patient or steady_clock() + pause >= deadline:
                    raise unreachable(exc, self.location.shown) from exc
            running.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE)

    def arguments(self, deadline: float) -> dict[str, Any]:
        """What the driver needs to make a connection."""
        hosts = self.location.conninfo.partition("?")[0].count(",") + 1
        seconds = max(LEAST_SECONDS, (deadline - steady_clock()) / hosts)
        given = conninfo_to_dict(self.location.conninfo)
        return {"conninfo": self.location.conninfo, **_KEEPALIVE, **given, "connect_timeout": math.ceil(seconds)}

    def configure(self, conn: Connection, deadline: float) -> None:
        """Set a new connection up, and settle by it what lost ones have left."""
        conn.look, conn.process = self.lost.look, os.getpid()
        conn.deadline = max(deadline, steady_clock() + 1.0)
        if self.location.pooler is None:
            # A pooler makes up the number of the process that it tells at the start.
            (found,) = conn.execute("SELECT pg_catalog.pg_backend_pid()", prepare=False).fetchall()
            self.is_pooled = found[0] != conn.pgconn.backend_pid
        conn.set_up(self.location.synchronous_commit, is_full=self.is_full, is_pooled=self.is_pooled)
        self.lost.settle(conn)
        conn.deadline = math.inf

    # -- keys of locks

    def lock_of(self, namespace: str) -> int:
        """The key of the lock of a namespace. Several are locked in the order of their keys."""
        key = self._keys.get(namespace)
        if key is None:
            key = lock_key(self.location, "namespace", namespace)
            key = self._keys[namespace] = key % SPACES if self.stripes else key
        return key

    def lock_of_name(self, namespace: str, name: str) -> int:
        """The key of the lock of one name, for what is read before it is written."""
        return lock_key(self.location, "name", namespace, name)


SETTINGS: dict[str, Any] = {"autocommit": True, "cursor_factory": psycopg.RawCursor, "prepare_threshold": 0}
"""Of the object that the engine uses, not of the session."""
_KEEPALIVE: dict[str, Any] = {  # of the client's socket; the URL may say otherwise
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_abandoned: list[Any] = []
IDLE = TransactionStatus.IDLE
