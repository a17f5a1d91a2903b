"""A backend of dogpile.cache: values in a `Cache`, and one creator of a value among all processes.

    from dogpile.cache import make_region

    region = make_region().configure(
        "store", expiration_time=3600, arguments={"location": "cache.db", "distributed_lock": True}
    )

    @region.cache_on_arguments()
    def report(month): ...

The name "store" comes with the installed package; elsewhere `dogpile.cache.register_backend` gives it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dogpile.cache.api import NO_VALUE, CacheBackend, CachedValue, CacheMutex

from store.cache import Cache, CacheOptions
from store.errors import RecordError, StoreError

log = logging.getLogger(__name__)
_OPTIONS = {"namespace", "max_bytes", "max_records", "policy", "ttl", "shards", *CacheOptions.__annotations__}


class StoreBackend(CacheBackend):
    """The backend that regions name "store". Safe across threads, processes and forks.

    A value that the region serializes is stored as its bytes, any other by the codec of the cache. A record that
    cannot be read, or that none of your keys sealed, is no value: the region computes it anew. The index of a server
    has no room for keys of thousands of bytes: give the region `key_mangler=sha1_mangle_key` for these.

    Args (of `arguments`):
        location: path or URL of the cache, as of `store.cache.Cache`.
        distributed_lock: True: one creator of a value among all threads and processes; it may end in another thread
            than it began. False: among the threads of this process.
        options: of `Cache`: max_bytes, max_records, policy, ttl, namespace, key, codec… Its `trust` is "own" here.
            Let `ttl` be longer than the `expiration_time` of the region, which may still return an expired value
            while the next one is created.

    Raises:
        As `Cache`. KeyError: no location. Warns: UserWarning: it has no such argument.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        if "location" not in arguments:
            raise KeyError('location: give the path or URL of the cache, arguments={"location": "cache.db"}')
        others = {name: value for name, value in arguments.items() if name not in ("location", "distributed_lock")}
        for name in others.keys() - _OPTIONS:  # regions may share arguments with other backends
            warnings.warn(f"the dogpile backend of store has no argument {name!r}, and ignores it", stacklevel=2)
            del others[name]
        self.distributed_lock = bool(arguments.get("distributed_lock", False))
        self.cache: Cache[Any] = Cache(arguments["location"], **{"trust": "own", **others})

    def get(self, key: str) -> Any:
        """Returns a `CachedValue`, or bytes if the region serializes; `NO_VALUE` where there is none to be read."""
        try:
            return _shown(self.cache.get(key, NO_VALUE))
        except RecordError as exc:
            return _unreadable(exc)

    def get_multi(self, keys: Iterable[str]) -> Sequence[Any]:
        """Returns what `get` does for each of the keys, as of one moment if all of them can be read."""
        wanted = list(keys)
        try:
            found = self.cache.get_many(wanted)
        except RecordError:
            return [self.get(key) for key in wanted]
        return [_shown(found.get(key, NO_VALUE)) for key in wanted]

    def set(self, key: str, value: CachedValue | bytes) -> None:
        """Stores a value. Raises: NotSerializable, LockTimeout, ReadOnly, StorageError."""
        self.cache[key] = _stored(value)

    def set_multi(self, mapping: Mapping[str, CachedValue | bytes]) -> None:
        """Stores values as one transaction. Raises: as `set`."""
        self.cache.update({key: _stored(value) for key, value in mapping.items()})

    def delete(self, key: str) -> None:
        """Deletes a value, if there is one."""
        self.cache.delete(key)

    def delete_multi(self, keys: Iterable[str]) -> None:
        """Deletes values as one transaction."""
        self.cache.delete_many(list(keys))

    def get_mutex(self, key: str) -> StoreMutex | None:
        """Returns the lock of a key, with `distributed_lock`; None: the region takes a lock of its own."""
        return StoreMutex(self.cache, key) if self.distributed_lock else None

    def close(self) -> None:
        """Closes the cache; a second call does nothing. dogpile.cache itself never calls it."""
        self.cache.close()


class StoreMutex(CacheMutex):
    """The lock of a key between threads and processes. It ends with its process, however that ends."""

    def __init__(self, cache: Cache[Any], key: str) -> None:
        self._cache, self._key = cache, key
        self._lock = cache.lock(key)

    def acquire(self, wait: bool = True) -> bool:
        """Takes the lock; returns whether it did. Raises: StoreError: inside a transaction, where it may not wait."""
        return self._lock.acquire(bool(wait))

    def release(self) -> None:
        """Gives it back, in any thread; that it was lost is logged. Raises: StoreError: it was not taken."""
        was_taken = self._lock.locked() or self._lock.lost
        try:
            self._lock.release()
        except StoreError as exc:
            if not was_taken:
                raise
            log.warning("another process may have created the same value: %s", exc)

    def locked(self) -> bool:
        """Returns whether it is held, by this object or by another one of any process."""
        if self._lock.locked():
            return True
        another = self._cache.lock(self._key)
        if not another.acquire(blocking=False):
            return True
        another.release()
        return False


def _stored(value: CachedValue | bytes) -> Any:
    """Without the class of dogpile, so that its next version, and programs without it, can read the record."""
    return tuple(value) if isinstance(value, CachedValue) else value


def _shown(found: Any) -> Any:
    return CachedValue(*found) if isinstance(found, tuple) and len(found) == 2 else found


def _unreadable(exc: RecordError) -> Any:
    log.warning("a cached value cannot be read, and is created anew: %s", type(exc).__name__)
    return NO_VALUE
