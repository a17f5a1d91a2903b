"""Handles on a store in memory, the threads that use them, and their open transactions."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet, ref

from store.engines.contract import Reads
from store.engines.memory.rows import Committed
from store.engines.named_locks import NamedLocks
from store.engines.overlay import Overlay
from store.engines.reentry import conflict, in_use, is_in_block, refuse
from store.engines.registry import in_transaction
from store.engines.transaction import HeldTransaction
from store.errors import ReadOnly, StoreClosed, StoreError
from store.system import forking, running
from store.system.locking import Hold, WriterLock

T = TypeVar("T")

LOCATION = ":memory:"
ID_BYTES = 16


class Shared:
    """The state that all handles on one store share."""

    def __init__(self) -> None:
        self.id = os.urandom(ID_BYTES)
        self.rows = Committed()
        self.lock = WriterLock(None)
        self.named_locks = NamedLocks(None)
        self.sealers: set[bytes] = set()
        self.notes: dict[str, bytearray] = {}
        """The buffers of `AccessTable`, by namespace."""
        self.handles: WeakSet[Handle] = WeakSet()
        self._local = threading.local()
        self._of_greenlets: WeakKeyDictionary[Any, dict[str, ThreadPlace]] = WeakKeyDictionary()
        _stores.add(self)

    def visitor(self) -> ThreadPlace:
        """The place of the calling thread or greenlet."""
        greenlet = running.greenlet()
        own = self._local.__dict__ if greenlet is None else self._of_greenlets.setdefault(greenlet, {})
        return own.get("visitor") or own.setdefault("visitor", ThreadPlace(self))

    def is_in_transaction(self) -> bool:
        """Whether the caller is in a transaction, or interrupts one."""
        visitor = self.visitor()
        return conflict(visitor) is not None or visitor.live_transaction() is not None

    def is_caller_inside(self) -> bool:
        """Whether the caller is in a transaction of its own; another task and a handler that interrupts are not."""
        visitor = self.visitor()
        return conflict(visitor) is None and visitor.live_transaction() is not None


class ThreadPlace:
    """A thread or greenlet: the operation and the transaction that it is in. The contract `Place`."""

    def __init__(self, shared: Shared) -> None:
        self.path = LOCATION
        self.operation: FrameType | None = None
        self.deferred: list[Any] = []
        self.transaction: ref[HeldTransaction] | None = None
        self.outermost: ref[HeldTransaction] | None = None
        self.view: Overlay | None = None
        self._shared = shared
        self._process = 0

    def own_transaction(self) -> HeldTransaction | None:
        """The transaction that its owner began, also one that an interrupt ended."""
        reference = self.transaction
        return None if reference is None else reference()

    def live_transaction(self) -> HeldTransaction | None:
        """The open transaction; one that an interrupt ended is rolled back.

        If an interrupt left an inner block and was caught in the outer one, this is the outer transaction, which has
        ended as well.
        """
        if self.transaction is None:
            return None
        transaction = self.own_transaction()
        if transaction is not None and not transaction.was_left():
            return transaction
        self.roll_back()
        outermost = None if self.outermost is None else self.outermost()
        if outermost is None or outermost.was_left():
            return None
        self.transaction = self.outermost
        return outermost

    def run_deferred(self) -> None:
        transaction = self.own_transaction()
        if self.operation is None and (transaction is None or transaction.is_program_own()):
            while self.deferred:
                self.deferred.pop()

    def begin(self, hold: Hold, timeout: float) -> None:
        self._shared.lock.acquire(hold, self.roll_back, timeout)
        self._process = os.getpid()
        self.view = Overlay(self._shared.rows)

    def commit(self, hold: Hold) -> None:
        if self.view is not None:
            self._shared.rows.write(self.view.changes)
        self.view = None

    def roll_back(self) -> None:
        self.view = self.transaction = None

    def give(self, hold: Hold) -> None:
        self._shared.lock.release(hold)

    def savepoint(self, transaction: HeldTransaction) -> int:
        return 0 if self.view is None else self.view.savepoint()

    def committed(self) -> None:
        """Does nothing: memory needs no maintenance."""

    def settle(self, timeout: float) -> None:
        """Does nothing: there is no disk."""

    def release(self, savepoint: int) -> None:
        """Does nothing: the view contains the rows already."""

    def roll_back_to(self, savepoint: int) -> None:
        if self.view is not None:
            self.view.roll_back_to(savepoint)

    def check_open(self, *, is_inside: bool) -> None:
        if not self._shared.handles:
            raise StoreClosed(f"{LOCATION} is closed; open the store again")
        if is_inside and (self.view is None or self._process != os.getpid()):
            raise StoreError(
                f"{LOCATION}: the transaction had ended before its block did (an interrupt rolled it back, or it is "
                "that of the process that this one was forked from); nothing of it was kept, run it again"
            )


class Handle:
    """One handle, shared by its engine and its capabilities."""

    def __init__(self, shared: Shared, *, read_only: bool, timeout: float) -> None:
        self.shared = shared
        self.read_only = read_only
        self.timeout = timeout
        shared.handles.add(self)

    def check_open(self, *, is_writing: bool = False) -> None:
        """Raises: StoreClosed: it was closed. ReadOnly."""
        if self not in self.shared.handles:
            raise StoreClosed(f"the store on {LOCATION} was closed; open it again")
        if is_writing and self.read_only:
            raise ReadOnly(f'{LOCATION} was opened with mode="r"; open it with mode="w" to write', path=LOCATION)

    def read(self, work: Callable[[Reads], T]) -> T:
        """Call `work` with the rows that the caller sees: those of its transaction, or the committed ones."""
        self.check_open()
        visitor = self.shared.visitor()
        source: Reads | None = self.shared.rows
        problem = None
        if (visitor.operation is not None or visitor.transaction is not None) and (problem := conflict(visitor)):
            if visitor.operation is not None:
                raise in_use(visitor, problem)
            source = visitor.view if is_in_block(visitor) else source
        before = visitor.operation
        try:
            visitor.operation = sys._getframe()
            if problem is None and visitor.live_transaction() is not None:
                visitor.check_open(is_inside=True)
                source = visitor.view
            assert source is not None
            return work(source)
        finally:
            visitor.operation = before
            if visitor.deferred:
                visitor.run_deferred()

    def write(self, work: Callable[[Overlay], T]) -> T:
        """Call `work`, which changes rows, in the open transaction or in a new one."""
        self.check_open(is_writing=True)
        visitor = self.shared.visitor()
        if visitor.operation is not None or visitor.transaction is not None:
            refuse(visitor)
        before = visitor.operation
        try:
            visitor.operation = sys._getframe()
            if visitor.live_transaction() is None:
                return self._write_alone(visitor, work)
            visitor.check_open(is_inside=True)
            assert visitor.view is not None
            return work(visitor.view)
        finally:
            visitor.operation = before
            if visitor.deferred:
                visitor.run_deferred()

    def _write_alone(self, visitor: ThreadPlace, work: Callable[[Overlay], T]) -> T:
        hold = Hold()
        self.shared.lock.acquire(hold, visitor.roll_back, self.timeout)
        try:
            self.check_open()
            view = Overlay(self.shared.rows)
            found = work(view)
            self.shared.rows.write(view.changes)
            return found
        finally:
            self.shared.lock.release(hold)


_stores: WeakSet[Shared] = WeakSet()
in_transaction.append(lambda: any(shared.is_in_transaction() for shared in list(_stores)))


def _after_fork_in_child() -> None:
    for shared in list(_stores):
        shared.rows.renew()
        shared.named_locks.forget()


forking.register(forking.Stage.ENGINES, in_child=_after_fork_in_child)
