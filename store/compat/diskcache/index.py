"""`Index`: a dict in a folder, in the order of insertion, that evicts nothing."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from contextlib import contextmanager
from typing import Any, Self

from store.compat.diskcache import calls
from store.compat.diskcache.cache import Cache
from store.compat.diskcache.markers import ENOVAL


class Index(MutableMapping[Any, Any]):
    """A dict in a folder, with the methods of diskcache's `Index`: `Index(directory, other, **items)`.

    The directory may be left out or None: a new temporary one. Safe across threads, processes and forks.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, *args: Any, **items: Any) -> None:
        directory = None
        if args and (args[0] is None or isinstance(args[0], str | bytes | os.PathLike)):
            directory, *args = args  # type: ignore[assignment]
        self._cache = Cache(directory, eviction_policy="none")
        self.update(*args, **items)

    @classmethod
    def fromcache(cls, cache: Cache, *args: Any, **items: Any) -> Self:
        """Returns an index whose items are those of a cache, which should have the policy "none"."""
        self = cls.__new__(cls)
        self._cache = cache
        self.update(*args, **items)
        return self

    @property
    def cache(self) -> Cache:
        """The cache that holds the items."""
        return self._cache

    @property
    def directory(self) -> str:
        """The folder."""
        return self._cache.directory

    def __getitem__(self, key: Any) -> Any:
        """Returns the value of a key. Raises: KeyError."""
        return self._cache[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Stores a value under a key."""
        self._cache[key] = value

    def __delitem__(self, key: Any) -> None:
        """Deletes an item. Raises: KeyError: there is none."""
        del self._cache[key]

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """Returns the value of a key; where there is none, `default` is stored and returned."""
        while (value := self._cache.get(key, ENOVAL)) is ENOVAL:
            self._cache.add(key, default, retry=True)
        return value

    def peekitem(self, last: bool = True) -> tuple[Any, Any]:
        """Returns key and value of the last item, or of the first. Raises: KeyError: there is none."""
        pair: tuple[Any, Any] = self._cache.peekitem(last)
        return pair

    def pop(self, key: Any, default: Any = ENOVAL) -> Any:
        """Deletes an item and returns its value, or `default`. Raises: KeyError: there is none, and no default."""
        value = self._cache.pop(key, default, retry=True)
        if value is ENOVAL:
            raise KeyError(key)
        return value

    def popitem(self, last: bool = True) -> tuple[Any, Any]:
        """Deletes the last item, or the first, and returns key and value. Raises: KeyError: there is none."""
        with self._cache.transact(retry=True):
            pair = self.peekitem(last)
            self._cache.delete(pair[0])
        return pair

    def push(self, value: Any, prefix: str | None = None, side: str = "back") -> Any:
        """Stores a value at an end of a queue, and returns its key; see `Cache.push`."""
        return self._cache.push(value, prefix, side, retry=True)

    def pull(self, prefix: str | None = None, default: Any = (None, None), side: str = "front") -> Any:
        """Takes key and value from an end of a queue; see `Cache.pull`."""
        return self._cache.pull(prefix, default, side, retry=True)

    def clear(self) -> None:
        """Deletes all items."""
        self._cache.clear(retry=True)

    def __iter__(self) -> Iterator[Any]:
        """Iterates over the keys in the order of insertion."""
        return iter(self._cache)

    def __reversed__(self) -> Iterator[Any]:
        """Iterates over the keys, the one that was inserted last first."""
        return reversed(self._cache)

    def __len__(self) -> int:
        """Returns the number of items."""
        return len(self._cache)

    def keys(self) -> KeysView[Any]:
        """Returns a live view of the keys."""
        return KeysView(self)

    def values(self) -> ValuesView[Any]:
        """Returns a live view of the values."""
        return ValuesView(self)

    def items(self) -> ItemsView[Any, Any]:
        """Returns a live view of the pairs of key and value."""
        return ItemsView(self)

    def __eq__(self, other: object) -> bool:
        """Returns whether the items are equal; to an Index or an OrderedDict, also in their order."""
        if not isinstance(other, Mapping):
            return NotImplemented
        if len(self) != len(other):
            return False
        if isinstance(other, Index | OrderedDict):
            return all(mine == theirs for mine, theirs in zip(self.items(), other.items(), strict=False))
        return all(key in other and other[key] == value for key, value in self.items())

    def memoize(self, name: str | None = None, typed: bool = False, ignore: Iterable[Any] = ()) -> calls.Decorator:
        """Returns a decorator that keeps results of a function here; see `calls.memoize`."""
        return self._cache.memoize(name, typed, ignore=ignore)

    @contextmanager
    def transact(self) -> Iterator[None]:
        """All or nothing: an exception that leaves the block undoes all of it. Nests. It waits for the lock."""
        with self._cache.transact(retry=True):
            yield

    def __getstate__(self) -> str:
        return self.directory

    def __setstate__(self, state: str) -> None:
        self.__init__(state)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.directory!r})"
