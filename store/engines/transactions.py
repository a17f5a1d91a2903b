"""The capability `Transactions` of engines whose threads have places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from store.engines.capabilities import WHOLE, Scope
from store.engines.reentry import defer, is_interrupting
from store.engines.transaction import HeldTransaction, Place
from store.engines.visitors import Visitors


class Handled(Protocol):
    """What all handles on one store share."""

    @property
    def visitors(self) -> Visitors[Place]: ...

    @property
    def handles(self) -> Any: ...


class Writable(Protocol):
    """A handle that transactions are begun on."""

    timeout: float

    def check_open(self, *, is_writing: bool = False) -> None:
        """Raises: StoreClosed, ReadOnly."""


class PlaceTransactions:
    """The contract `Transactions`: each thread or greenlet has one transaction, in its place."""

    def __init__(
        self,
        shared: Handled,
        handle: Writable,
        must_restart: Callable[[BaseException], bool],
        *,
        optimistic: bool = False,
    ) -> None:
        self.optimistic = optimistic
        self.shared: object = shared
        self._shared = shared
        self.must_restart = must_restart
        self.is_open = shared.visitors.is_in_transaction
        self._visitors = shared.visitors
        self._handle = handle

    def begin(self, timeout: float | None = None, *, block: bool = False, scope: Scope = WHOLE) -> HeldTransaction:
        handle = self._handle
        handle.check_open(is_writing=True)
        return HeldTransaction(
            self._visitors.current(), handle.timeout if timeout is None else timeout, block=block, scope=scope
        )

    def needs_handle(self) -> bool:
        return len(self._shared.handles) <= 1 and self.is_open()

    def afterwards(self, work: Callable[[], None]) -> None:
        transaction = self._visitors.current().live_transaction()
        if transaction is None:
            work()
        else:
            transaction.outermost().after.append(work)

    def is_interrupting(self) -> bool:
        return is_interrupting(self._visitors.current())

    def defer(self, work: Callable[[], object]) -> bool:
        return defer(self._visitors.current(), work)
