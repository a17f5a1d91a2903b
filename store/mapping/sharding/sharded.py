"""`ShardedStore`: a mapping over several namespaces of one store.

One file because it has a method for each one of `Store` that layers above call: most find the shard and forward.
"""

from __future__ import annotations

import os
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from contextlib import AbstractContextManager
from heapq import merge
from itertools import islice
from math import inf, nextafter
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar, overload

from store.codecs import CodecChoice
from store.errors import StoreError
from store.mapping.sharding.layout import agree, start_empty
from store.mapping.sharding.merging import (
    MergedItems,
    MergedNames,
    MergedValues,
    each_name,
    names_of,
    snapshot,
    summed,
)
from store.mapping.sharding.routes import ROUTES, Kind, check_shards, namespace_of, shard_of
from store.mapping.store import Store
from store.opened import edits, reading, writing
from store.opened.arguments import check_name, new_name, sought_name
from store.opened.locks import Lock
from store.opened.namespace import Namespace
from store.opened.options import CACHE_BYTES
from store.opened.restarts import restarted
from store.opened.sentinels import MISSING, UNSET, Absent, Missing, Unset
from store.rows.record import Record

if TYPE_CHECKING:
    from store.care.backup import Backup
    from store.care.compact import Compaction
    from store.care.inspect import Inspection
    from store.care.rekey import Rekeying
    from store.care.stats import Stats
    from store.care.verify import Verification

V = TypeVar("V")
D = TypeVar("D")
CHUNK = 10_000  # pairs of an iterator that are divided among the shards at once


