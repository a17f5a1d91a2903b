"""rocksdict: RocksDB, which pickles what is no plain value."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import KEPT, Defaults, Kind, Pairs


class Rocks(Defaults):
    def __init__(self, folder: Path) -> None:
        from rocksdict import Rdict

        self.dict = Rdict(str(folder / "rocks"))
        self.get, self.set = self.dict.__getitem__, self.dict.__setitem__

    def items(self) -> Iterable[tuple[str, Any]]:
        return self.dict.items()

    def bulk(self, pairs: Pairs) -> None:
        self.transaction(pairs)

    def transaction(self, pairs: Pairs) -> None:
        from rocksdict import WriteBatch

        batch = WriteBatch()
        for name, value in pairs:
            batch[name] = value
        self.dict.write(batch)

    def close(self) -> None:
        self.dict.close()


KINDS = (
    Kind("rocksdict", KEPT, Rocks, modules=("rocksdict",), distribution="rocksdict", shared=False, note="one process at a time"),
)  # fmt: skip
