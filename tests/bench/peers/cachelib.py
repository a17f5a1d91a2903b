"""cachelib's cache of files, without a limit to their number."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import FRAGILE, Defaults, Kind, Pairs


class Files(Defaults):
    def __init__(self, folder: Path) -> None:
        from cachelib import FileSystemCache

        self.cache = FileSystemCache(str(folder / "files"), threshold=0, default_timeout=0)
        self.get, self.set = self.cache.get, self.cache.set

    def items(self) -> Iterable[tuple[str, Any]]:
        raise NotImplementedError

    def bulk(self, pairs: Pairs) -> None:
        self.cache.set_many(dict(pairs))

    def transaction(self, pairs: Pairs) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


KINDS = (
    Kind("cachelib files", FRAGILE, Files, modules=("cachelib",), distribution="cachelib", slow=True,
         lacks=frozenset({"items", "transaction"}), note="a file for each record"),
)  # fmt: skip
