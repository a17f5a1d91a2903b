"""This store: as it is, without its cache, and with a sync for every commit."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from store import Store

from . import KEPT, SYNCED, Defaults, Kind, Pairs

LABEL, FULL_LABEL = "store", "store, full"
FILE = "app.db"


class ThisStore(Defaults):
    def __init__(self, folder: Path, **options: Any) -> None:
        self.store: Store = Store(folder / FILE, **options)
        self.get, self.set = self.store.__getitem__, self.store.__setitem__

    def items(self) -> Iterable[tuple[str, Any]]:
        return self.store.items()

    def bulk(self, pairs: Pairs) -> None:
        self.store.update(pairs)

    def transaction(self, pairs: Pairs) -> None:
        set_ = self.set
        with self.store.transaction():
            for name, value in pairs:
                set_(name, value)

    def close(self) -> None:
        self.store.close()


def without_cache(folder: Path) -> ThisStore:
    return ThisStore(folder, **cache_off())


def cache_off() -> dict[str, Any]:
    """The option that makes every read go to the file; a `Store` that has no cache has no such option."""
    return {"cache_bytes": 0} if "cache_bytes" in inspect.signature(Store.__init__).parameters else {}


KINDS = (
    Kind(LABEL, KEPT, ThisStore, distribution="sealed-store", together=frozenset({"contention", "mixed"})),
    Kind("store, from disk", KEPT, without_cache, distribution="sealed-store", only=frozenset({"get"}),
         note="`cache_bytes=0`"),
    Kind(FULL_LABEL, SYNCED, lambda folder: ThisStore(folder, durability="full"), distribution="sealed-store",
         together=frozenset({"synced", "mixed"}), note='`durability="full"`'),
)  # fmt: skip
