"""A cache of aiocache: `StoreCache("cache.db", ttl=60)`, or as the `cache` of `caches.set_config`."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from aiocache.base import BaseCache
from aiocache.serializers import NullSerializer

from store.cache import Cache
from store.errors import RecordError

T = TypeVar("T")


class StoreCache(BaseCache):
    """Safe across threads and their event loops, processes and forks; each call is one step among all of them.

    `location` and `options` are those of `store.cache.Cache`, with trust="own": a record that cannot be read, or that
    none of your keys sealed, is no value. The first call opens it, and so does the next one after `close`. One that
    runs into aiocache's `timeout` may still be carried out. Values without a serializer are encoded by the cache.
    """

    NAME = "store"

    def __init__(
        self, location: str | os.PathLike[str], *, options: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "serializer": kwargs.get("serializer") or NullSerializer()})
        self._open: Callable[[], Cache[Any]] = lambda: Cache(location, **{"trust": "own", **(options or {})})
        self._cache: Cache[Any] | None = None
        self._lock = threading.Lock()

    async def _run(self, fn: Callable[[Cache[Any]], T]) -> T:
        return await asyncio.to_thread(lambda: fn(self._opened()))

    def _opened(self) -> Cache[Any]:
        with self._lock:
            if self._cache is None:
                self._cache = self._open()
            return self._cache

    async def _get(self, key: str, **_: Any) -> Any:
        return await self._run(lambda cache: _value(cache, key))

    _gets = _get  # the token of an optimistic lock is the value itself

    async def _multi_get(self, keys: Iterable[str], **_: Any) -> list[Any]:
        return await self._run(lambda cache: [_value(cache, key) for key in keys])

    async def _set(self, key: str, value: Any, ttl: float | None = None, _cas_token: Any = None, **_: Any) -> bool:
        def put(cache: Cache[Any]) -> bool:
            cache.set(key, value, ttl=ttl or None)
            return True

        def swap(cache: Cache[Any]) -> bool:
            with cache.transaction():
                return _value(cache, key) == _cas_token and put(cache)

        return await self._run(put if _cas_token is None else swap)

    async def _multi_set(self, pairs: Iterable[tuple[str, Any]], ttl: float | None = None, **_: Any) -> None:
        await self._run(lambda cache: cache.set_many(pairs, ttl=ttl or None))

    async def _add(self, key: str, value: Any, ttl: float | None = None, **_: Any) -> None:
        if not await self._run(lambda cache: cache.add(key, value, ttl=ttl or None)):
            raise ValueError(f"Key {key} already exists, use .set to update the value")

    async def _exists(self, key: str, **_: Any) -> bool:
        return await self._run(lambda cache: key in cache)

    async def _increment(self, key: str, delta: int, **_: Any) -> int:
        def add(cache: Cache[Any]) -> int:
            is_text = isinstance(_value(cache, key), str | bytes)  # as most serializers of aiocache store a number
            return cache.store.modify(key, lambda text: int(text) + delta) if is_text else cache.incr(key, delta)

        try:
            return await self._run(add)
        except ValueError as exc:
            raise TypeError(f"the value of {key!r:.80} is not an integer") from exc

    async def _expire(self, key: str, ttl: float, **_: Any) -> bool:
        return await self._run(lambda cache: cache.touch(key, ttl or None))

    async def _delete(self, key: str, **_: Any) -> int:
        return await self._run(lambda cache: int(cache.delete(key)))

    async def _clear(self, namespace: str | None = None, **_: Any) -> bool:
        await self._run(lambda cache: cache.delete_many(cache.names(namespace)) if namespace else cache.clear())
        return True

    async def _raw(self, command: str, *args: Any, encoding: Any = None, _conn: Any = None, **named: Any) -> Any:
        return await self._run(lambda cache: getattr(cache, command)(*args, **named))

    async def _redlock_release(self, key: str, value: Any) -> int:
        def release(cache: Cache[Any]) -> int:
            with cache.transaction():
                return int(_value(cache, key) == value and cache.delete(key))

        return await self._run(release)

    async def _close(self, *_: Any, **__: Any) -> None:
        with self._lock:
            cache, self._cache = self._cache, None
        if cache is not None:
            await asyncio.to_thread(cache.close)


def _value(cache: Cache[Any], key: str) -> Any:
    try:
        return cache.get(key)
    except RecordError as exc:
        logging.getLogger(__name__).warning("a cached value cannot be read, and is none: %s", type(exc).__name__)
        return None
