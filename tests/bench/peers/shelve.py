"""`shelve` on each kind of dbm that a Python may have."""

from __future__ import annotations

import shelve
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from . import FRAGILE, QUEUED, SYNCED, Defaults, Kind, Pairs


class OnDbm(Defaults):
    """A `Shelf` on the named kind of dbm; `shelve.open` takes the first of them that is there."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.shelf: shelve.Shelf[Any] = shelve.Shelf(import_module(kind).open(str(folder / "shelf"), "c"))
        self.get, self.set = self.shelf.__getitem__, self.shelf.__setitem__

    def items(self) -> Iterable[tuple[str, Any]]:
        return self.shelf.items()

    def bulk(self, pairs: Pairs) -> None:
        self.shelf.update(pairs)

    def transaction(self, pairs: Pairs) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.shelf.close()


NO_TRANSACTION = frozenset({"transaction"})
_BACKENDS = (
    ("gdbm", "dbm.gnu", "_gdbm", FRAGILE, "a Python built with gdbm"),
    ("dbm.sqlite3", "dbm.sqlite3", "dbm.sqlite3", SYNCED, "Python 3.13 or newer"),
    ("dbm.dumb", "dbm.dumb", "dbm.dumb", QUEUED, ""),
)
KINDS = tuple(
    Kind(f"shelve, {name}", durability, partial(OnDbm, kind=kind), modules=(module,), lacks=NO_TRANSACTION,
         together=frozenset({"contention"}), needs=needs)
    for name, kind, module, durability, needs in _BACKENDS
)  # fmt: skip
