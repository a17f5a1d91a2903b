"""`StoreCache`: a cache of Django on a `store.cache.Cache`.

    CACHES = {"default": {"BACKEND": "store.integrations.django.cache.StoreCache", "LOCATION": "cache.db"}}

`LOCATION` is a path or a URL. `OPTIONS` takes `MAX_ENTRIES` and `CULL_FREQUENCY` as Django's own caches do, and all
options of `Cache`: `max_bytes`, `policy`, `namespace`, `key`… The interface is that of
https://docs.djangoproject.com/en/stable/topics/cache/#the-low-level-cache-api
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from asgiref.sync import sync_to_async
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.exceptions import ImproperlyConfigured

from store.cache import Cache
from store.errors import CodecUnavailable, RecordError, StoreError
from store.integrations.django.handles import handle

_logger = logging.getLogger(__name__)
_COUNTS = ("MAX_ENTRIES", "CULL_FREQUENCY")
UNREADABLE = (RecordError, CodecUnavailable)


def _twin(name: str) -> Callable[..., Any]:
    """The coroutine of a method, which does it in the thread of synchronous code, as one step."""

    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await sync_to_async(getattr(self, name), thread_sensitive=True)(*args, **kwargs)

    call.__name__ = call.__qualname__ = f"a{name}"
    call.__doc__ = f"As `{name}`, to be awaited."
    return call


class StoreCache(BaseCache):
    """A cache of Django that threads and processes share; `incr`, `add` and `touch` are atomic.

    A timeout of 0 or less stores nothing, and deletes what is there. An entry that cannot be read, or that none of
    your keys sealed, is a miss, which is logged. Errors of the storage are raised: `store.errors.StoreError`.
    """

    def __init__(self, location: str | os.PathLike[str], params: dict[str, Any]) -> None:
        super().__init__(params)
        if not location:
            raise ImproperlyConfigured('CACHES: the BACKEND StoreCache takes a "LOCATION": a path, or a URL')
        location = os.fspath(location)
        self._location = location if "://" in location or location == ":memory:" else os.path.abspath(location)
        options = params.get("OPTIONS", {})
        self._options = {"trust": "own"} | {name: value for name, value in options.items() if name not in _COUNTS}
        if "max_entries" in params or "MAX_ENTRIES" in options:
            most, frequency = self._max_entries, self._cull_frequency
            self._options["max_records"] = most
            self._options["cull_records"] = most if frequency == 0 else most // frequency

    @property
    def cache(self) -> Cache[Any]:
        """The cache below, which all threads of the process share; it is opened by the first use."""
        return handle(Cache, self._location, self._options)

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        name = self.make_and_validate_key(key, version)
        try:
            return self.cache.get(name, default)
        except UNREADABLE as exc:
            return _missing(exc, default)

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """The values of those keys that exist, as of one moment."""
        names = {self.make_and_validate_key(key, version): key for key in keys}
        try:
            return {names[name]: value for name, value in self.cache.get_many(names).items()}
        except UNREADABLE:
            return super().get_many(names.values(), version)  # one after the other, without those

    def get_or_set(self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> Any:
        """The value of a key; where there is none, `default` or what it returns, which is then stored.

        One caller in all threads and processes computes it, while the others wait.
        """
        seconds = self._seconds(timeout)
        compute = default if callable(default) else lambda: default
        if seconds is not None and seconds <= 0:
            value = self.get(key, self._missing_key, version)
            return compute() if value is self._missing_key else value
        return self.cache.get_or_compute(self.make_and_validate_key(key, version), compute, ttl=seconds)

    def has_key(self, key: Any, version: int | None = None) -> bool:
        return self.make_and_validate_key(key, version) in self.cache

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self.set_many({key: value}, timeout, version)

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """Stores all of a mapping, as one transaction; the list of keys that failed is empty."""
        entries = {self.make_and_validate_key(key, version): value for key, value in data.items()}
        seconds = self._seconds(timeout)
        if seconds is not None and seconds <= 0:
            self.cache.delete_many(entries)
        elif len(entries) == 1:
            for name, value in entries.items():
                self.cache.set(name, value, ttl=seconds)
        else:
            self.cache.set_many(entries, ttl=seconds)
        return []

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        name, seconds = self.make_and_validate_key(key, version), self._seconds(timeout)
        if seconds is not None and seconds <= 0:
            return name not in self.cache
        added = self.cache.add(name, value, ttl=seconds)
        return added or (self.cache.discard_unreadable(name) and self.cache.add(name, value, ttl=seconds))

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        name, seconds = self.make_and_validate_key(key, version), self._seconds(timeout)
        if seconds is not None and seconds <= 0:
            return self.cache.delete(name)
        try:
            return self.cache.touch(name, seconds)
        except UNREADABLE as exc:
            return _missing(exc, False)

    def incr(self, key: Any, delta: Any = 1, version: int | None = None) -> Any:
        """Adds to a number, as one step; the timeout stays. Raises: ValueError: there is no such key."""
        name = self.make_and_validate_key(key, version)
        try:
            return self.cache.modify(name, lambda value: value + delta)
        except (KeyError, *UNREADABLE) as exc:
            if isinstance(exc, UNREADABLE):
                _missing(exc, None)
            raise ValueError(f"Key '{key}' not found") from None

    def delete(self, key: Any, version: int | None = None) -> bool:
        return self.cache.delete(self.make_and_validate_key(key, version))

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        self.cache.delete_many([self.make_and_validate_key(key, version) for key in keys])

    def clear(self) -> None:
        """Deletes all entries, of all prefixes and versions."""
        self.cache.clear()

    aget_many, aset_many, adelete_many = _twin("get_many"), _twin("set_many"), _twin("delete_many")
    aget_or_set, ahas_key = _twin("get_or_set"), _twin("has_key")
    aincr, adecr = _twin("incr"), _twin("decr")
    aincr_version, adecr_version = _twin("incr_version"), _twin("decr_version")

    def _seconds(self, timeout: Any) -> float | None:
        """Seconds to live; None is for ever."""
        return self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout


def _missing(exc: StoreError, default: Any) -> Any:
    _logger.warning("an entry of the cache counts as missing: %s", exc)
    return default