class ShardedStore(MutableMapping[str, V]):
    """A mapping over the shards of one logical namespace; each name belongs to one of them.

    Safe across threads, processes and forks. An operation on one record is that of `Store`, in the record's shard.
    One on many records is atomic, and as of one moment, in each shard by itself. Names come in the order of their
    code points, as from `Store`; in order of insertion they come by the time of it, which the writers' clocks tell.

    Attributes:
        stores: the mapping of each shard, for what this class has no method for, such as `watch`.
        kind: by which part of a name its shard is found.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, stores: Iterable[Store[V]], namespace: str, kind: Kind, *, is_within: bool) -> None:
        """Takes over the stores, which it closes. `is_within`: in a store that the program has opened."""
        self.stores, self.kind, self._is_within = tuple(stores), kind, is_within
        self._namespace, self._route = namespace, ROUTES[kind]
        self._spaces = [store.opened for store in self.stores]

    # -- shards

    def at(self, name: str) -> Store[V]:
        """The shard of a name, or of the prefix that all names with its routing key have."""
        return self.stores[self.index_of(name)]

    def index_of(self, name: object) -> int:
        """The number of the shard of a name; what cannot be a name goes to any, which says what is wrong with it."""
        return shard_of(self._route(str.__str__(name)), len(self.stores)) if isinstance(name, str) else 0

    def divided(self, names: Iterable[str]) -> list[tuple[int, list[str]]]:
        """The numbers of the shards that those names belong to, each with its names, in the order given."""
        parts: dict[int, list[str]] = {}
        for name in names:
            parts.setdefault(self.index_of(name), []).append(name)
        return sorted(parts.items())

    # -- one record

    def __getitem__(self, name: str) -> V:
        return self.at(name)[name]

    def __setitem__(self, name: str, value: V) -> None:
        self.at(name)[name] = value

    def __delitem__(self, name: str) -> None:
        del self.at(name)[name]

    def __contains__(self, name: object) -> bool:
        return name in self.stores[self.index_of(name)]

    @overload
    def get(self, name: str, /) -> V | None: ...
    @overload
    def get(self, name: str, default: V | D, /) -> V | D: ...
    def get(self, name: str, default: Any = None, /) -> Any:
        return self.at(name).get(name, default)

    def put(
        self,
        name: str,
        value: V,
        *,
        ttl: float | Unset | None = UNSET,
        codec: CodecChoice | None = None,
        protocol: int | None = None,
        if_version: Record | str | Absent | None = None,
    ) -> Record:
        """As `Store.put`."""
        return self.at(name).put(name, value, ttl=ttl, codec=codec, protocol=protocol, if_version=if_version)

    def add(self, name: str, value: V, *, ttl: float | Unset | None = UNSET) -> bool:
        """As `Store.add`."""
        return self.at(name).add(name, value, ttl=ttl)

    def incr(self, name: str, delta: int = 1, *, default: int = 0) -> int:
        """As `Store.incr`."""
        return self.at(name).incr(name, delta, default=default)

    def delete(self, name: str, *, if_version: Record | str | None = None) -> bool:
        """As `Store.delete`."""
        return self.at(name).delete(name, if_version=if_version)

    @overload
    def pop(self, name: str, /) -> V: ...
    @overload
    def pop(self, name: str, default: V | D, /) -> V | D: ...
    def pop(self, name: str, default: Any = MISSING, /) -> Any:
        """As `Store.pop`."""
        return writing.pop(self.at(name).opened, name, default)

    def popitem(self, last: bool = True) -> tuple[str, V]:
        """As `Store.popitem`: the record that was inserted last, or first, by its time; one step in its shard."""
        while (index := self.end_shard(last=last)) is not None:
            try:
                return self.stores[index].popitem(last)
            except KeyError:  # another process took the last one of that shard
                continue
        raise KeyError("popitem(): the store is empty")

    def end_shard(self, *, last: bool) -> int | None:
        """The number of the shard whose record was inserted last, or first; None: there is no record."""
        ends = [(row.created, at) for at, ns in enumerate(self._spaces) if (row := reading.end_row(ns, last=last))]
        return (max if last else min)(ends)[1] if ends else None

    def setdefault(self, name: str, default: V = None, /) -> V:  # type: ignore[assignment]
        return self.at(name).setdefault(name, default)

    def touch(self, name: str, ttl: float | Unset | None = UNSET) -> Record:
        """As `Store.touch`."""
        return self.at(name).touch(name, ttl)

    def edit(self, name: str, default: V | Missing = MISSING) -> AbstractContextManager[V]:
        """As `Store.edit`."""
        return self.at(name).edit(name, default)

    def modify(self, name: str, fn: Callable[[V], V], default: V | Missing = MISSING) -> V:
        """As `Store.modify`."""
        return self.at(name).modify(name, fn, default)

    def lock(self, name: str, timeout: float | None = None) -> Lock:
        """As `Store.lock`."""
        return self.stores[0].lock(name, timeout)

    def record(self, name: str) -> Record:
        """As `Store.record`."""
        return self.at(name).record(name)

    def get_with_record(self, name: str) -> tuple[V, Record]:
        """As `Store.get_with_record`."""
        return self.at(name).get_with_record(name)

    # -- many records

    def update(self, other: Any = (), /, **named: V) -> None:
        """Stores all of a mapping, of pairs, or of the keyword arguments; one transaction in each shard.

        The pairs of an iterator are divided among the shards in chunks of 10,000.
        """
        self.put_many(other, named)

    def put_many(self, other: Any, named: Mapping[str, V], ttl: float | Unset | None = UNSET) -> None:
        """As `update`, with a lifetime."""
        pairs = iter(writing.pairs_of(other, named))
        size = None if hasattr(other, "__len__") else CHUNK
        moment = self.opened.clock()
        while chunk := {new_name(name): value for name, value in islice(pairs, size)}:
            moments = {}
            for name in chunk:  # later ones come later in the order of insertion, in whatever shard they are
                moments[name] = moment
                moment = nextafter(moment, inf)
            for index, names in self.divided(chunk):
                writing.update(self._spaces[index], {name: chunk[name] for name in names}, {}, ttl, moments)

    def get_many(self, names: Iterable[str]) -> dict[str, V]:
        """As `Store.get_many`; as of one moment in each shard."""
        wanted = [name for name in dict.fromkeys(map(sought_name, names)) if name is not None]
        found: dict[str, V] = {}
        for index, some in self.divided(wanted):
            found |= self.stores[index].get_many(some)
        return {name: found[name] for name in wanted if name in found}

    def delete_many(self, names: Iterable[str]) -> int:
        """As `Store.delete_many`; one transaction in each shard."""
        if isinstance(names, str):
            return self.stores[0].delete_many(names)  # says what is wrong
        wanted = [check_name(name) for name in names]
        return sum(self.stores[index].delete_many(some) for index, some in self.divided(wanted))

    def delete_prefix(self, prefix: str) -> int:
        """As `Store.delete_prefix`, in each shard."""
        return sum(store.delete_prefix(prefix) for store in self.stores)

    def clear(self) -> None:
        """Deletes all records, shard by shard."""
        for store in self.stores:
            store.clear()

    def purge(self) -> int:
        """As `Store.purge`, in each shard."""
        return sum(store.purge() for store in self.stores)

    # -- as a mapping

    def keys(self) -> KeysView[str]:
        return MergedNames(self, self._spaces)

    def values(self) -> ValuesView[V]:
        return MergedValues(self, self._spaces)

    def items(self) -> ItemsView[str, V]:
        return MergedItems(self, self._spaces)

    def names(
        self, prefix: str = "", after: str | None = None, limit: int | None = None, reverse: bool = False
    ) -> list[str]:
        """As `Store.names`: merged from the shards, page by page."""
        reading.check_limit(limit)
        return list(islice(names_of(self._spaces, prefix, after, limit, reverse), limit))

    def records(
        self, prefix: str = "", after: str | None = None, limit: int | None = None, reverse: bool = False
    ) -> Iterator[Record]:
        """As `Store.records`: merged from the shards, page by page."""
        found = [store.records(prefix, after, limit, reverse) for store in self.stores]
        return islice(merge(*found, key=attrgetter("name"), reverse=reverse), limit)

    def __len__(self) -> int:
        return sum(map(len, self.stores))

    def __bool__(self) -> bool:
        return any(map(bool, self.stores))

    def __iter__(self) -> Iterator[str]:
        return each_name(self._spaces)

    def __reversed__(self) -> Iterator[str]:
        return each_name(self._spaces, reverse=True)

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc]
        self.update(other)
        return self

    def __or__(self, other: Mapping[str, D]) -> dict[str, V | D]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**snapshot(self._spaces), **other}

    def __ror__(self, other: Mapping[str, D]) -> dict[str, V | D]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**other, **snapshot(self._spaces)}

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Mapping):
            return NotImplemented
        return snapshot(self._spaces, raises=True) == dict(other.items())

    # -- several steps as one

    def transaction(self, *stores: Store[Any]) -> AbstractContextManager[Any]:
        """As `Store.transaction`, over all shards. Raises: Unsupported: a transaction is of one namespace here."""
        return self.opened.transaction(*self._spaces[1:], *map(edits.opened_of, stores), block=True)

    def transact(self, fn: Callable[[Self], D]) -> D:
        """As `Store.transact`, over all shards."""
        return _transact(self.opened, self._spaces[1:], fn, self)

    # -- the store

    @property
    def location(self) -> str:
        """As `Store.location`."""
        return self.stores[0].location

    @property
    def namespace(self) -> str:
        """The logical namespace."""
        return self._namespace

    @property
    def opened(self) -> Namespace:
        """The parts of the first shard: location, clock, options and keys are the same for all."""
        return self._spaces[0]

    def namespaces(self) -> list[str]:
        """As `Store.namespaces`: those of the store, in which each shard is one."""
        return self.stores[0].namespaces()

    def within(self, namespace: str) -> Store[Any]:
        """As `Store.within`: the namespace itself, which is not sharded."""
        size = self.opened.options.cache_bytes
        return self.stores[0].within(namespace, cache_bytes=size * len(self.stores))

    def close(self) -> None:
        """Closes all shards; a second call does nothing. Raises: StoreError: this thread is in a transaction of them.

        In an open store, which then keeps the transaction, they may be closed inside one.
        """
        ns = self.opened
        if not (ns.closed or self._is_within) and ns.in_transaction():  # before any of them is closed
            raise StoreError(f"{self.location} cannot be closed inside its transaction; leave the block first")
        for store in reversed(self.stores):
            store.close()

    def sync(self) -> None:
        """As `Store.sync`."""
        for store in self.stores:
            store.sync()

    def __enter__(self) -> Self:
        self.opened.check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = f"<{type(self).__name__} {self.location!r} namespace={self.namespace!r} shards={len(self.stores)}"
        return reading.shown(self.opened, where, self.__len__)

    def _repr_html_(self) -> str:
        """As that of `Store`: a table for notebooks."""
        from store.mapping.notebook import store_html

        return store_html(type(self).__name__, self._spaces, self.namespace, ("shards", str(len(self.stores))))

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.stores[0].__reduce__(), self.namespace, len(self.stores), self.kind)

    # -- maintenance

    def stats(self) -> Stats:
        """As `Store.stats`: the sums of the shards, and the figures of the file."""
        return summed([store.stats() for store in self.stores])

    def inspect(self, name: str) -> Inspection:
        """As `Store.inspect`."""
        return self.at(name).inspect(name)

    def admit(self, inspection: Inspection) -> Record:
        """As `Store.admit`."""
        return self.at(inspection.record.name).admit(inspection)

    def verify(self, *, quick: bool = False) -> Verification:
        """As `Store.verify`, of the whole store."""
        return self.stores[0].verify(quick=quick)

    def rekey(self, *, progress: Callable[[int, int], None] | None = None) -> Rekeying:
        """As `Store.rekey`, of the whole store."""
        return self.stores[0].rekey(progress=progress)

    def compact(self, *, progress: Callable[[int, int], None] | None = None) -> Compaction:
        """As `Store.compact`, of the whole store."""
        return self.stores[0].compact(progress=progress)

    def backup(self, path: str | os.PathLike[str], *, progress: Callable[[int, int], object] | None = None) -> Backup:
        """As `Store.backup`, of the whole store."""
        return self.stores[0].backup(path, progress=progress)


AnyStore: TypeAlias = Store[V] | ShardedStore[V]


def open_shards(
    location: str | os.PathLike[str], namespace: str, shards: int, kind: Kind, options: Mapping[str, Any]
) -> AnyStore[Any]:
    """A namespace of the store at `location`, or all shards of one; `options` are those of `Store`.

    `cache_bytes` are divided among the shards. Raises: as `Store`. ShardsMismatch: it has another number of shards.
    """
    first = namespace_of(check_name(namespace, "namespace"), check_shards(shards), 0)
    if shards > 1:
        options = {**options, "cache_bytes": options.get("cache_bytes", CACHE_BYTES) // shards}
    return _agreed(Store(location, namespace=first, **options), namespace, shards, kind, is_within=False)


def shards_within(store: Store[V], namespace: str, shards: int, kind: Kind) -> AnyStore[V]:
    """The same in an open store, which stays open."""
    first = namespace_of(check_name(namespace, "namespace"), check_shards(shards), 0)
    size = store.opened.options.cache_bytes
    return _agreed(store.within(first, cache_bytes=size // shards), namespace, shards, kind, is_within=True)


def store_at(store: AnyStore[V], name: str) -> Store[V]:
    """The store that has the record of a name: the shard, or the only one."""
    return store.at(name) if isinstance(store, ShardedStore) else store


def stores_of(store: AnyStore[V]) -> tuple[Store[V], ...]:
    """The shards of a store, or the only one."""
    return store.stores if isinstance(store, ShardedStore) else (store,)


def _agreed(first: Store[V], namespace: str, shards: int, kind: Kind, *, is_within: bool) -> AnyStore[V]:
    """The store of the first shard, which is closed on an error, and those of the others."""
    try:
        if first.opened.options.mode == "n" and not is_within:
            start_empty(first.opened, namespace, shards, kind)
        agree(first.opened, namespace, shards, kind)
        if shards == 1:
            return first
        others = (first.within(namespace_of(namespace, shards, index)) for index in range(1, shards))
        return ShardedStore([first, *others], namespace, kind, is_within=is_within)
    except BaseException:
        first.close()
        raise


def _reopened(store: tuple[Any, ...], namespace: str, shards: int, kind: Kind) -> ShardedStore[Any]:
    """Opens a pickled or copied one again."""
    reopen, arguments = store
    sharded = _agreed(reopen(*arguments), namespace, shards, kind, is_within=False)
    assert isinstance(sharded, ShardedStore)
    return sharded


@restarted
def _transact(ns: Namespace, others: list[Namespace], fn: Callable[[Any], D], store: Any) -> D:
    with ns.transaction(*others, block=True):
        return fn(store)
