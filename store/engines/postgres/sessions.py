"""The sessions of a process on one database: a pool of connections, and how each is set up."""

from __future__ import annotations

import select
import threading
from functools import partial
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg_pool import ConnectionPool

from store.engines.postgres.errors import DRIVER_ERRORS, translated
from store.engines.postgres.location import Location
from store.engines.postgres.schema import lock_key, prepare
from store.engines.postgres.statements import Statements
from store.errors import StoreClosed


class Connection(psycopg.Connection[Any]):
    """A session in autocommit mode; placeholders are `$1`, as the server has them."""

    lock_timeout = -1.0
    is_full = False  # whether commits wait for what `durability="full"` promises
    lent_by: ConnectionPool[Connection] | None = None
    """The pool that counts it as in use."""
    unconfirmed: list[str]
    """Warnings that a commit stopped waiting for its standbys."""

    def __del__(self, *_: Any) -> None:
        """An interrupt may come between any two steps, and drop a connection that is in use: the pool gets it."""
        pool, self.lent_by = self.lent_by, None
        if pool is not None:
            self.close()
            pool.putconn(self)

    def together(self, *statements: tuple[str, tuple[Any, ...]]) -> list[Any]:
        """Run statements in one round trip; returns their cursors. The first error ends the rest."""
        try:
            with self.pipeline():
                return [self.execute(text, values) for text, values in statements]
        except psycopg.Error as exc:
            interrupt = _interrupt_before(exc)
            if interrupt is None:
                raise
            self.close()  # it is between two answers
            raise interrupt from None

    def wait_for_locks(self, seconds: float) -> None:
        """Set for how long a statement waits for a lock; 0 and less wait for a millisecond."""
        if seconds != self.lock_timeout:
            self.execute("SELECT set_config('lock_timeout', $1, false)", (f"{max(1, round(seconds * 1000))}ms",))
            self.lock_timeout = seconds

    def commit_fully(self) -> None:
        """From now on a commit waits at least for the disks of the synchronous standbys, if there are any."""
        self.execute(_COMMIT_LEVEL, (None, True))
        self.is_full = True

    def take_unconfirmed(self) -> str | None:
        """The warning of the last commit that the standbys may not have it; it is asked for once."""
        found, self.unconfirmed[:] = " ".join(self.unconfirmed), []
        return found or None


class Sessions:
    """The pool of one location, the statements on its tables, and the keys of its advisory locks."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.statements = Statements(location)
        self.id = b""
        self.role = ""
        """The role that the sessions have, once one was made."""
        self.is_full = False
        self.handles: WeakSet[Any] = WeakSet()
        self._pool: ConnectionPool[Connection] | None = None
        self._mutex = threading.RLock()
        self._keys: dict[str, int] = {}

    def prepare(self, mode: str, timeout: float) -> None:
        """Connect once, make the tables if the mode says so, and read the id."""
        conn = self._connect(timeout)
        try:
            self.configure(conn)
            self.role = conn.info.user
            self.id = prepare(conn, self.location, mode)
        except DRIVER_ERRORS as exc:
            raise translated(exc, self.location.shown, self.role) from exc
        finally:
            conn.close()

    def take(self, timeout: float) -> Connection:
        """A connection that nobody else uses, until `put_back`."""
        while True:
            pool = self.pool()
            conn = pool.getconn(max(timeout, 0.001))
            conn.lent_by = pool
            if not _has_news(conn):
                try:
                    conn.wait_for_locks(timeout)
                    if self.is_full and not conn.is_full:
                        conn.commit_fully()
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
        pool, conn.lent_by = conn.lent_by, None
        if pool is not None:
            pool.putconn(conn)

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
        """Set what the session needs, whatever the server's, the database's and the role's defaults are.

        The search path is first, by a statement that calls no function: before it, any name may be somebody else's.
        """
        conn.together(
            ("SET search_path = pg_catalog", ()),
            ("SET default_transaction_isolation = 'read committed'", ()),
            (_COMMIT_LEVEL, (self.location.synchronous_commit, self.is_full)),
        )
        conn.is_full, conn.unconfirmed = self.is_full, []
        conn.add_notice_handler(partial(_note, conn.unconfirmed))

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


_KWARGS: dict[str, Any] = {"autocommit": True, "cursor_factory": psycopg.RawCursor, "prepare_threshold": 0}
_abandoned: list[Any] = []

# "normal" is the server's own level, or that of the URL, but waits for the local disk; "full" waits for the standbys.
_COMMIT_LEVEL = (
    "SELECT set_config('synchronous_commit', CASE WHEN $2::boolean AND level IN ('off', 'local', 'remote_write') "
    "THEN 'on' WHEN level = 'off' THEN 'local' ELSE level END, false) "
    "FROM (SELECT coalesce($1::text, current_setting('synchronous_commit')) AS level) s"
)
_WAITED_IN = (None, "SyncRepWaitForLSN")  # the server's function; texts are in its language


def _interrupt_before(error: BaseException) -> BaseException | None:
    """The interrupt that made the driver fail as it ended several statements; None: there was none."""
    before: BaseException | None = error
    while before is not None and isinstance(before, Exception):
        before = before.__context__
    return before


def _note(unconfirmed: list[str], notice: Any) -> None:
    """A commit that is cancelled while it waits for a standby succeeds, with a warning."""
    if notice.sqlstate in ("01000", "57P01") and notice.source_function in _WAITED_IN:
        unconfirmed.append(str(notice.message_primary))


def _has_news(conn: Connection) -> bool:
    """Whether something lies in the socket of an idle connection: the server said goodbye."""
    if conn.closed:
        return True
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    return bool(poll.poll(0))
