"""LMDB, values pickled."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..session import PROTOCOL
from . import FRAGILE, SYNCED, Kind, Pairs
from . import Defaults as Base

MAP_BYTES = 8 * 1024**3  # address space, not disk


class Lmdb(Base):
    def __init__(self, folder: Path, *, sync: bool = True) -> None:
        import lmdb

        self.env = lmdb.open(str(folder / "lmdb"), map_size=MAP_BYTES, sync=sync)
        begin, loads, dumps = self.env.begin, pickle.loads, pickle.dumps

        def get(name: str) -> Any:
            with begin(buffers=True) as txn:
                return loads(txn.get(name.encode()))

        def set_(name: str, value: Any) -> None:
            with begin(write=True) as txn:
                txn.put(name.encode(), dumps(value, PROTOCOL))

        self.get, self.set = get, set_

    def items(self) -> Iterator[tuple[str, Any]]:
        loads = pickle.loads
        with self.env.begin(buffers=True) as txn:
            for name, body in txn.cursor():
                yield bytes(name).decode(), loads(body)

    def bulk(self, pairs: Pairs) -> None:
        dumps = pickle.dumps
        with self.env.begin(write=True) as txn, txn.cursor() as cursor:
            cursor.putmulti((name.encode(), dumps(value, PROTOCOL)) for name, value in pairs)

    def transaction(self, pairs: Pairs) -> None:
        dumps = pickle.dumps
        with self.env.begin(write=True) as txn:
            for name, value in pairs:
                txn.put(name.encode(), dumps(value, PROTOCOL))

    def close(self) -> None:
        self.env.close()


KINDS = (
    Kind("LMDB + pickle", SYNCED, Lmdb, modules=("lmdb",), distribution="lmdb",
         together=frozenset({"synced", "mixed"})),
    Kind("LMDB + pickle, no sync", FRAGILE, lambda folder: Lmdb(folder, sync=False), modules=("lmdb",),
         distribution="lmdb", only=frozenset({"set", "add", "update", "transaction"}),
         together=frozenset({"contention", "mixed"}), note="`sync=False`"),
)  # fmt: skip
