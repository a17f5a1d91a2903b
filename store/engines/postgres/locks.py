"""Named locks as rows with a lease and a fence."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from store.engines.postgres.errors import DRIVER_ERRORS, is_disconnected, translated
from store.engines.postgres.leases import LEASE_SECONDS, Lease
from store.engines.postgres.server import Server
from store.engines.reentry import is_interrupting, refuse
from store.errors import LockTimeout, StorageError, StoreError
from store.system import running
from store.system.clock import awake_or_not, steady_clock
from store.system.digests import blake2b

FIRST_PAUSE, LAST_PAUSE = 0.001, 0.05  # seconds between two attempts
SHOWN_CHARACTERS = 200  # of a name in its row: for people, since the key is its digest


class HeldLock:
    """The contract `NamedLock`; it is released at the latest when this object is collected, or its lease ends."""

    def __init__(self, locks: PostgresLocks, lease: Lease) -> None:
        self.fence = lease.fence
        self._locks = locks
        self._lease = lease
        self._is_over = False

    def is_kept(self) -> bool:
        """Whether its lease lasts; no statement. Others may have it at the earliest when that has ended."""
        return not self._is_over and self._lease.is_kept()

    def release(self) -> bool:
        if self._is_over:
            return False
        self._is_over = True
        return self._locks.release(self._lease)

    def __del__(self) -> None:
        if not self._is_over and self._lease.is_own():
            self._locks.leases.drop(self._lease)


class PostgresLocks:
    """The contract `Locks`. Each statement runs by itself, outside of the caller's transaction.

    Waiting is by polls: a held lock is only read. A release in this process wakes those who wait here.
    """

    def __init__(self, server: Server, timeout: float) -> None:
        self.leases = server.leases
        self._server = server
        self._sessions = server.sessions
        self._statements = server.lock_statements
        self._timeout = timeout  # to wait for a connection

    @contextmanager
    def hold(self, name: str, timeout: float) -> Iterator[HeldLock]:
        held = self.leases.of_threads
        mine = name, running.ident()
        if mine in held:
            raise StoreError(f"this thread holds the lock {name!r} already, and would wait for itself")
        lock = None
        try:
            held.add(mine)  # before it is taken: a signal handler that came in between would wait for its own thread
            lock = self.take(name, timeout)
            yield lock
        finally:
            try:
                if lock is not None:
                    lock.release()
            finally:  # not before, as above
                held.discard(mine)

    def take(self, name: str, timeout: float) -> HeldLock:
        data = name.encode("utf-8", "surrogatepass")
        lease = Lease(blake2b(data, digest_size=16).digest())
        shown = data.decode("utf-8", "backslashreplace").replace("\0", "\\0")[:SHOWN_CHARACTERS]
        deadline, pause = steady_clock() + timeout, FIRST_PAUSE
        try:
            while not self._take(lease, shown):
                left = deadline - steady_clock()
                if left <= 0:
                    raise LockTimeout(
                        f"the lock {name!r} was held by somebody else for {timeout:g} seconds; try again, or wait "
                        f"longer: lock({name!r}, timeout=…)",
                        path=self._sessions.location.shown,
                    )
                self.leases.wait(min(pause, left))
                pause = min(pause * 2, LAST_PAUSE)
            return HeldLock(self, lease)
        except BaseException:  # an interrupt perhaps, after the server gave it
            self.leases.drop(lease)
            raise

    def release(self, lease: Lease) -> bool:
        """Release it; returns whether it was kept until now."""
        was_kept = lease.is_kept()
        if not was_kept or is_interrupting(self._server.visitor()):
            self.leases.drop(lease)
            return was_kept
        self.leases.forget(lease)
        try:
            was_kept = bool(self._run(self._statements.release, ([lease.key], [lease.owner])))
        except StoreError:  # nobody took it until now, and its lease ends by itself
            self.leases.drop(lease)
            return True
        self.leases.wake()
        if self.leases.is_time_to_tidy():
            self._tidy()
        return was_kept

    def _tidy(self) -> None:
        try:
            self._run(self._statements.tidy, ())
        except StoreError:
            pass  # the lock is released, and the next time comes

    def _take(self, lease: Lease, shown: str) -> bool:
        """Try once. A statement whose answer was lost is repeated: the row knows its owner."""
        ends = awake_or_not() + LEASE_SECONDS  # before the server counts
        found = self._run(self._statements.take, (lease.key, shown, lease.owner, LEASE_SECONDS))
        if found:
            lease.fence, lease.ends = found[0][0], ends
            try:
                self.leases.keep(lease)
            except StorageError:  # nobody would renew it, nor release it later
                self.release(lease)
                raise
        return bool(found)

    def _run(self, statement: str, values: Sequence[Any]) -> list[Any]:
        visitor = self._server.visitor()
        if is_interrupting(visitor):
            refuse(visitor)
        before = visitor.operation
        try:
            visitor.operation = sys._getframe()
            return self._execute(statement, values)
        except DRIVER_ERRORS as exc:
            raise translated(exc, self._sessions.location.shown, self._sessions.role) from exc
        finally:
            visitor.operation = before
            if visitor.deferred:
                visitor.run_deferred()

    def _execute(self, statement: str, values: Sequence[Any]) -> list[Any]:
        again = True
        while True:
            conn = self._sessions.take(self._timeout)
            try:
                cursor = conn.execute(statement, values, binary=True)
                return [] if cursor.description is None else cursor.fetchall()
            except DRIVER_ERRORS as exc:
                if not again or not is_disconnected(exc):
                    raise
                again = False
            finally:
                self._sessions.put_back(conn)
