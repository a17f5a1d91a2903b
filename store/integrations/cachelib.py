"""cachelib: a `BaseCache` on a bounded cache, and by it Flask-Caching and Flask-Session.

    cache = StoreCache("cache.db", default_timeout=300)
    CACHE_TYPE, CACHE_ARGS = "store.integrations.cachelib.StoreCache", ["cache.db"]            # Flask-Caching
    SESSION_TYPE, SESSION_CACHELIB = "cachelib", StoreCache("cache.db")                        # Flask-Session

Flask-Session replaces a session as a whole, so the later of two requests wins; `store.integrations.flask` merges.
https://cachelib.readthedocs.io/en/stable/base/
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Unpack

from cachelib.base import BaseCache

from store.cache import Cache
from store.cache.options import DEFAULT_BYTES, AdapterOptions, Policy
from store.errors import CodecUnavailable, RecordError

log = logging.getLogger(__name__)

Timeout = float | timedelta | None
"""Seconds that a value lives: 0 is for ever, below 0 not at all, and None the default of the cache."""


class StoreCache(BaseCache):
    """A cache that threads and processes share. Safe across all of them, and across forks.

    A value that cannot be read, or that none of your keys sealed, is absent, and logged without its key. A failure of
    the disk or server raises: a session that was not stored must not pass for stored.

    Args:
        location: a path or URL, as of `Cache`.
        default_timeout: seconds that a value lives; 0 is for ever.
        ignore_delete_many_errors: for cachelib's sake; a failure raises by itself.
        hashed: names a record by the SHA-256 of its key, as `FileSystemCache` does: keys of any length fit, a stolen
            file holds no id of a session, and `store import cachelib --cache` copies what is found here under the
            same keys. False: by the key.
        options: of `Cache`: `max_bytes`, `policy`, `namespace`, `codec`… Its `trust` is "own" here.

    Raises:
        As `Cache`. ValueError: a negative default_timeout.
    """

    def __init__(
        self,
        location: str | os.PathLike[str],
        default_timeout: float | timedelta = 300,
        ignore_delete_many_errors: bool = True,
        *,
        hashed: bool = True,
        namespace: str = "cache",
        max_bytes: int | None = DEFAULT_BYTES,
        max_records: int | None = None,
        policy: Policy = "lru",
        **options: Unpack[AdapterOptions],
    ) -> None:
        super().__init__()
        self.default_timeout = _seconds(default_timeout)
        self.ignore_delete_many_errors = ignore_delete_many_errors
        if self.default_timeout < 0:
            raise ValueError("a negative default_timeout would keep nothing; 0 is for ever")
        self._hashed = hashed
        options.setdefault("trust", "own")
        self.cache = Cache[Any](
            location, namespace=namespace, max_bytes=max_bytes, max_records=max_records, policy=policy,
            ttl=self.default_timeout or None, **options,
        )  # fmt: skip

    @classmethod
    def factory(cls, app: Any, config: Mapping[str, Any], args: list[Any], kwargs: dict[str, Any]) -> StoreCache:
        """What Flask-Caching calls where `CACHE_TYPE` is a name that you gave to this method."""
        return cls(*args, **kwargs)

    def get(self, key: str) -> Any:
        """The value, or None where there is none that can be read."""
        try:
            return self.cache.get(self._name(key))
        except (RecordError, CodecUnavailable) as exc:
            if isinstance(exc, RecordError) and exc.name is None:  # the file is damaged, not only the record
                raise
            log.warning("A value in %s cannot be read: %s", self.cache.location, type(exc).__name__)
            return None

    def get_many(self, *keys: str) -> list[Any]:
        """The values in the order of the keys, None where there is none, as of one moment."""
        names = [self._name(key) for key in keys]
        try:
            found = self.cache.get_many(names)
        except (RecordError, CodecUnavailable):  # one of them: the others are wanted all the same
            return [self.get(key) for key in keys]
        return [found.get(name) for name in names]

    def set(self, key: str, value: Any, timeout: Timeout = None) -> bool:
        """Stores a value. Raises: NotSerializable, which is a `PicklingError`; StorageError, LockTimeout."""
        return bool(self.set_many({key: value}, timeout))

    def add(self, key: str, value: Any, timeout: Timeout = None) -> bool:
        """Stores a value where there is none; returns whether it did."""
        seconds = self._lifetime(timeout)
        if seconds < 0:
            return not self.has(key)
        name, ttl = self._name(key), seconds or None
        added = self.cache.add(name, value, ttl=ttl)
        return added or (self.cache.discard_unreadable(name) and self.cache.add(name, value, ttl=ttl))

    def set_many(self, mapping: Mapping[str, Any], timeout: Timeout = None) -> list[str]:
        """Stores the values as one transaction; returns their keys."""
        seconds = self._lifetime(timeout)
        values = {self._name(key): value for key, value in mapping.items()}
        if seconds < 0:
            self.cache.delete_many(values)
        elif len(values) == 1:
            self.cache.set(*next(iter(values.items())), ttl=seconds or None)
        else:
            self.cache.set_many(values, ttl=seconds or None)
        return list(mapping)

    def delete(self, key: str) -> bool:
        """Deletes a value; returns whether there was one."""
        return self.cache.delete(self._name(key))

    def delete_many(self, *keys: str) -> list[str]:
        """Deletes values as one transaction; returns the keys, of which none has a value now."""
        self.cache.delete_many([self._name(key) for key in keys])
        return list(keys)

    def has(self, key: str) -> bool:
        """Whether there is a value; it is not decoded."""
        return self._name(key) in self.cache

    def clear(self) -> bool:
        """Deletes all values."""
        self.cache.clear()
        return True

    def inc(self, key: str, delta: int = 1) -> int:
        """Adds to a whole number, as one step; a missing one is 0. Its expiry stays. Raises: TypeError."""
        return self._count(key, delta)

    def dec(self, key: str, delta: int = 1) -> int:
        """Subtracts from a whole number, as `inc`."""
        return self._count(key, -delta)

    def close(self) -> None:
        """Closes; a second call does nothing."""
        self.cache.close()

    def _name(self, key: str) -> str:
        if not isinstance(key, str):
            raise TypeError(f"a key is a str, not {type(key).__name__}")
        return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest() if self._hashed else key

    def _count(self, key: str, delta: int) -> int:
        name = self._name(key)
        try:
            return self.cache.incr(name, delta)
        except (RecordError, CodecUnavailable):
            self.cache.discard_unreadable(name)
            return self.cache.incr(name, delta)

    def _lifetime(self, timeout: Timeout) -> float:
        return self.default_timeout if timeout is None else _seconds(timeout)


def _seconds(timeout: float | timedelta) -> float:
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
