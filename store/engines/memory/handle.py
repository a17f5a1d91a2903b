"""Handles on a store in memory, the threads that use them, and their open transactions."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakSet

from store.engines.buffered_place import BufferedPlace
from store.engines.contract import Reads
from store.engines.memory.rows import Committed
from store.engines.named_locks import NamedLocks
from store.engines.overlay import Overlay
from store.engines.registry import in_transaction
from store.engines.visitors import Visitors
from store.errors import ReadOnly, StoreClosed
from store.system import forking
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
        self.visitors = Visitors(lambda: BufferedPlace(LOCATION, MemoryBuffer(self)))
        _stores.add(self)


class MemoryBuffer:
    """The contract `Buffer`: a transaction has the writer's lock, and its commit is one step."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def begin(self, hold: Hold, timeout: float, undo: Callable[[], None]) -> Overlay:
        self._shared.lock.acquire(hold, undo, timeout)
        return Overlay(self._shared.rows)

    def commit(self, view: Overlay) -> None:
        self._shared.rows.write(view.changes)

    def give(self, hold: Hold) -> None:
        self._shared.lock.release(hold)

    def abandon(self) -> None:
        """Does nothing: who waits for the lock sees that its holder has ended."""

    def settle(self, timeout: float) -> None:
        """Does nothing: there is no disk."""

    def check_open(self) -> None:
        if not self._shared.handles:
            raise StoreClosed(f"{LOCATION} is closed; open the store again")


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
        return self.shared.visitors.current().read(self.shared.rows, work)

    def write(self, work: Callable[[Overlay], T]) -> T:
        """Call `work`, which changes rows, in the open transaction or in a new one."""
        self.check_open(is_writing=True)
        place = self.shared.visitors.current()
        return place.write(work, lambda: self._write_alone(place, work))

    def _write_alone(self, place: BufferedPlace, work: Callable[[Overlay], T]) -> T:
        hold = Hold()
        self.shared.lock.acquire(hold, place.roll_back, self.timeout)
        try:
            self.check_open()
            view = Overlay(self.shared.rows)
            found = work(view)
            self.shared.rows.write(view.changes)
            return found
        finally:
            self.shared.lock.release(hold)


_stores: WeakSet[Shared] = WeakSet()
in_transaction.append(lambda: any(shared.visitors.is_in_transaction() for shared in list(_stores)))


def _after_fork_in_child() -> None:
    for shared in list(_stores):
        shared.rows.renew()
        shared.named_locks.forget()


forking.register(forking.Stage.ENGINES, in_child=_after_fork_in_child)
