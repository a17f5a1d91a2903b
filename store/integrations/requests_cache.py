"""A backend of requests-cache: `CachedSession(backend=StoreBackend("http.db"))`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from typing import Any

from requests_cache.backends import BaseCache, BaseStorage
from requests_cache.serializers import dict_serializer

from store.errors import RecordError
from store.mapping.store import Store
from store.opened.options import StoreOptions

log = logging.getLogger(__name__)
_OPTIONS = StoreOptions.__annotations__.keys() - {"namespace", "ttl"}
_HOUR_SECONDS = 3600


class StoreBackend(BaseCache):
    """Responses and redirects in two namespaces of one location. Safe across threads, processes and forks.

    A response is stored as plain data, in the pickle format of the store, unless you give a `serializer` of
    requests-cache. One that cannot be read, or that none of your keys sealed, is fetched anew.

    Args:
        cache_name: path or URL of the store.
        ttl: True: records of responses that expire are deleted, `ttl_offset` seconds later. Until then they serve
            `stale_if_error` and conditional requests.
        serializer, decode_content: as requests-cache has them; no serializer is plain data.
        options: of `Store`: key, timeout, durability… Its trust is "own" here. Others are those of a `CachedSession`.
    """

    def __init__(
        self,
        cache_name: str | os.PathLike[str] = "http_cache.db",
        *,
        ttl: bool = True,
        ttl_offset: float = _HOUR_SECONDS,
        serializer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(cache_name=str(cache_name))
        seconds = ttl_offset if ttl else None
        self.responses = StoreStorage(
            cache_name, "responses", serializer=serializer or dict_serializer, ttl_offset=seconds, **options
        )
        self.redirects = StoreStorage(cache_name, "redirects", serializer=None, **options)


class StoreStorage(BaseStorage):
    """A namespace of a store as requests-cache's mapping of responses."""

    def __init__(
        self,
        location: str | os.PathLike[str],
        namespace: str,
        *,
        serializer: Any = dict_serializer,
        ttl_offset: float | None = None,
        decode_content: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(serializer=serializer, decode_content=decode_content)
        mine = {name: value for name, value in options.items() if name in _OPTIONS}
        self.records = Store[Any](location, namespace=namespace, **{"trust": "own", **mine})
        self._ttl_offset = ttl_offset

    def __getitem__(self, key: str) -> Any:
        try:
            return self.deserialize(key, self.records[key])
        except RecordError as exc:  # None is how requests-cache calls what it cannot decode
            log.warning("a cached response cannot be read, and is fetched anew: %s", type(exc).__name__)
            return None

    def __setitem__(self, key: str, value: Any) -> None:
        self.records.put(key, self.serialize(value), ttl=self._lifetime(value))

    def _lifetime(self, value: Any) -> float | None:
        """The seconds until its record is deleted; None: it is not."""
        left = getattr(value, "expires_delta", None)
        if left is None or self._ttl_offset is None or left + self._ttl_offset <= 0:
            return None
        return float(left + self._ttl_offset)

    def __delitem__(self, key: str) -> None:
        del self.records[key]

    def __contains__(self, key: object) -> bool:
        return key in self.records

    def __iter__(self) -> Iterator[str]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def bulk_delete(self, keys: Iterable[str]) -> None:
        self.records.delete_many(list(keys))

    def clear(self) -> None:
        self.records.clear()

    def close(self) -> None:
        self.records.close()
