"""`Store.watch`: what it takes, and who is told when a store is closed."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from weakref import WeakValueDictionary

from store.errors import StoreError
from store.opened.arguments import check_name, check_timeout
from store.opened.handle import Handle
from store.system.file_status import reaching

if TYPE_CHECKING:
    from store.watching.watch import Watch

V = TypeVar("V")

INTERVAL_SECONDS = 0.05

open_watches: WeakValueDictionary[int, Watch[Any]] = WeakValueDictionary()


class Watching(Handle[V]):
    """The part of `Store` that tells of changes."""

    def watch(
        self,
        names: Iterable[str] | None = None,
        prefix: str = "",
        timeout: float | None = None,
        *,
        interval: float = INTERVAL_SECONDS,
    ) -> Watch[V]:
        """The changes of this namespace from now on, by any process or thread, one after the other as `Change`.

        Iterate with `for`, or with `async for`, which never blocks the event loop for longer than one short read (the
        call itself reads all that is watched; where that is much, `AsyncStore` does it in its thread). Several writes
        of a record between two looks are one change; the last state is never missed. Several changes come in the
        order of their names, and each stands for itself. Asking 20 times a second whether there was any commit costs
        less than 1 % of a core; after one the watched records are compared, so give the `names`, or the `prefix`,
        that you need.

        Args:
            names: only records of these names, which need not exist.
            prefix: only names that begin with it.
            timeout: seconds without a change after which the iteration ends; 0: at once, with what has changed so
                far. None: never. Another `for` over the same object goes on from there.
            interval: seconds between two looks.

        Raises:
            StoreError: inside a transaction, where the changes of others cannot come. StorageError: changes of this
                file cannot be seen; and while iterating: the file was replaced or deleted. StoreClosed: while
                iterating, the store was closed. LockTimeout: somebody kept the file locked for the store's timeout.
        """
        self._check_open()
        wanted = None if names is None else _checked_names(names)
        if wanted is not None and prefix:
            raise TypeError("watch takes names or a prefix, not both")
        if isinstance(interval, bool) or not isinstance(interval, int | float):
            raise TypeError(f"interval is a number of seconds, not {interval!r}")
        if not interval > 0:
            raise ValueError(f"interval is a number of seconds above 0, not {interval!r}")
        seconds = None if timeout is None else check_timeout(timeout)
        if self._backend.in_transaction():
            refuse_in_transaction(self)

        with reaching(self.location):
            from store.watching.watch import Watch  # few programs watch

        return Watch(self, wanted, check_name(prefix, "prefix"), seconds, min(interval, threading.TIMEOUT_MAX))

    def close(self) -> None:
        try:
            super().close()
        finally:  # what is written back at the end may fail; it is closed all the same
            if self._closed:
                self._wake_watches()

    def _wake_watches(self) -> None:
        for reference in open_watches.valuerefs():
            watch = reference()
            if watch is not None and watch._store is self:
                watch._let_go()  # its next look says that the store is closed


def _checked_names(names: Iterable[str]) -> list[str]:
    if isinstance(names, str):
        raise TypeError(
            f"names is a list of names: watch([{names!r}]), or watch(prefix={names!r}) for all that begin so"
        )
    wanted = sorted(set(map(check_name, names)))
    if not wanted:
        raise ValueError("names is empty, and nothing would ever change; leave it out to watch all names")
    return wanted


def refuse_in_transaction(store: Handle[Any]) -> NoReturn:
    """Raises: StoreError: a change could not come."""
    raise StoreError(
        f"watching {store.location} inside a transaction of this thread would keep out those whose changes it waits "
        "for: leave the block first"
    )
