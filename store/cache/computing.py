"""Computing a value once for all threads and processes, and anew before it expires.

The turns of `store.memo` decide in one process, a named lock of the store between processes. Early recomputation is
XFetch of A. Vattani, F. Chierichetti, K. Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015:
each reader recomputes with a probability that grows as the expiry comes near, the more so the longer computing takes.
"""

from __future__ import annotations

import inspect
import os
import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from math import log
from typing import Any, NamedTuple

from store.cache.notes import Note
from store.cache.sharded import AnyRecords
from store.codecs import CodecChoice
from store.errors import CodecUnavailable, InUse, LockTimeout, RecordError, StoreError
from store.memo.records import BUSY, HELD, NONE, UNCHANGEABLE
from store.memo.sources import Outcome
from store.opened.locks import Lock
from store.opened.namespace import Namespace
from store.opened.sentinels import MISSING, Unset

PAGE = 500  # results that are forgotten in one transaction


class Keeping(NamedTuple):
    """How a value that was computed is kept."""

    ttl: float | Unset | None
    tag: str | None
    early: float
    """The factor of early recomputation, "beta" in the paper; 0: none."""


def is_due(note: Note, now: float, early: float, chance: float) -> bool:
    """Whether a value is to be computed anew now; `chance` is a random number from 0 up to 1."""
    if note.cost is None or note.expires is None:
        return False
    return now - note.cost * early * log(1.0 - chance) >= note.expires


class Keeper:
    """Puts computed values into a cache, and tells when they are due again."""

    def __init__(self, records: AnyRecords, keeping: Keeping) -> None:
        self.records, self.keeping = records, keeping

    def place(self) -> tuple[str, ...]:
        """Equal for all that share the cache in this process; another one in memory is another place."""
        store = self.records.store
        where = f":memory: {id(store)}" if store.location == ":memory:" else os.path.realpath(store.location)
        return where, store.namespace

    def put(self, name: str, outcome: Outcome, codec: CodecChoice | None = None) -> None:
        """Stores a value, with what it took to compute if that is needed."""
        ttl, tag, early = self.keeping
        records = self.records.at(name)
        records.put(name, outcome.value, ttl, tag, cost=outcome.seconds if early else None, codec=codec)

    def due(self, name: str) -> str | None:
        """The version of a record that is to be computed anew before it expires; None: it is not."""
        early, note = self.keeping.early, None
        if early and self.records.ns.options.mode != "r":  # which could not keep the new value
            with suppress(RecordError):
                note = self.records.at(name).notes.of(name)
        if note is None or not is_due(note, self.records.ns.clock(), early, random.random()):
            return None
        return note.version

    def is_in(self, name: str, version: str) -> bool:
        """Whether the record is in that version still."""
        return self.records.at(name).notes.version(name) == version

    def note(self, *, hit: bool) -> None:
        """Counts a call."""
        self.records.count(hits=int(hit), misses=int(not hit))


class Computation:
    """The `Results` of `get_or_compute`: errors of the store are raised, where those of `memo` are warnings."""

    exceptions: tuple[type[Exception], ...] = ()

    def __init__(self, name: str, keeper: Keeper) -> None:
        self.label = f"get_or_compute({name!r:.80})"
        self._keeper = keeper
        self._records = keeper.records.at(name)
        self.place, self.due, self.is_in, self.note = keeper.place, keeper.due, keeper.is_in, keeper.note

    def hit(self, name: str) -> Outcome | None:
        """The stored value, counted as a hit; None: there is none, or it cannot be read."""
        value = self._records.find_readable(name)
        return None if value is MISSING else Outcome(value)

    def keep(self, name: str, outcome: Outcome) -> bool:
        """Stores a value; always True. Raises: as `Cache.set`."""
        self._keeper.put(name, outcome)
        return True

    def as_stored(self, name: str, outcome: Outcome) -> Outcome:
        """The value as later calls find it; the computed one, if it was evicted at once."""
        return outcome if type(outcome.value) in UNCHANGEABLE else self._find(name) or outcome

    @contextmanager
    def lock(self, name: str, seconds: float) -> Iterator[str]:
        """Tries to hold the lock between processes; gives HELD, BUSY, or NONE inside a transaction."""
        with ExitStack() as stack:
            state = HELD
            try:
                stack.enter_context(self._records.lock(name, seconds))
            except LockTimeout:
                state = BUSY
            except StoreError as exc:
                if type(exc) not in (StoreError, InUse):  # raised in a transaction, where waiting could deadlock
                    raise
                state = NONE
            yield state

    def warn(self) -> None:
        """Does nothing: errors were raised."""

    def _find(self, name: str) -> Outcome | None:
        try:
            value = self._records.peek(name)
        except (RecordError, CodecUnavailable):
            return None
        return None if value is MISSING else Outcome(value)


def check_computes(fn: Any) -> None:
    """Raises: TypeError: calling it does not compute a value."""
    if inspect.iscoroutinefunction(fn):
        raise TypeError(
            f"{fn!r:.80} is a coroutine function, and nothing here awaits it; decorate it with @cache.memoize"
        )


class CacheOrigin:
    """The `Origin` of results of functions that are memoized in a cache."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.place, self.due, self.is_in, self.note = keeper.place, keeper.due, keeper.is_in, keeper.note

    @contextmanager
    def open(self, name: str | None = None) -> Iterator[Results]:
        """The cache is open already, and stays open."""
        yield Results(self._keeper.records if name is None else self._keeper.records.at(name))

    def put(self, records: Any, name: str, outcome: Outcome, codec: str | None, ttl: float | None) -> None:
        """Stores an outcome with the lifetime and tag of the function's results."""
        self._keeper.put(name, outcome, codec)

    def close(self) -> None:
        """Does nothing: the program opened the cache, and closes it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _origin, (self._keeper.records, self._keeper.keeping)


def _origin(records: AnyRecords, keeping: Keeping) -> CacheOrigin:
    """The origin again, in another process."""
    return CacheOrigin(Keeper(records, keeping))


class Results:
    """The results in a cache, with those methods of `Store` that `store.memo` calls."""

    def __init__(self, records: AnyRecords) -> None:
        self._records = records
        self.names, self.delete_many = records.store.names, records.delete_many

    def lock(self, name: str, seconds: float) -> Lock:
        return self._records.at(name).lock(name, seconds)

    @property
    def opened(self) -> Namespace:
        """The parts of the open store."""
        return self._records.ns

    def get(self, name: str, default: Any) -> Any:
        value = self._records.at(name).peek(name)
        return default if value is MISSING else value

    def get_many(self, names: Iterable[str]) -> dict[str, Any]:
        return {name: value for name in names if (value := self._records.at(name).peek(name)) is not MISSING}

    def delete(self, name: str) -> bool:
        return self.delete_many((name,)) > 0

    def delete_prefix(self, prefix: str) -> int:
        deleted, after = 0, None
        while page := self.names(prefix, after, PAGE):
            deleted += self.delete_many(page)
            after = page[-1]
        return deleted
