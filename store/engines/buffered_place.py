"""The place of a thread on an engine that buffers the writes of a transaction until its commit."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol, TypeVar
from weakref import ref

from store.engines.contract import Reads
from store.engines.overlay import Overlay
from store.engines.reentry import conflict, in_use, is_in_block, refuse
from store.engines.transaction import HeldTransaction
from store.errors import StoreError
from store.system.locking import Hold

T = TypeVar("T")


class Buffer(Protocol):
    """What an engine does at the ends of a transaction whose writes are in an overlay."""

    def begin(self, hold: Hold, timeout: float, undo: Callable[[], None]) -> Overlay:
        """Get what a transaction needs, within `timeout` seconds, and an overlay on the committed rows.

        `undo` rolls the transaction back, should an interrupt have ended its owner.
        """

    def commit(self, view: Overlay) -> None:
        """Make the writes of the overlay permanent. Raises: StoreError: nothing was committed."""

    def give(self, hold: Hold) -> None:
        """Give back what `begin` got; does nothing if `hold` does not have it."""

    def abandon(self) -> None:
        """Give back what `begin` got, of a transaction that an interrupt ended, and that may be referred to still."""

    def settle(self, timeout: float) -> None:
        """Raises: OutcomeUnknown: the last commit may be lost."""

    def check_open(self) -> None:
        """Raises: StoreClosed."""


class BufferedPlace:
    """A thread or greenlet: the operation and the transaction that it is in. The contract `Place`."""

    def __init__(self, path: str, buffer: Buffer) -> None:
        self.path = path
        self.operation: FrameType | None = None
        self.deferred: list[Any] = []
        self.transaction: ref[HeldTransaction] | None = None
        self.outermost: ref[HeldTransaction] | None = None
        self.view: Overlay | None = None
        self.buffer = buffer
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
        self.buffer.abandon()
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

    # -- the operations of an engine

    def read(self, committed: Reads, work: Callable[[Reads], T]) -> T:
        """Call `work` with the rows that the caller sees: those of its transaction, or the committed ones."""
        source: Reads | None = committed
        problem = None
        if (self.operation is not None or self.transaction is not None) and (problem := conflict(self)):
            if self.operation is not None:
                raise in_use(self, problem)
            source = self.view if is_in_block(self) else source
        before = self.operation
        try:
            self.operation = sys._getframe()
            if problem is None and self.live_transaction() is not None:
                self.check_open(is_inside=True)
                source = self.view
            assert source is not None
            return work(source)
        finally:
            self.operation = before
            if self.deferred:
                self.run_deferred()

    def write(self, work: Callable[[Overlay], T], alone: Callable[[], T]) -> T:
        """Call `work` with the overlay of the open transaction; `alone` if there is none."""
        if self.operation is not None or self.transaction is not None:
            refuse(self)
        before = self.operation
        try:
            self.operation = sys._getframe()
            if self.live_transaction() is None:
                return alone()
            self.check_open(is_inside=True)
            assert self.view is not None
            return work(self.view)
        finally:
            self.operation = before
            if self.deferred:
                self.run_deferred()

    # -- the contract of a transaction

    def begin(self, hold: Hold, timeout: float) -> None:
        self.view = self.buffer.begin(hold, timeout, self.roll_back)
        self._process = os.getpid()

    def commit(self, hold: Hold) -> None:
        if self.view is not None:
            self.buffer.commit(self.view)
        self.view = None

    def roll_back(self) -> None:
        self.view = self.transaction = None

    def give(self, hold: Hold) -> None:
        self.buffer.give(hold)

    def savepoint(self, transaction: HeldTransaction) -> int:
        return 0 if self.view is None else self.view.savepoint()

    def committed(self) -> None:
        """Does nothing: there is no maintenance after a commit."""

    def settle(self, timeout: float) -> None:
        self.buffer.settle(timeout)

    def release(self, savepoint: int) -> None:
        """Does nothing: the view contains the rows already."""

    def roll_back_to(self, savepoint: int) -> None:
        if self.view is not None:
            self.view.roll_back_to(savepoint)

    def check_open(self, *, is_inside: bool) -> None:
        self.buffer.check_open()
        if is_inside and (self.view is None or self._process != os.getpid()):
            raise StoreError(
                f"{self.path}: the transaction had ended before its block did (an interrupt rolled it back, or it is "
                "that of the process that this one was forked from); nothing of it was kept, run it again"
            )
