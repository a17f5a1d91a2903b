"""Named locks as leases with a fence, on a server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from store.engines.leases import Lease, Leases
from store.engines.polling import Polling
from store.engines.reentry import is_interrupting, refuse
from store.engines.transaction import Place
from store.errors import LockTimeout, StorageError, StoreError
from store.system import running
from store.system.clock import awake_or_not, steady_clock

T = TypeVar("T")


class LockStatements(Protocol):
    """How named locks are taken and released on one kind of server, each by a statement of its own."""

    where: str
    """The location, for messages."""

    def key(self, name: str) -> bytes:
        """By which the server knows the lock of that name."""

    def take(self, lease: Lease, name: str, seconds: float) -> int | None:
        """Take it for so long, and return its fence; None: somebody else has it. It may be done twice.

        Raises: StoreError.
        """

    def release(self, lease: Lease) -> bool:
        """Release it; returns whether nobody else has taken it. Raises: StoreError."""

    def tidy(self) -> None:
        """Remove what unused locks leave behind, where that does not go by itself. Raises: StoreError."""


class HeldLock:
    """The contract `NamedLock`; it is released at the latest when this object is collected, or its lease ends."""

    _is_over = True  # until it is made: an interrupt may come in between, and `take` drops the lease then

    def __init__(self, locks: LeasedLocks, lease: Lease) -> None:
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
        was_kept = self._locks.release(self._lease)
        self._is_over = True  # not before: after an interrupt in between it is released when it is collected
        return was_kept

    def drop(self) -> None:
        """Have the thread release it soon: an interrupt ended `release`."""
        self._locks.leases.drop(self._lease)

    def __del__(self) -> None:
        if not self._is_over and self._lease.is_own():
            self.drop()


class LeasedLocks:
    """The contract `Locks`. Each statement runs by itself, outside of the caller's transaction.

    Waiting is by polls: a held lock is only read. A release in this process wakes those who wait here.
    """

    def __init__(self, leases: Leases[Any], statements: LockStatements, visitor: Callable[[], Place]) -> None:
        self.leases = leases
        self._statements = statements
        self._visitor = visitor

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
            except BaseException:
                if lock is not None:
                    lock.drop()
                raise
            finally:  # not before, as above
                held.discard(mine)

    def take(self, name: str, timeout: float) -> HeldLock:
        lease = Lease(self._statements.key(name))
        deadline, polling = steady_clock() + timeout, Polling()
        try:
            while not self._take(lease, name):
                left = deadline - steady_clock()
                if left <= 0:
                    raise LockTimeout(
                        f"the lock {name!r} was held by somebody else for {timeout:g} seconds; try again, or wait "
                        f"longer: lock({name!r}, timeout=…)",
                        path=self._statements.where,
                    )
                self.leases.wait(polling.next(left))
            return HeldLock(self, lease)
        except LockTimeout:
            raise
        except BaseException:  # an interrupt perhaps, after the server gave it
            self.leases.drop(lease)
            self._attend()
            raise

    def _attend(self) -> None:
        try:
            self.leases.attend()
        except StorageError:
            pass  # there is no thread, and the lease ends by itself

    def release(self, lease: Lease) -> bool:
        """Release it; returns whether it was kept until now."""
        was_kept = lease.is_kept()
        if not was_kept or is_interrupting(self._visitor()):
            self.leases.drop(lease)
            return was_kept
        try:
            self.leases.forget(lease)
            was_kept = self._run(lambda: self._statements.release(lease))
        except StoreError:  # nobody took it until now, and its lease ends by itself
            self.leases.drop(lease)
            return True
        except BaseException:
            self.leases.drop(lease)
            raise
        self.leases.wake()
        if self.leases.is_time_to_tidy():
            self._tidy()
        return was_kept

    def _tidy(self) -> None:
        try:
            self._run(self._statements.tidy)
        except StoreError:
            pass  # the lock is released, and the next time comes

    def _take(self, lease: Lease, name: str) -> bool:
        """Try once. A statement whose answer was lost is repeated: the server knows the lease's owner."""
        seconds = self.leases.seconds
        ends = awake_or_not() + seconds  # before the server counts
        fence = self._run(lambda: self._statements.take(lease, name, seconds))
        if fence is None:
            return False
        lease.fence, lease.ends = fence, ends
        try:
            self.leases.keep(lease)
        except StorageError:  # nobody would renew it, nor release it later
            self.release(lease)
            raise
        return True

    def _run(self, work: Callable[[], T]) -> T:
        visitor = self._visitor()
        if is_interrupting(visitor):
            refuse(visitor)
        before = visitor.operation
        try:
            visitor.operation = sys._getframe()
            return work()
        finally:
            visitor.operation = before
            if visitor.deferred:
                visitor.run_deferred()
