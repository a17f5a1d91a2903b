"""sqlitedict, with `autocommit=True` for single writes and a commit at the end for many."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import QUEUED, Defaults, Kind, Pairs


class SqliteDict(Defaults):
    def __init__(self, folder: Path) -> None:
        from sqlitedict import SqliteDict as Dict

        self.dict = Dict(str(folder / "dict.db"), autocommit=True)
        self.get, self.set = self.dict.__getitem__, self.dict.__setitem__

    def items(self) -> Iterable[tuple[str, Any]]:
        return self.dict.items()  # type: ignore[no-any-return]

    def bulk(self, pairs: Pairs) -> None:
        self.dict.update(pairs)

    def transaction(self, pairs: Pairs) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        self.dict.commit(blocking=True)

    def close(self) -> None:
        self.dict.close()


KINDS = (
    Kind("sqlitedict", QUEUED, SqliteDict, modules=("sqlitedict",), distribution="sqlitedict", slow=True,
         lacks=frozenset({"transaction"}), together=frozenset({"contention"}),
         note="a thread writes later, `synchronous=OFF`; timed until it has"),
)  # fmt: skip
