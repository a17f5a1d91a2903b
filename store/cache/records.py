"""`CacheRecords`: the records of one opened cache, and the parts that count, note and bound them.

`Cache` holds one, or one for each shard, as `Store` holds a `Namespace`; what computes values takes it as well. One
file because all operations need the same four parts: the store, the notes, the accesses and the evictor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from store.cache.eviction import Evictor
from store.cache.figures import CacheStats
from store.cache.notes import Notes
from store.cache.options import Bounds
from store.codecs import CodecChoice
from store.engines.registry import supported
from store.errors import CodecUnavailable, RecordError, StoreError
from store.mapping.store import Store
from store.opened import reading, writing
from store.opened.arguments import new_name
from store.opened.locks import Lock
from store.opened.namespace import Namespace
from store.opened.restarts import restarted
from store.opened.sentinels import MISSING, Unset
from store.opened.steps import in_steps
from store.rows.row import Row

if TYPE_CHECKING:
    from store.rows.record import Record

T = TypeVar("T")
STEP = 1000  # records that are read, written or deleted at once where a transaction is bounded
NOTED_STEP = 200  # of records with notes: four rows each, with those that had another tag before


class CacheRecords:
    """The records of a cache. Safe across threads, processes and forks; a pickle of it opens the same file again.

    Attributes:
        store: the mapping of the records.
        notes: their tags, and what they take to compute.
        accesses: how they are used, and the figures of all processes.
        evictor: keeps them within the bounds.
    """

    def __init__(self, store: Store[Any], bounds: Bounds, *, expected: int | None = None, shards: int = 1) -> None:
        """Takes over `store`, which it closes. Raises: Unsupported: the engine cannot evict.

        `expected`: about how many records there will be; None: by the bounds. `shards`: as of `Evictor`.
        """
        ns = store.opened
        self.store, self.bounds = store, bounds
        self.notes = Notes(ns)
        try:
            eviction = supported(ns.engine.eviction, ns.engine.kind, "what a bounded cache needs")
            self._eviction = eviction
            self.accesses = eviction.accesses(
                ns.name,
                bounds.expected_records() if expected is None else expected,
                now=ns.clock,
                frequencies=bounds.policy == "lfu",
            )
        except BaseException:
            self.notes.close()
            raise
        self.evictor = Evictor(ns, self.notes, eviction, self.accesses, bounds, shards)
        self._read, self._count = ns.get, self.accesses.count
        self._note: Callable[[str], None] = self.accesses.note if bounds.policy in ("lru", "lfu") else _nothing

    @property
    def ns(self) -> Namespace:
        """The parts of the store."""
        return self.store.opened

    def at(self, name: str) -> CacheRecords:
        """The records that have that name: these."""
        return self

    # -- reading

    def find(self, name: str) -> Any:
        """The value of that name, MISSING where there is none; counted, and noted as a use."""
        value = self._read(name)
        if value is MISSING:
            self._count(misses=1)
        else:
            self._note(name)
            self._count(hits=1)
        return value

    def peek(self, name: str) -> Any:
        """As `find`, but the caller counts it."""
        value = self._read(name)
        if value is not MISSING:
            self._note(name)
        return value

    def find_with_record(self, name: str) -> tuple[Any, Record]:
        """As `find`, with the metadata of the record that the value was read from. Raises: KeyError."""
        try:
            found = self.store.get_with_record(name)
        except KeyError:
            self._count(misses=1)
            raise
        self._note(name)
        self._count(hits=1)
        return found

    def find_readable(self, name: str) -> Any:
        """As `find`, MISSING also for a value that cannot be read; only a hit is counted."""
        try:
            value = self.peek(name)
        except (RecordError, CodecUnavailable):
            return MISSING
        if value is not MISSING:
            self._count(hits=1)
        return value

    def discard_unreadable(self, name: str) -> bool:
        """Deletes a record that cannot be read; returns whether there was one. One step."""
        if name not in self.store or self._is_readable(name):  # without waiting for writers
            return False
        with self.ns.transaction(self.notes.notes, self.notes.tags, block=True):
            if self._is_readable(name):  # somebody has replaced it
                return False
            return self.removing(lambda _: (name,), lambda: self.store.delete(name))

    def _is_readable(self, name: str) -> bool:
        try:
            self.peek(name)
        except (RecordError, CodecUnavailable) as exc:
            if isinstance(exc, RecordError) and exc.name is None:  # the file is damaged, not only the record
                raise
            return False
        return True

    def find_many(self, names: Iterable[str]) -> dict[str, Any]:
        """The values of those names that exist, in their order, as of one moment; each counted and noted.

        This, `put_many` and `delete_many` go in steps where a transaction is bounded, each of one moment.
        """
        wanted = list(dict.fromkeys(names))
        found: dict[str, Any] = {}
        for some in in_steps(self.ns, wanted, STEP):
            found |= self.store.get_many(some)
        for name in found:
            self._note(name)
        self._count(hits=len(found), misses=len(wanted) - len(found))
        return found

    # -- writing

    def put(
        self,
        name: str,
        value: Any,
        ttl: float | Unset | None,
        tag: str | None = None,
        *,
        cost: float | None = None,
        codec: CodecChoice | None = None,
    ) -> None:
        """Stores a value; `cost` is in seconds, as `Note` has it. One statement if it has neither tag nor cost."""
        ns, name = self.ns, new_name(name)
        seconds = writing.seconds_to_live(ns, ttl)
        if tag is None and cost is None:
            row = ns.pack(name, value, seconds, codec)
            ns.put(row)
        else:
            row = _put_noted(ns, self.notes, name, value, seconds, tag, cost, codec)
        self.evictor.wrote(row)

    def add(self, name: str, value: Any, ttl: float | Unset | None, tag: str | None) -> bool:
        """Stores a value only where there is no such record; returns whether it did."""
        if name in self.store:  # without a lock
            return False

        def work() -> bool:
            if not self.store.add(name, value, ttl=ttl):
                return False
            self.notes.write((name,), tag)
            return True

        added = self.store.add(name, value, ttl=ttl) if tag is None else self.notes.together(work)
        if added:
            self.evictor.wrote_one()
        return added

    def put_many(
        self,
        other: Any,
        named: Mapping[str, Any],
        ttl: float | Unset | None,
        tag: str | None,
        moments: Mapping[str, float] | None = None,
    ) -> None:
        """Stores what `dict.update` takes, as one transaction; `moments` as in `writing.update`."""
        pairs = dict(writing.pairs_of(other, named))
        for some in in_steps(self.ns, list(pairs), STEP if tag is None else NOTED_STEP):
            self._put_step({name: pairs[name] for name in some}, ttl, tag, moments)
        self.evictor.wrote_many()

    def _put_step(
        self, pairs: dict[str, Any], ttl: float | Unset | None, tag: str | None, moments: Mapping[str, float] | None
    ) -> None:
        def work() -> None:
            writing.update(self.ns, pairs, {}, ttl, moments)
            self.notes.write([new_name(name) for name in pairs], tag)

        if tag is None:
            writing.update(self.ns, pairs, {}, ttl, moments)
        else:
            self.notes.together(work)

    def changing(self, name: str, operation: Callable[[], T]) -> T:
        """The result of an operation that changes the record of that name, and keeps its note."""

        def work() -> T:
            with self.notes.kept(name):
                return operation()

        result = self.notes.together(work)
        self.evictor.wrote_one()
        return result

    def removing(self, names: Callable[[T], Sequence[str]], operation: Callable[[], T]) -> T:
        """The result of an operation that deletes records; `names` says which ones, by its result."""
        if not self.notes.in_use():
            return operation()

        def work() -> T:
            result = operation()
            self.notes.forget(names(result))
            return result

        return self.notes.together(work)

    def setdefault(self, name: str, default: Any) -> Any:
        """The value of that name; where there is none, `default` is stored and returned. One step."""
        value = self.find(name)
        if value is MISSING:
            value = self.store.setdefault(name, default)
            self.evictor.wrote_one()
        return value

    def popitem(self, *, last: bool) -> tuple[str, Any]:
        """See `Cache.popitem`."""
        return self.removing(lambda pair: (pair[0],), lambda: self.store.popitem(last))

    def delete_many(self, names: Iterable[str]) -> int:
        """Deletes the records of those names, as one transaction; returns how many there were."""
        if isinstance(names, str):
            return self.store.delete_many(names)  # says what is wrong
        steps = in_steps(self.ns, list(names), NOTED_STEP if self.notes.in_use() else STEP)
        return sum(map(self._delete_step, steps))

    def _delete_step(self, names: Sequence[str]) -> int:
        return self.removing(lambda _: names, lambda: self.store.delete_many(names))

    def evict(self, tag: str) -> int:
        """See `Cache.evict`."""
        return self.notes.evict(tag)

    def purge(self) -> int:
        """See `Cache.purge`."""
        return self.evictor.purge()

    def cull(self) -> int:
        """See `Cache.cull`."""
        return self.evictor.cull()

    def clear(self) -> None:
        """Deletes all records, and their notes.

        Where a transaction is bounded, the notes go in steps after the records, but for those that somebody wrote
        since: a note without its record counts for nothing.
        """
        if not self.notes.in_use():
            self.store.clear()
            return
        if self.ns.is_optimistic:
            self.store.clear()
            self.notes.sweep()
            return

        def work() -> None:
            self.store.clear()
            self.notes.clear()

        self.notes.together(work)

    def clear_notes(self) -> None:
        """Deletes all notes: mode "n" has deleted the records."""
        self.notes.clear()

    def transaction(self) -> AbstractContextManager[Any]:
        """See `Cache.transaction`."""
        return self.ns.transaction(self.notes.notes, self.notes.tags, block=True)

    # -- figures

    def count(self, *, hits: int = 0, misses: int = 0) -> None:
        """Counts calls of functions, whose results are records."""
        self._count(hits=hits, misses=misses)

    def reset(self) -> None:
        """See `Cache.reset_stats`."""
        self.ns.check_open()
        self.accesses.reset()

    def stats(self) -> CacheStats:
        """See `Cache.stats`."""
        ns, bounds = self.ns, self.bounds
        self.accesses.flush()
        counted, usage = self.accesses.figures(), ns.engine.usage()
        live = self._eviction.live_bytes(ns.name)
        return CacheStats(
            hits=counted.hits,
            misses=counted.misses,
            evictions=counted.evictions,
            records=reading.count(ns),
            bytes=live,
            max_bytes=bounds.max_bytes,
            max_records=bounds.max_records,
            policy=bounds.policy,
            log_bytes=usage.log_bytes,
            free_bytes=usage.free_bytes,
            eviction_error=None if self.evictor.error is None else str(self.evictor.error),
        )

    # -- locks, and closing

    def lock(self, name: str, seconds: float | None = None) -> Lock:
        """The lock of those that compute the value of that name."""
        return self.store.lock(f"cache {self.store.namespace}: {name}", seconds)

    def close(self) -> None:
        """Closes; a second call does nothing. Raises: StoreError: this thread is in a transaction of the file."""
        if self.ns.closed:
            return
        if self.ns.in_transaction():
            raise StoreError(f"{self.store.location} cannot be closed inside its transaction; leave the block first")
        self.accesses.flush()
        self.accesses.close()
        self._note = _nothing  # the notes are freed with the last reference to it
        self.notes.close()
        self.store.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return again, (self.store.__reduce__(), self.bounds)


def again(store: tuple[Any, ...], bounds: Bounds) -> CacheRecords:
    """Opens pickled or copied records again, with handles of their own."""
    reopen, arguments = store
    opened = reopen(*arguments)
    try:
        return CacheRecords(opened, bounds)
    except BaseException:
        opened.close()
        raise


@restarted
def _put_noted(
    ns: Namespace,
    notes: Notes,
    name: str,
    value: Any,
    ttl: float | None,
    tag: str | None,
    cost: float | None,
    codec: CodecChoice | None,
) -> Row:
    """Stores a record and its note, and returns its row."""
    row = ns.pack(name, value, ttl, codec)  # before the lock: it may be slow
    try:
        with ns.transaction(names=(name,)):  # whose note no other writer changes meanwhile
            ns.put(row)
            notes.write((name,), tag, cost)
    except BaseException:
        ns.values.discard(row)
        raise
    return row


def _nothing(name: str) -> None:
    """The note of an access where the policy does not ask for it."""
