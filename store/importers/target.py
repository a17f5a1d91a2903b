"""Where an import writes to: a `Store`, or a `Cache`, which keeps tags as well."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, cast

from store.mapping.sharding.sharded import AnyStore, ShardedStore, store_at
from store.mapping.store import Store
from store.opened.edits import step
from store.opened.namespace import Namespace
from store.opened.sentinels import Unset


class TaggedCache(Protocol):
    """The members of `store.cache.Cache` that an import uses; that part of the package is beside this one."""

    @property
    def store(self) -> Store[Any]: ...

    def set(self, name: str, value: Any, *, ttl: float | Unset | None, tag: str | None) -> None: ...

    def tag_of(self, name: str) -> str | None: ...

    def transaction(self) -> AbstractContextManager[Any]: ...


class Target:
    """The records of a store or a cache, as an import changes them."""

    def __init__(self, target: AnyStore[Any] | TaggedCache) -> None:
        is_store = isinstance(target, Store | ShardedStore)
        self._cache: TaggedCache | None = None if is_store else cast(TaggedCache, target)
        self.store: AnyStore[Any] = cast(AnyStore[Any], target) if is_store else cast(TaggedCache, target).store

    def opened_at(self, name: str) -> Namespace:
        """The parts of the store, or of the shard, that the record of a name is in."""
        return store_at(self.store, name).opened

    def step(self) -> AbstractContextManager[Any]:
        """A transaction for one batch. Records of several shards are written one by one."""
        if isinstance(self.store, ShardedStore):
            return nullcontext()
        return step(self.store) if self._cache is None else self._cache.transaction()

    def put(self, name: str, value: Any, ttl: float | Unset | None, tag: str | None) -> None:
        """Writes a record. Raises: RecordError."""
        if self._cache is None:
            self.store.put(name, value, ttl=ttl)
        else:
            self._cache.set(name, value, ttl=ttl, tag=tag)

    def has_tag(self, name: str, tag: str | None) -> bool:
        """Whether the record of that name has that tag, as far as the target keeps tags."""
        return self._cache is None or self._cache.tag_of(name) == tag
