"""The servers that a process has open: one object for each location, which its handles share."""

from __future__ import annotations

import threading
from typing import Generic, Protocol, TypeVar
from weakref import WeakSet, WeakValueDictionary

from store.engines.registry import in_transaction
from store.system import forking


class Shared(Protocol):
    """What the handles of a process on one location share."""

    def is_in_transaction(self) -> bool:
        """Whether the caller is in a transaction there, or interrupts one."""

    def renew(self) -> None:
        """In a forked child: leave what the parent has open alone, and begin with nothing."""


K = TypeVar("K")
S = TypeVar("S", bound=Shared)


class Servers(Generic[K, S]):
    """Servers by a key; each is dropped with its last user. Hold `mutex` while you look for one and add it."""

    def __init__(self) -> None:
        self.by_key: WeakValueDictionary[K, S] = WeakValueDictionary()
        self.mutex = threading.RLock()
        self._every: WeakSet[S] = WeakSet()  # with those that others have replaced, and whose handles are still open
        in_transaction.append(self._is_in_transaction)
        forking.register(forking.Stage.ENGINES, in_child=self._renew)

    def add(self, key: K, server: S) -> S:
        """Put a server into the table, in place of the one with that key."""
        self.by_key[key] = server
        self._every.add(server)
        return server

    def _is_in_transaction(self) -> bool:
        return any(server.is_in_transaction() for server in list(self._every))

    def _renew(self) -> None:
        self.mutex = threading.RLock()
        for server in list(self._every):
            server.renew()
