"""The sessions of a process on one database: a pool of connections, how one is made, and what lost ones left."""

from __future__ import annotations

import math
import select
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID
from weakref import WeakSet

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from store.engines.postgres.connection import Backend, Connection
from store.engines.postgres.errors import DRIVER_ERRORS, is_disconnected, translated, unreachable
from store.engines.postgres.location import Location
from store.engines.postgres.outcome import Noted, noted_by
from store.engines.postgres.pool import Pool
from store.engines.postgres.schema import lock_key, prepare
from store.engines.postgres.statements import Statements
from store.errors import OutcomeUnknown, StoreClosed, StoreError
from store.system.clock import steady_clock

LEAST_SECONDS = 2.0  # to reach the server, whatever `timeout` says: libpq has no shorter one
FIRST_PAUSE, LAST_PAUSE = 0.02, 0.5  # seconds between two attempts to connect
BURIAL_MILLISECONDS = 200  # for how long a new connection waits for what a lost one left behind


class Lost(NamedTuple):
    """A connection that was given up: its backend if that may still run, and the token of a write that it ran."""

    backend: Any
    token: UUID | None


class Sessions:
    """The pool of one location, the statements on its tables, and the keys of its advisory locks."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self.statements = Statements(location)
        self.id = b""
        self.handles: WeakSet[Any] = WeakSet()
        self._pool: Pool[Connection] | None = None
        self._mutex = threading.RLock()
        self._keys: dict[str, int] = {}
        self._lost: list[Lost] = []

    def prepare(self, mode: str, timeout: float) -> None:
        """Connect once, make the tables if the mode says so, and read the id; again if the connection is lost.

        A server that refuses the connection is an error at once, unless the URL names several.
        """
        deadline = steady_clock() + max(timeout, LEAST_SECONDS)
        is_first = "," not in self.location.conninfo
        while True:
            conn = self.connect(deadline, is_patient=not is_first)
            try:
                conn.patience = max(timeout, LEAST_SECONDS)
                self.id = prepare(conn, self.location, mode)
                return
            except DRIVER_ERRORS as exc:
                if not is_disconnected(exc, conn) or steady_clock() >= deadline:
                    raise translated(exc, self.location.shown) from exc
                is_first = False
            finally:
                conn.close()

    # -- the pool

    def take(self, timeout: float) -> Connection:
        """A connection that nobody else uses, until `put_back`; its statements wait for locks as long.

        Raises:
            StorageError: the server cannot be reached. LockTimeout: all are in use. Nothing was sent.
        """
        deadline = steady_clock() + max(timeout, LEAST_SECONDS)
        while True:
            conn = self.pool().take(deadline)
            if not _has_news(conn):
                try:
                    conn.patience = max(timeout, LEAST_SECONDS)
                    if self._lost:
                        self._bury(conn)
                    conn.wait_for_locks(timeout)
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
        if conn.info.transaction_status is not TransactionStatus.IDLE:
            conn.close()
        if conn.was_stalled:
            conn.was_stalled = False
            self._lost.append(Lost(conn.backend, None))
        pool = self._pool
        if pool is None:
            conn.close()
        else:
            pool.put_back(conn)

    def pool(self) -> Pool[Connection]:
        pool = self._pool
        if pool is None:
            with self._mutex:
                pool = self._pool
                if pool is None:
                    if not self.handles:
                        raise StoreClosed(f"the store on {self.location.shown} was closed; open it again")
                    pool = self._pool = Pool(self.connect, self.location.pool_size, self.location.shown)
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
        self._lost = []
        if self._pool is not None:
            _abandoned.append(self._pool)  # closing it here would end the parent's sessions
            self._pool = None

    # -- connections

    def connect(self, deadline: float, *, is_patient: bool = True) -> Connection:
        """A new connection, outside of the pool. `is_patient`: try again until the deadline.

        Raises:
            StorageError: the server cannot be reached.
        """
        pause = FIRST_PAUSE
        while True:
            conn = None
            try:
                conn = self._connect(deadline)
                conn.deadline = max(deadline, steady_clock() + 1.0)
                self.configure(conn)
                self._bury(conn)
                conn.deadline = math.inf
                return conn
            except BaseException as exc:
                if conn is not None:
                    conn.close()
                if not isinstance(exc, psycopg.Error):
                    raise
                if not is_disconnected(exc, conn):
                    raise translated(exc, self.location.shown) from exc
                if not is_patient or steady_clock() + pause >= deadline:
                    raise unreachable(exc, self.location.shown) from exc
            time.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE)

    def _connect(self, deadline: float) -> Connection:
        hosts = self.location.conninfo.partition("?")[0].count(",") + 1
        seconds = max(LEAST_SECONDS, (deadline - steady_clock()) / hosts)
        conn = Connection.connect(
            self.location.conninfo,
            autocommit=True,
            cursor_factory=psycopg.RawCursor,
            prepare_threshold=0,
            **{**_KEEPALIVE, **conninfo_to_dict(self.location.conninfo), "connect_timeout": math.ceil(seconds)},
        )
        conn.look = self._look
        return conn

    def configure(self, conn: Connection) -> None:
        """Set what the session needs, whatever the server's, the database's and the role's defaults are.

        The server looks after a client that vanished within half a minute; its own default is two hours, in which it
        keeps the locks.
        """
        commit = self.location.synchronous_commit
        row = conn.execute(
            "SELECT set_config('default_transaction_isolation', 'read committed', false), "
            "set_config('search_path', 'pg_catalog', false), "
            "set_config('synchronous_commit', coalesce($1, "
            "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'local' "
            "ELSE current_setting('synchronous_commit') END), false), "
            "set_config('tcp_keepalives_idle', '15', false), set_config('tcp_keepalives_interval', '5', false), "
            "set_config('tcp_keepalives_count', '3', false), "
            "pg_backend_pid(), (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())",
            (commit,),
        ).fetchone()
        assert row is not None
        pid, started = row[-2:]
        if pid == conn.info.backend_pid and started is not None:
            conn.backend = (pid, started)

    def _look(self, conn: Connection, seconds: float) -> Backend:
        """What has become of the statement of a connection that does not answer; asked over another one."""
        try:
            other = self.connect(steady_clock() + seconds, is_patient=False)
        except StoreError as exc:
            # The server answers, though not for long: it has too many clients, or starts up.
            return Backend.WORKING if "FATAL" in str(exc) else Backend.UNREACHABLE
        try:
            if conn.backend is None:
                return Backend.WORKING
            other.deadline = steady_clock() + seconds
            row = other.execute(self.statements.backend_state, conn.backend).fetchone()
        except DRIVER_ERRORS:
            return Backend.UNREACHABLE
        finally:
            other.close()
        return Backend.SILENT if row is None or (row[0] or "idle").startswith("idle") else Backend.WORKING

    # -- what lost connections left behind

    def noted(self, conn: Connection, token: UUID, namespaces: Sequence[str], deadline: float) -> Noted | None:
        """What the write of a token has changed, whose connection was lost; None: nothing, now and later.

        Raises:
            OutcomeUnknown: the server cannot be reached until the deadline, or the write is still running.
        """
        stalled, conn.was_stalled = conn.was_stalled, False
        lost = Lost(conn.backend if stalled else None, token)
        why: Exception | None = None
        self._lost.append(Lost(lost.backend, None))
        while True:
            try:
                other = self.connect(deadline)
                try:
                    other.deadline = max(deadline, steady_clock() + 1.0)
                    other.wait_for_locks(max(deadline - steady_clock(), 0.001))
                    return noted_by(other, self.statements, token, namespaces)
                finally:
                    other.close()
            except (StoreError, *DRIVER_ERRORS) as exc:
                why = exc
                if isinstance(exc, StoreError) or not is_disconnected(exc) or steady_clock() >= deadline:
                    break
        self._lost.append(lost)
        raise OutcomeUnknown(
            f"{self.location.shown}: the connection was lost during a write, and until the timeout it could not be "
            f"found out whether it was committed ({why}); read the record before you write it again",
            path=self.location.shown,
        ) from why

    def _bury(self, conn: Connection) -> None:
        """End the sessions that were given up, and keep writes of unknown outcome from being committed later."""
        left = []
        while self._lost:
            try:
                lost = self._lost.pop()
            except IndexError:
                break
            try:
                if lost.backend is not None:
                    conn.execute(self.statements.end_backend, lost.backend)
                if lost.token is not None:
                    conn.execute("SELECT set_config('lock_timeout', $1, false)", (f"{BURIAL_MILLISECONDS}ms",))
                    conn.lock_timeout = BURIAL_MILLISECONDS / 1000
                    noted_by(conn, self.statements, lost.token, ())
            except psycopg.errors.LockNotAvailable:
                left.append(lost)  # it is still running
            except BaseException:
                self._lost += [*left, lost]
                raise
        self._lost += left

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


_KEEPALIVE: dict[str, Any] = {  # of the client's socket; the URL may say otherwise
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_abandoned: list[Any] = []


def _has_news(conn: Connection) -> bool:
    """Whether something lies in the socket of an idle connection: the server said goodbye."""
    if conn.closed:
        return True
    poll = select.poll()
    poll.register(conn.fileno(), select.POLLIN)
    return bool(poll.poll(0))
