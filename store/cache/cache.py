"""`Cache`: a bounded mapping on disk.

One file because it is the manual page of the cache: each method is a documented forward to the parts beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, Unpack, cast, overload

from store.cache.computing import CacheOrigin, Computation, Keeper, Keeping, check_computes
from store.cache.figures import CacheStats
from store.cache.notes import check_tag
from store.cache.options import DEFAULT_BYTES, Bounds, CacheOptions, Policy, check_early
from store.cache.records import CacheRecords
from store.cache.sharded import ShardedRecords, records_of
from store.mapping.sharding.sharded import open_shards, stores_of
from store.memo.decorator import Memo, MemoizedFunction, check_wait
from store.memo.once import once
from store.opened.arguments import check_ttl, new_name
from store.opened.locks import Lock
from store.opened.namespace import Namespace
from store.opened.options import check_options
from store.opened.reading import shown
from store.opened.sentinels import MISSING, UNSET, Unset

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    from store.mapping.store import Store
    from store.rows.record import Record

    V = TypeVarWithDefault("V", default=Any)
else:
    V = TypeVar("V")
D = TypeVar("D")
P = ParamSpec("P")
R = TypeVar("R")

Seconds = float | Unset | None
"""A lifetime in seconds; None is for ever; left out, it is that of the cache."""


class Cache(MutableMapping[str, V]):
    """A mapping from names to Python objects that stays within bounds, shared by threads and processes.

    Safe across threads, processes and forks; each single operation is atomic. A file has one cache and nothing else:
    its size is what is bounded. A write that goes over a bound evicts, after its own commit and in small batches, so
    that the bound holds within 5 %. Reading always returns a fresh object.

    Args:
        location: a path, ":memory:", or a URL, as of `Store`.
        namespace: which of the mappings in the file.
        max_bytes: bound of the bytes that live records take; in a file these are the pages in use and the files of
            large values. None: no bound.
        max_records: bound of the number of records. None: no bound.
        policy: which records go: "lru" those that were used least recently, "lfu" least frequently, "lrw" written
            least recently, each by the worst of 16 random ones; "fifo" those that were inserted first; "none" only
            those that have expired.
        cull_records: how many records go at once when there are more than `max_records`; 0: only those over it.
        ttl: seconds that a record lives from its assignment; None is for ever.
        shards: over how many namespaces the records are spread, each in a slot of a cluster of its own. The store
            records the number at the first use; `store.reshard` changes it. The bounds are those of all shards.
        options: of the `Store` below: codec, key, trust, mode, timeout, durability, clock…

    Raises:
        As `Store`. ValueError: a bound is too small, or the policy unknown. Unsupported: the engine cannot evict.
        ShardsMismatch: the cache there has another number of shards.
    """

    __hash__ = None  # type: ignore[assignment]
    _records: CacheRecords | ShardedRecords
    _find: Callable[[str], Any]

    def __init__(
        self,
        location: str | os.PathLike[str],
        *,
        namespace: str = "cache",
        max_bytes: int | None = DEFAULT_BYTES,
        max_records: int | None = None,
        policy: Policy = "lru",
        cull_records: int = 0,
        ttl: float | None = None,
        shards: int = 1,
        **options: Unpack[CacheOptions],
    ) -> None:
        bounds = Bounds(max_bytes, max_records, policy, cull_records).checked()
        if "writeback" in options:
            raise TypeError(
                "a cache has no writeback, which would keep its records alive in memory; assign values anew"
            )
        check_options("Cache", options, ("namespace", "codec", "ttl", "shards", *Bounds._fields))
        store = open_shards(location, namespace, shards, "cache", {**options, "ttl": ttl})
        try:
            self.__dict__.update(_parts(records_of(store, bounds)))
        except BaseException:
            store.close()
            raise
        if options.get("mode") == "n":
            self._records.clear_notes()

    # -- one record

    def __getitem__(self, name: str) -> V:
        """Returns the value of a name, decoded anew.

        Raises:
            KeyError: no such record, or it has expired. RecordError: as `Store`, where it cannot be read.
        """
        value: V = self._find(name)
        if value is MISSING:
            raise KeyError(name)
        return value

    @overload
    def get(self, name: str, default: None = None) -> V | None: ...
    @overload
    def get(self, name: str, default: V | D) -> V | D: ...
    def get(self, name: str, default: Any = None) -> Any:
        """Returns the value of that name, or `default` where there is no such record. Raises: as `cache[name]`."""
        value = self._find(name)
        return default if value is MISSING else value

    def get_with_record(self, name: str) -> tuple[V, Record]:
        """Returns the value of a name and the metadata of the record that it was read from. Raises: KeyError."""
        return self._records.at(name).find_with_record(name)

    def __contains__(self, name: object) -> bool:
        """Returns whether there is a record of that name; it counts as no use of it, and in no figure."""
        return name in self._records.store

    def __setitem__(self, name: str, value: V) -> None:
        """Stores a value under a name, without a tag; it is committed on return. Raises: as `set`."""
        self._records.at(name).put(name, value, UNSET)

    def set(self, name: str, value: V, *, ttl: Seconds = UNSET, tag: str | None = None) -> None:
        """Stores a value under a name; it is committed on return.

        Args:
            ttl: seconds to live; None is for ever; left out, it is the cache's.
            tag: a text by which `evict` deletes it together with others.

        Raises:
            NotSerializable: the value cannot be encoded; says where in it. LockTimeout, ReadOnly, StorageError.
        """
        self._records.at(name).put(name, value, ttl, check_tag(tag))

    def add(self, name: str, value: V, *, ttl: Seconds = UNSET, tag: str | None = None) -> bool:
        """Stores a value only where there is no such record, as one step; returns whether it did."""
        return self._records.at(name).add(name, value, ttl, check_tag(tag))

    def setdefault(self, name: str, default: V = None) -> V:  # type: ignore[assignment]
        """Returns the value of that name; where there is none, `default` is stored and returned. One step."""
        value: V = self._records.at(name).setdefault(name, default)
        return value

    def incr(self, name: str, delta: int = 1, *, default: int = 0) -> int:
        """Adds `delta` to a whole number, as one step across threads and processes; returns the sum.

        Expiry and tag stay. Where the record is missing, `default + delta` is stored, with the lifetime of the cache.

        Raises:
            TypeError: the value, `delta` or `default` is not an int; nothing was written.
        """
        records = self._records.at(name)
        return records.changing(name, lambda: records.store.incr(name, delta, default=default))

    def decr(self, name: str, delta: int = 1, *, default: int = 0) -> int:
        """Subtracts `delta` from a whole number, as `incr`."""
        return self.incr(name, -delta if type(delta) is int else delta, default=default)

    def modify(self, name: str, fn: Callable[[V], V]) -> V:
        """Stores `fn(value)` in place of the value, as one step across threads and processes, and returns it.

        Expiry and tag stay. On engines that must retry `fn` may run again.

        Raises:
            KeyError: no such record; and whatever `fn` raises, with nothing written.
        """
        records = self._records.at(name)
        value: V = records.changing(name, lambda: records.store.modify(name, fn))
        return value

    def touch(self, name: str, ttl: Seconds = UNSET) -> bool:
        """Gives a record a new lifetime, from now; returns whether there is one. Its tag stays.

        Raises:
            Untrusted: it was not sealed by a key of yours, and nothing else is.
        """
        check_ttl(None if ttl is UNSET else ttl)
        records = self._records.at(name)
        if name not in records.store:  # without waiting for writers
            return False
        try:
            records.changing(name, lambda: records.store.touch(name, ttl))
        except KeyError:  # deleted meanwhile
            return False
        return True

    @overload
    def pop(self, name: str, /) -> V: ...
    @overload
    def pop(self, name: str, default: V | D) -> V | D: ...
    def pop(self, name: str, default: Any = MISSING) -> Any:
        """Deletes a record and returns its value, as one step; one that cannot be decoded stays."""
        records = self._records.at(name)
        given = () if default is MISSING else (default,)
        return records.removing(lambda _: (name,), lambda: records.store.pop(name, *given))

    def popitem(self, last: bool = True) -> tuple[str, V]:
        """Deletes the record that was inserted last (`last=False`: first), and returns name and value. One step.

        Raises:
            KeyError: the cache is empty.
        """
        return self._records.popitem(last=last)

    def delete(self, name: str) -> bool:
        """Deletes a record; returns whether there was one."""
        records = self._records.at(name)
        return records.removing(lambda _: (name,), lambda: records.store.delete(name))

    def discard_unreadable(self, name: str) -> bool:
        """Deletes a record that cannot be read or trusted, so that `add` finds none; returns whether it did."""
        return self._records.at(name).discard_unreadable(name)

    def __delitem__(self, name: str) -> None:
        """Deletes a record. Raises: KeyError: there is none; `delete` returns False then."""
        if not self.delete(name):
            raise KeyError(name)

    # -- many records

    def get_many(self, names: Iterable[str]) -> dict[str, V]:
        """Returns the values of those names that exist, in the order given, as of one moment."""
        return self._records.find_many(names)

    def set_many(
        self, other: Mapping[str, V] | Iterable[tuple[str, V]], *, ttl: Seconds = UNSET, tag: str | None = None
    ) -> None:
        """Stores all of a mapping or of pairs, as one transaction, with one lifetime and one tag.

        On Redis 1,000 are one transaction, with a tag 200, and more are several; so with `update` and `delete_many`.
        """
        self._records.put_many(other, {}, ttl, check_tag(tag))

    def update(self, other: Any = (), /, **named: V) -> None:
        """Stores all of a mapping, of pairs, or of the keyword arguments, as one transaction."""
        self._records.put_many(other, named, UNSET, None)

    def delete_many(self, names: Iterable[str]) -> int:
        """Deletes the records of those names, as one transaction; returns how many there were."""
        return self._records.delete_many(names)

    def clear(self) -> None:
        """Deletes all records."""
        self._records.clear()

    # -- tags, lifetimes and bounds

    def tag_of(self, name: str) -> str | None:
        """Returns the tag of a record; None where it has none, or there is no such record."""
        note = self._records.at(name).notes.current(name)
        return None if note is None else note.tag

    def evict(self, tag: str) -> int:
        """Deletes the records that have this tag; returns how many.

        In pages, each a transaction, between which other writers get their turn. Records that others tag meanwhile
        may stay.
        """
        return self._records.evict(new_name(tag, "tag"))

    def purge(self) -> int:
        """Deletes the expired records; returns how many. Writers do so in passing, a few with every 100th write.

        As `Store.purge`, it leaves records that no key of yours sealed.
        """
        return self._records.purge()

    def cull(self) -> int:
        """Deletes the expired records, then evicts until the cache is within its bounds; returns how many it deleted.

        Writes do so by themselves; call it after the bounds became lower.
        """
        return self._records.cull()

    # -- computing

    def get_or_compute(
        self,
        name: str,
        fn: Callable[[], V],
        *,
        ttl: Seconds = UNSET,
        early: float = 0.0,
        tag: str | None = None,
        wait: float | None = None,
    ) -> V:
        """Returns the value of that name; where there is none, that of `fn()`, which is stored.

        One caller computes while the others wait, in all threads and processes; when it dies or raises, one of them
        computes. Inside a transaction or another computation, where two could wait for each other, it does not wait.
        A record that cannot be read is computed anew.

        Args:
            ttl, tag: as in `set`.
            early: compute anew before the value expires, now and then, the likelier the nearer its expiry and the
                longer it takes; 1.0 is usual, more is earlier. One caller does so, while the others take the value
                that there is.
            wait: seconds to wait for another caller who computes; None: until it is done.

        Raises:
            Whatever `fn` raises, and as `set`. RecursionError: `fn` asks for the same name. TypeError: `fn` is a
            coroutine function; `memoize` takes those.
        """
        if early == 0:
            value: V = self._records.at(name).find_readable(name)
            if value is not MISSING:
                return value
        check_early(early)
        check_ttl(None if ttl is UNSET else ttl)
        check_computes(fn)
        keeper = Keeper(self._records.at(name), Keeping(ttl, check_tag(tag), early))
        return once(Computation(name, keeper), check_wait(wait), new_name(name), fn)  # type: ignore[no-any-return]

    @overload
    def memoize(self, fn: Callable[P, R], /) -> MemoizedFunction[P, R]: ...
    @overload
    def memoize(
        self,
        fn: None = None,
        /,
        *,
        ttl: Seconds = UNSET,
        tag: str | None = None,
        early: float = 0.0,
        ignore: str | Iterable[str] = (),
        version: Any = None,
        source: bool = True,
        key: Callable[..., Any] | None = None,
        name: str | None = None,
        exceptions: type[Exception] | tuple[type[Exception], ...] = (),
        wait: float | None = None,
    ) -> Memo: ...
    def memoize(
        self,
        fn: Any = None,
        /,
        *,
        ttl: Seconds = UNSET,
        tag: str | None = None,
        early: float = 0.0,
        ignore: str | Iterable[str] = (),
        version: Any = None,
        source: bool = True,
        key: Callable[..., Any] | None = None,
        name: str | None = None,
        exceptions: type[Exception] | tuple[type[Exception], ...] = (),
        wait: float | None = None,
    ) -> Any:
        """Decorates a function, whose results are then records: `@cache.memoize`, or `@cache.memoize(ttl=60)`.

        Which calls are the same, who computes and what the decorated function has is as with `store.memo.memo`.

        Args:
            ttl, tag, early: as in `get_or_compute`, of all results.
            ignore, version, source, key, name, exceptions, wait: as in `store.memo.memo`.
        """
        check_ttl(None if ttl is UNSET else ttl)
        keeper = Keeper(self._records, Keeping(ttl, check_tag(tag), check_early(early)))
        memo = Memo(
            CacheOrigin(keeper), None, wait, exceptions,
            ignore=ignore, version=version, source=source, key=key, name=name,
        )  # fmt: skip
        return memo if fn is None else memo(fn)

    # -- several steps as one

    def transaction(self) -> AbstractContextManager[Any]:
        """All or nothing, as `Store.transaction`; what is over the bounds is evicted after the commit."""
        return self._records.transaction()

    def lock(self, name: str, timeout: float | None = None) -> Lock:
        """Returns a lock of that name between threads and processes, as `Store.lock`."""
        return self._records.store.lock(name, timeout)

    # -- as a mapping

    def keys(self) -> KeysView[str]:
        """Returns a live view of the names, in order of insertion. Views count no use and no figure."""
        return self._records.store.keys()

    def values(self) -> ValuesView[V]:
        """Returns a live view of the values."""
        return self._records.store.values()

    def items(self) -> ItemsView[str, V]:
        """Returns a live view of the pairs of name and value."""
        return self._records.store.items()

    def names(
        self, prefix: str = "", after: str | None = None, limit: int | None = None, reverse: bool = False
    ) -> list[str]:
        """Returns names that begin with `prefix`, in the order of their code points, as `Store.names`."""
        return self._records.store.names(prefix, after, limit, reverse)

    def __len__(self) -> int:
        """Returns how many records there are."""
        return len(self._records.store)

    def __iter__(self) -> Iterator[str]:
        """Iterates over the names in order of insertion: those there are now, less what is deleted meanwhile."""
        return iter(self._records.store)

    def __reversed__(self) -> Iterator[str]:
        """Iterates over the names, the one that was inserted last first."""
        return reversed(self._records.store)

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc]
        """Stores all of `other`, as `update`."""
        self.update(other)
        return self

    def __or__(self, other: Mapping[str, D]) -> dict[str, V | D]:
        """Returns a dict of all records as of one moment, updated with `other`; `cache | {}` is a copy."""
        return self._records.store | other

    def __ror__(self, other: Mapping[str, D]) -> dict[str, V | D]:
        """Returns a dict of `other`, updated with all records as of one moment."""
        return other | self._records.store

    def __eq__(self, other: object) -> bool:
        """Returns whether both mappings have equal names and values, each as of one moment."""
        if self is other:
            return True
        return self._records.store == (other.store if isinstance(other, Cache) else other)

    # -- the cache

    @property
    def store(self) -> Store[V]:
        """The mapping of its records. What is written through it is not counted against the bounds, nor tagged.

        Over several shards it is a `ShardedStore`, which has the methods of `Store` but `watch`.
        """
        return cast("Store[V]", self._records.store)

    @property
    def opened(self) -> Namespace:
        """The parts of the open store, for the code of this package; no promise is made about them."""
        return self._records.ns

    @property
    def location(self) -> str:
        """The absolute path of the file, or ":memory:"."""
        return self._records.store.location

    @property
    def namespace(self) -> str:
        """The namespace that holds the records."""
        return self._records.store.namespace

    @property
    def bounds(self) -> Bounds:
        """`max_bytes`, `max_records` and `policy`."""
        return self._records.bounds

    def stats(self) -> CacheStats:
        """Returns the figures of the cache: hits, misses and evictions of all processes, records, bytes."""
        return self._records.stats()

    def reset_stats(self) -> None:
        """Begins to count hits, misses and evictions anew, for all processes; one opened with mode="r" does not."""
        self._records.reset()

    def close(self) -> None:
        """Closes; a second call does nothing. Raises: StoreError: this thread is in a transaction of the file."""
        self._records.close()

    def __enter__(self) -> Self:
        """Returns the cache, which is closed as the block ends."""
        self._records.ns.check_open()
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the cache."""
        self.close()

    def __repr__(self) -> str:
        """Returns location, policy and number of records."""
        ns, bounds = self._records.ns, self._records.bounds
        where = f"<{type(self).__name__} {self.location!r} namespace={self.namespace!r} {bounds.policy}"
        return shown(ns, where, self.__len__)

    def _repr_html_(self) -> str:
        """Returns location, bounds and the metadata of the first records as a table, for notebooks."""
        from store.display.units import size_text
        from store.mapping.notebook import store_html

        bounds, spaces = self._records.bounds, [one.opened for one in stores_of(self._records.store)]
        most = [("max bytes", size_text(bounds.max_bytes)), ("max records", str(bounds.max_records))]
        facts = [("policy", bounds.policy), *((name, text) for name, text in most if text != "None")]
        return store_html(type(self).__name__, spaces, self.namespace, *facts)

    def __reduce__(self) -> tuple[Any, ...]:
        """Opens the same file again, with the same options but never with the key."""
        return reopened, (type(self), self._records.__reduce__())


def reopened(cls: type[Cache[Any]], records: tuple[Any, ...]) -> Cache[Any]:
    """Opens a pickled or copied cache again; its pickles name this function."""
    reopen, arguments = records
    cache: Cache[Any] = cls.__new__(cls)
    cache.__dict__.update(_parts(reopen(*arguments)))
    return cache


def _parts(records: CacheRecords | ShardedRecords) -> dict[str, Any]:
    """The attributes of a cache: its records, and the read of one, which it calls most."""
    return {"_records": records, "_find": records.find}
