"""`ShardedRecords`: the records of a cache that is spread over shards, each a `CacheRecords` of its own.

A shard has its own notes, tags and evictor, so that no transaction is of two shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from math import inf, nextafter
from typing import Any, TypeAlias

from store.cache.figures import CacheStats
from store.cache.options import Bounds
from store.cache.records import CacheRecords
from store.engines.registry import supported
from store.mapping.sharding.sharded import AnyStore, ShardedStore
from store.opened.arguments import check_name, new_name
from store.opened.namespace import Namespace
from store.opened.sentinels import Unset
from store.opened.writing import pairs_of

SUMMED = ("hits", "misses", "evictions", "bytes")


class ShardedRecords:
    """As `CacheRecords`, over several shards: what is about one record is done by `at(name)`.

    What is about many records is done shard by shard, each part as one transaction. Safe across threads, processes
    and forks; a pickle of it opens the same shards again.

    Attributes:
        store: the mapping of the records.
        bounds: those of all shards together.
    """

    def __init__(self, store: ShardedStore[Any], bounds: Bounds) -> None:
        """Takes over `store`, which it closes. Raises: ValueError: a bound is too small for so many shards."""
        self.store, self.bounds = store, bounds
        engine, shards = store.opened.engine, len(store.stores)
        self._together = supported(engine.eviction, engine.kind, "what a bounded cache needs").counts_together
        parts: list[CacheRecords] = []
        with ExitStack() as stack:
            for index, one in enumerate(store.stores):
                share = bounds.of_shard(index, shards, together=self._together)
                if self._together:  # they share the file of notes and the bound of bytes
                    parts.append(CacheRecords(one, share, expected=bounds.expected_records(), shards=shards))
                else:
                    parts.append(CacheRecords(one, share))
                stack.callback(parts[-1].close)
            stack.pop_all()
        self.parts = tuple(parts)

    @property
    def ns(self) -> Namespace:
        """The parts of the first shard: location, clock and options are the same for all."""
        return self.store.opened

    def at(self, name: str) -> CacheRecords:
        """The records of the shard of a name."""
        return self.parts[self.store.index_of(name)]

    # -- many records

    def find(self, name: str) -> Any:
        """The value of that name, MISSING where there is none; counted, and noted as a use."""
        return self.at(name).find(name)

    def find_many(self, names: Iterable[str]) -> dict[str, Any]:
        """As `CacheRecords.find_many`; as of one moment in each shard."""
        wanted = list(dict.fromkeys(names))
        found: dict[str, Any] = {}
        for part, some in self._divided(wanted):
            found |= part.find_many(some)
        return {name: found[name] for name in wanted if name in found}

    def put_many(self, other: Any, named: Mapping[str, Any], ttl: float | Unset | None, tag: str | None) -> None:
        """As `CacheRecords.put_many`, one transaction in each shard."""
        pairs = {new_name(name): value for name, value in pairs_of(other, named)}
        moments, moment = {}, self.ns.clock()
        for name in pairs:  # in order of insertion, in whatever shard they are
            moments[name], moment = moment, nextafter(moment, inf)
        for part, some in self._divided(pairs):
            part.put_many({name: pairs[name] for name in some}, {}, ttl, tag, moments)

    def popitem(self, *, last: bool) -> tuple[str, Any]:
        """As `ShardedStore.popitem`. Raises: KeyError: the cache is empty."""
        while (index := self.store.end_shard(last=last)) is not None:
            try:
                return self.parts[index].popitem(last=last)
            except KeyError:  # another process took the last one of that shard
                continue
        raise KeyError("popitem(): the cache is empty")

    def delete_many(self, names: Iterable[str]) -> int:
        """As `CacheRecords.delete_many`, one transaction in each shard."""
        if isinstance(names, str):
            return self.store.delete_many(names)  # says what is wrong
        wanted = [check_name(name) for name in names]
        return sum(part.delete_many(some) for part, some in self._divided(wanted))

    def clear(self) -> None:
        """Deletes all records, shard by shard, and their notes."""
        for part in self.parts:
            part.clear()

    def clear_notes(self) -> None:
        """Deletes all notes."""
        for part in self.parts:
            part.clear_notes()

    # -- tags, lifetimes and bounds

    def evict(self, tag: str) -> int:
        """See `Cache.evict`: each shard lists the names of its own that have a tag."""
        return sum(part.evict(tag) for part in self.parts)

    def purge(self) -> int:
        """See `Cache.purge`."""
        return sum(part.purge() for part in self.parts)

    def cull(self) -> int:
        """See `Cache.cull`. In rounds, since one shard alone would be emptied for a bound of all of them."""
        deleted = self.purge()
        for part in self.parts:
            part.notes.sweep()
        before = self._evicted()
        while self._shrink_all():
            pass
        return deleted + self._evicted() - before

    # -- several steps as one

    def transaction(self) -> AbstractContextManager[Any]:
        """See `Cache.transaction`: over all shards. Raises: Unsupported: one is of one namespace here."""
        spaces = [ns for part in self.parts for ns in (part.ns, part.notes.notes, part.notes.tags)]
        return self.ns.transaction(*spaces[1:], block=True)

    # -- figures

    def count(self, *, hits: int = 0, misses: int = 0) -> None:
        """As `CacheRecords.count`: in the first shard, since the figures are those of all."""
        self.parts[0].count(hits=hits, misses=misses)

    def reset(self) -> None:
        """See `Cache.reset_stats`."""
        for part in self.parts:
            part.reset()

    def stats(self) -> CacheStats:
        """See `Cache.stats`: the sums of the shards, but for what the engine counts for all of them at once."""
        all_of = [part.stats() for part in self.parts]
        counted = all_of[-1:] if self._together else all_of  # the last look is the newest
        return replace(
            all_of[0],
            **{field: sum(getattr(one, field) for one in counted) for field in SUMMED},
            records=sum(one.records for one in all_of),
            max_bytes=self.bounds.max_bytes,
            max_records=self.bounds.max_records,
            eviction_error=next((one.eviction_error for one in all_of if one.eviction_error is not None), None),
        )

    # -- closing

    def close(self) -> None:
        """As `CacheRecords.close`."""
        for part in self.parts:
            part.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return sharded_again, (self.store.__reduce__(), self.bounds)

    def _divided(self, names: Iterable[str]) -> list[tuple[CacheRecords, list[str]]]:
        return [(self.parts[index], some) for index, some in self.store.divided(names)]

    def _shrink_all(self) -> bool:
        """Evicts one batch from each shard; returns whether there was any, and some bound does not hold yet."""
        before = self._evicted()
        within = [part.evictor.shrink(1) for part in self.parts]
        return not all(within) and self._evicted() > before

    def _evicted(self) -> int:
        return sum(part.evictor.evicted for part in self.parts)


AnyRecords: TypeAlias = CacheRecords | ShardedRecords


def records_of(store: AnyStore[Any], bounds: Bounds) -> AnyRecords:
    """The records of a cache on such a store, which they take over. Raises: Unsupported, ValueError."""
    return ShardedRecords(store, bounds) if isinstance(store, ShardedStore) else CacheRecords(store, bounds)


def sharded_again(store: tuple[Any, ...], bounds: Bounds) -> ShardedRecords:
    """Opens pickled or copied records again, with handles of their own."""
    reopen, arguments = store
    opened = reopen(*arguments)
    try:
        return ShardedRecords(opened, bounds)
    except BaseException:
        opened.close()
        raise
