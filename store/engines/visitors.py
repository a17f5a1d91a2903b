"""The places of the threads and greenlets that use a store: one for each, made on its first use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from store.engines.reentry import Visitor, conflict
from store.system import running


class TransactingVisitor(Visitor, Protocol):
    """A visitor that can tell whether it is in a transaction."""

    def live_transaction(self) -> Any:
        """The open transaction; one that an interrupt ended is rolled back."""


P = TypeVar("P", bound=TransactingVisitor, covariant=True)


class Visitors(Generic[P]):
    """The place of each thread or greenlet. It is freed when its owner ends."""

    def __init__(self, make: Callable[[], P]) -> None:
        self._make = make
        self.renew()

    def renew(self) -> None:
        """In a forked child: no thread has a place yet."""
        self._local = threading.local()
        self._of_greenlets: WeakKeyDictionary[Any, dict[str, P]] = WeakKeyDictionary()

    def current(self) -> P:
        """The place of the calling thread or greenlet."""
        greenlet = running.greenlet()
        own = self._local.__dict__ if greenlet is None else self._of_greenlets.setdefault(greenlet, {})
        return own.get("visitor") or own.setdefault("visitor", self._make())

    def is_in_transaction(self) -> bool:
        """Whether the caller is in a transaction, or interrupts one."""
        visitor = self.current()
        return conflict(visitor) is not None or visitor.live_transaction() is not None

    def is_caller_inside(self) -> bool:
        """Whether the caller is in a transaction of its own; another task and a handler that interrupts are not."""
        visitor = self.current()
        return conflict(visitor) is None and visitor.live_transaction() is not None
