"""diskcache: the `Cache`, and the `Index` that never evicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from . import KEPT, Defaults, Kind, Pairs


class Cache(Defaults):
    def __init__(self, folder: Path) -> None:
        import diskcache

        self.cache = diskcache.Cache(str(folder / "cache"), timeout=60)
        self.get, self.set = self.cache.__getitem__, self.cache.__setitem__

    def items(self) -> Iterator[tuple[str, Any]]:
        cache = self.cache
        for name in cache:  # it has no items(): its documentation reads each
            yield name, cache[name]

    def bulk(self, pairs: Pairs) -> None:
        self.transaction(pairs)

    def transaction(self, pairs: Pairs) -> None:
        set_ = self.set
        with self.cache.transact():
            for name, value in pairs:
                set_(name, value)

    def close(self) -> None:
        self.cache.close()


class Index(Cache):
    def __init__(self, folder: Path) -> None:
        import diskcache

        self.index = diskcache.Index(str(folder / "index"))
        self.cache = self.index.cache
        self.get, self.set = self.index.__getitem__, self.index.__setitem__

    def items(self) -> Iterable[tuple[str, Any]]:
        return self.index.items()  # type: ignore[no-any-return]


KINDS = tuple(
    Kind(f"diskcache {name}", KEPT, class_, modules=("diskcache",), distribution="diskcache", together=together)
    for name, class_, together in (("Cache", Cache, frozenset({"contention", "mixed"})), ("Index", Index, frozenset()))
)
