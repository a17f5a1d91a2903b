"""Where an import writes to: a `Store`, or a `Cache`, which keeps tags as well."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from store.mapping.store import Store
from store.opened.edits import step
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

    def __init__(self, target: Store[Any] | TaggedCache) -> None:
        self._cache = None if isinstance(target, Store) else target
        self.store: Store[Any] = target if isinstance(target, Store) else target.store

    def step(self) -> AbstractContextManager[Any]:
        """A transaction for one batch."""
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
