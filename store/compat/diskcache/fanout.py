"""`FanoutCache`: the class of diskcache, on one file that serves all shards.

One file because it is the list of what diskcache's class can do: each method is a short forward.

diskcache has a database for each shard, because its writers wait for each other's commits. Writers of a store have
turns of microseconds, so one file serves all: transactions and the order of items are those of the whole cache, and
the size limit is not split. A shard's size limit and timeout, times the number of shards, are those of the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from store.compat.diskcache import calls, folder
from store.compat.diskcache.cache import Cache
from store.compat.diskcache.deque import Deque
from store.compat.diskcache.disk import Disk, checked
from store.compat.diskcache.errors import Timeout
from store.compat.diskcache.index import Index
from store.compat.diskcache.markers import ENOVAL
from store.compat.diskcache.opened import Place
from store.compat.diskcache.settings import DEFAULT_SETTINGS

T = TypeVar("T")


class FanoutCache:
    """A cache in a folder, with the methods of diskcache's `FanoutCache`.

    A write that waited for `timeout` times `shards` seconds fails silently, as in diskcache: `set` returns False.
    With `retry=True`, and in `cache[key] = value`, it waits on.

    Safe across threads, processes and forks. Reading runs no code of others, whatever is in the folder.
    """

    def __init__(
        self,
        directory: Any = None,
        shards: int = 8,
        timeout: float = 0.010,
        disk: type[Disk] = Disk,
        **settings: Any,
    ) -> None:
        disk = checked(disk)
        directory = folder.directory_of(directory)
        settings["size_limit"] = settings.get("size_limit", DEFAULT_SETTINGS["size_limit"]) / shards
        place = Place(folder.prepare(directory, folder.SHARDED_FILE), timeout, shards)
        self._cache = Cache.at(disk, directory, place, settings)
        self._parts: dict[tuple[type, str], Any] = {}

    @property
    def directory(self) -> str:
        """The folder."""
        return self._cache.directory

    def __getattr__(self, name: str) -> Any:
        """A setting of the shards, or `timeout` or `disk`."""
        if name in DEFAULT_SETTINGS or name in ("timeout", "disk"):
            return getattr(self._cache, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)

    # -- one item

    def set(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Stores a value; see `Cache.set`. False: others kept the cache locked, and nothing was stored."""
        return _or(False, self._cache.set, key, value, expire, read, tag, retry)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Stores a value under a key, for ever."""
        self._cache[key] = value

    def touch(self, key: Any, expire: float | None = None, retry: bool = False) -> bool:
        """Gives an item a new expiry; see `Cache.touch`."""
        return _or(False, self._cache.touch, key, expire, retry)

    def add(
        self,
        key: Any,
        value: Any,
        expire: float | None = None,
        read: bool = False,
        tag: Any = None,
        retry: bool = False,
    ) -> bool:
        """Stores a value where the key has none; see `Cache.add`."""
        return _or(False, self._cache.add, key, value, expire, read, tag, retry)

    def incr(self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False) -> Any:
        """Adds to a number; see `Cache.incr`. None: others kept the cache locked."""
        return _or(None, self._cache.incr, key, delta, default, retry)

    def decr(self, key: Any, delta: Any = 1, default: Any = 0, retry: bool = False) -> Any:
        """Subtracts from a number; see `incr`."""
        return _or(None, self._cache.decr, key, delta, default, retry)

    def get(
        self,
        key: Any,
        default: Any = None,
        read: bool = False,
        expire_time: bool = False,
        tag: bool = False,
        retry: bool = False,
    ) -> Any:
        """Returns the value of a key, or `default`; see `Cache.get`."""
        return _or(default, self._cache.get, key, default, read, expire_time, tag, retry)

    def __getitem__(self, key: Any) -> Any:
        """Returns the value of a key. Raises: KeyError."""
        return self._cache[key]

    def read(self, key: Any) -> Any:
        """Returns a handle of the value of a key; see `Cache.get`. Raises: KeyError."""
        return self._cache.read(key, retry=True)

    def __contains__(self, key: Any) -> bool:
        """Returns whether the key has a value that has not expired."""
        return key in self._cache

    def pop(
        self, key: Any, default: Any = None, expire_time: bool = False, tag: bool = False, retry: bool = False
    ) -> Any:
        """Deletes an item and returns its value, or `default`; see `Cache.pop`."""
        return _or(default, self._cache.pop, key, default, expire_time, tag, retry)

    def delete(self, key: Any, retry: bool = False) -> bool:
        """Deletes an item; returns whether there was one."""
        return _or(False, self._cache.delete, key, retry)

    def __delitem__(self, key: Any) -> None:
        """Deletes an item. Raises: KeyError: there is none."""
        del self._cache[key]

    # -- many items

    @contextmanager
    def transact(self, retry: bool = True) -> Iterator[None]:
        """All or nothing: an exception that leaves the block undoes all of it. Nests. It waits for the lock."""
        if not retry:
            raise AssertionError("retry must be True in FanoutCache")
        with self._cache.transact(retry=True):
            yield

    def __iter__(self) -> Iterator[Any]:
        """Iterates over the keys in the order of insertion."""
        return iter(self._cache)

    def __reversed__(self) -> Iterator[Any]:
        """Iterates over the keys, the one that was inserted last first."""
        return reversed(self._cache)

    def __len__(self) -> int:
        """Returns the number of items, with those that have expired and are still there."""
        return len(self._cache)

    def expire(self, retry: bool = False) -> int:
        """Deletes the items that have expired; returns how many."""
        return _or(0, self._cache.expire, None, retry)

    def evict(self, tag: Any, retry: bool = False) -> int:
        """Deletes the items of a tag; returns how many."""
        return _or(0, self._cache.evict, tag, retry)

    def cull(self, retry: bool = False) -> int:
        """Deletes what has expired, then what the policy chooses until the size limit holds; returns how many."""
        return _or(0, self._cache.cull, retry)

    def clear(self, retry: bool = False) -> int:
        """Deletes all items; returns how many."""
        return _or(0, self._cache.clear, retry)

    def memoize(
        self,
        name: str | None = None,
        typed: bool = False,
        expire: float | None = None,
        tag: Any = None,
        ignore: Iterable[Any] = (),
    ) -> calls.Decorator:
        """Returns a decorator that keeps results of a function here; see `calls.memoize`."""
        return calls.memoize(self, name, typed, expire, tag, ignore)

    # -- the cache

    def stats(self, enable: bool = True, reset: bool = False) -> tuple[int, int]:
        """Returns hits and misses; see `Cache.stats`."""
        return self._cache.stats(enable, reset)

    def volume(self) -> int:
        """Returns the bytes of pages in use and of files."""
        return self._cache.volume()

    def check(self, fix: bool = False, retry: bool = False) -> list[Any]:
        """Checks the file and the folder; see `Cache.check`."""
        return self._cache.check(fix, retry)

    def create_tag_index(self) -> None:
        """Turns the setting `tag_index` on, without another effect."""
        self._cache.create_tag_index()

    def drop_tag_index(self) -> None:
        """Turns the setting `tag_index` off, without another effect."""
        self._cache.drop_tag_index()

    def reset(self, key: str, value: Any = ENOVAL) -> Any:
        """Sets or reads a setting of the shards; see `Cache.reset`."""
        return self._cache.reset(key, value)

    def cache(self, name: str, timeout: float = 60, disk: type[Disk] | None = None, **settings: Any) -> Cache:
        """Returns the `Cache` of a name, in a folder of its own below this one."""
        return self._part(Cache, name, lambda path: Cache(path, timeout, disk or Disk, **settings))

    def deque(self, name: str, maxlen: float | None = None) -> Deque:
        """Returns the `Deque` of a name, in a folder of its own below this one."""
        return self._part(Deque, name, lambda path: Deque(directory=path, maxlen=maxlen))

    def index(self, name: str) -> Index:
        """Returns the `Index` of a name, in a folder of its own below this one."""
        return self._part(Index, name, Index)

    def close(self) -> None:
        """Closes the cache for this thread, and what `cache`, `deque` and `index` gave; the next use opens it."""
        self._cache.close()
        for part in self._parts.values():
            (part if isinstance(part, Cache) else part.cache).close()
        self._parts.clear()

    def __enter__(self) -> Self:
        """Returns the cache, which is closed as the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the cache."""
        self.close()

    def __getstate__(self) -> tuple[Any, ...]:
        place = self._cache.opened.place
        return self.directory, place.shards, place.timeout, type(self._cache.disk)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def _part(self, kind: type[T], name: str, make: Callable[[str], T]) -> T:
        if (kind, name) not in self._parts:
            path = os.path.join(self.directory, kind.__name__.lower(), *name.split("/"))
            self._parts[kind, name] = make(path)
        part: T = self._parts[kind, name]
        return part


def _or(default: T, call: Callable[..., T], *args: Any) -> T:
    """The result of a call, or the default where others kept the cache locked."""
    try:
        return call(*args)
    except Timeout:
        return default
