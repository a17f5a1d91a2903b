"""Running an operation again, where the engine ended its transaction: others came first, or a connection was lost.

SQLite and memory never ask for it. Inside a transaction of the caller nothing is run again by itself: the error
leaves the caller's block, whose operation or `transact` is run again as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import update_wrapper
from typing import Concatenate, ParamSpec, TypeVar

from store.errors import Conflict, LockTimeout, StorageError, StoreError
from store.opened.namespace import Namespace
from store.system import running
from store.system.clock import steady_clock

P = ParamSpec("P")
T = TypeVar("T")
FIRST_PAUSE, LAST_PAUSE = 0.001, 0.1  # seconds at most between two attempts
OPTIMISTIC_PAUSE = 0.005  # the same where nobody waits for the winner: who pauses longer than it works would starve


def restarted(operation: Callable[Concatenate[Namespace, P], T]) -> Callable[Concatenate[Namespace, P], T]:
    """Makes an operation that is one transaction run again where that was overtaken, within the store's timeout.

    It changes nothing but the store, so that it can be done twice. Raises: LockTimeout: others came first each time.
    """

    def call(ns: Namespace, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return operation(ns, *args, **kwargs)
        except (Conflict, StorageError) as exc:
            if not _must_restart(ns, exc):
                raise
        return _again(ns, lambda: operation(ns, *args, **kwargs))

    update_wrapper(call, operation)
    return call


def _must_restart(ns: Namespace, error: StoreError) -> bool:
    transactions = ns.engine.transactions
    return transactions is not None and transactions.must_restart(error)


def _again(ns: Namespace, operation: Callable[[], T]) -> T:
    deadline, pause = steady_clock() + ns.options.timeout, FIRST_PAUSE
    while True:
        running.sleep(pause * (time.perf_counter_ns() % 997) / 997)  # by chance: two that met do not meet again
        try:
            return operation()
        except (Conflict, StorageError) as exc:
            if not _must_restart(ns, exc) or (isinstance(exc, StorageError) and steady_clock() >= deadline):
                raise
            if steady_clock() >= deadline:
                raise LockTimeout(
                    f"{ns.location}: other writers came first for {ns.options.timeout:g} seconds ({exc}); try again, "
                    "or change fewer records at once",
                    path=ns.location,
                ) from exc
        pause = min(2 * pause, OPTIMISTIC_PAUSE if ns.is_optimistic else LAST_PAUSE)
