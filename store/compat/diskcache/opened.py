"""The open store of a cache: opened on first use, closed by the last thread that used it, then opened again.

diskcache has a connection for each thread, and `close` closes that of the calling thread. A store is one for all
threads, so `close` closes it only where no other thread still uses it: each thread that does holds a token, which
dies with the thread.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeVar
from weakref import WeakSet

from store.cache import Cache as Bounded
from store.compat.diskcache.errors import Timeout
from store.compat.diskcache.settings import NAMESPACE, Settings
from store.errors import LockTimeout
from store.mapping.store import Store
from store.system import forking

T = TypeVar("T")

SETTINGS_SECONDS = 60.0  # that opening, and changes of settings, wait for other writers, whatever the timeout
_all: WeakSet[Opened] = WeakSet()


class Place(NamedTuple):
    """Where a cache is, and how long its writes wait. `shards` multiplies its size limit and its timeout."""

    path: str
    timeout: float
    shards: int = 1


class _Token:
    """One thread uses the store."""

    __slots__ = ("__weakref__",)


class Opened:
    """The parts of one cache: `records`, bounded, and `settings`. Safe across threads and forks."""

    def __init__(self, place: Place, given: Mapping[str, Any]) -> None:
        self.place = place
        self.renew()
        _all.add(self)
        self._thread = threading.local()
        self._tokens: WeakSet[_Token] = WeakSet()
        self._records: Bounded[Any] | None = None
        self._replaced: list[Bounded[Any]] = []
        self._stored: Store[Any] | None = None
        with self.opening() as stored:
            self.settings = Settings(self.stored, given)
            self._records = self._bounded(stored)

    @property
    def records(self) -> Bounded[Any]:
        """The records, opened if they are not. Raises: StoreError: the file cannot be opened."""
        records = self._records
        if records is not None and hasattr(self._thread, "token"):
            return records
        with self.opening() as stored:
            if self._records is None:
                self._records = self._bounded(stored)
            return self._records

    def stored(self) -> Store[Any]:
        """The settings in the file."""
        with self.opening() as stored:
            return stored

    def reopen(self) -> None:
        """Opens the records anew, after a setting that bounds them has changed."""
        with self.opening() as stored:
            before, self._records = self._records, self._bounded(stored)
            if before is None:
                return
            if len(self._tokens) > 1 or before.opened.in_transaction():
                self._replaced.append(before)  # it may be in use: closed with the others
            else:
                before.close()

    @contextmanager
    def culling(self) -> Iterator[Bounded[Any]]:
        """The records under the policy that `cull` goes by, even where writes evict nothing."""
        if self.settings.values["cull_limit"]:
            yield self.records
            return
        with self._bounded(self.stored(), on_write=False) as records:
            yield records

    def renew(self) -> None:
        """Makes the lock of opening and closing, also anew in a forked child, whose parent's threads may hold it."""
        self._mutex = threading.RLock()

    def close(self) -> None:
        """This thread uses it no more; closed where no other one does."""
        with self._mutex:
            self._thread.__dict__.pop("token", None)
            if self._tokens:
                return
            for part in (*self._replaced, self._records, self._stored):
                if part is not None:
                    part.close()
            self._replaced, self._records, self._stored = [], None, None

    @contextmanager
    def opening(self) -> Iterator[Store[Any]]:
        """The store of the settings, while nobody closes it; this thread counts as a user."""
        with self._mutex:
            if not hasattr(self._thread, "token"):
                self._thread.token = _Token()
                self._tokens.add(self._thread.token)
            if self._stored is None:
                self._stored = Store(self.place.path, namespace=NAMESPACE, timeout=SETTINGS_SECONDS)
            yield self._stored

    def _bounded(self, stored: Store[Any], *, on_write: bool = True) -> Bounded[Any]:
        bounds = self.settings.bounds(self.place.shards, on_write=on_write)
        timeout = self.place.timeout * self.place.shards
        make = partial(Bounded[Any], max_bytes=bounds.max_bytes, policy=bounds.policy, timeout=timeout)
        records = attempt(True, make, stored.location)
        for part in (records, stored):
            # Writes until one looks for expired records.
            part.opened.purging.left = 0 if bounds.purges else sys.maxsize
        return records


def attempt(retry: bool, call: Callable[..., T], *args: Any) -> T:
    """The result of a call. Raises: Timeout: others kept the cache locked too long; with `retry` it waits on."""
    while True:
        try:
            return call(*args)
        except LockTimeout as exc:
            if not retry:
                raise Timeout(f"{exc}; retry=True waits on") from exc


@contextmanager
def transaction(opened: Opened, retry: bool) -> Iterator[Bounded[Any]]:
    """A transaction of the cache, once it has the lock; an exception undoes all of it. Raises: Timeout."""
    with ExitStack() as stack:
        records = opened.records
        attempt(retry, lambda: stack.enter_context(records.transaction()))
        yield records


def _renew_all() -> None:
    for opened in list(_all):
        opened.renew()


forking.register(forking.Stage.MEMO, in_child=_renew_all)
