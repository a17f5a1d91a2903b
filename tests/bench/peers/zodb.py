"""ZODB: a B-tree in a FileStorage. It gives out live objects, so a read of what is in its cache decodes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import SYNCED, Defaults, Kind, Pairs


class Zodb(Defaults):
    def __init__(self, folder: Path) -> None:
        import transaction
        import ZODB
        from BTrees.OOBTree import OOBTree

        self.db = ZODB.DB(str(folder / "data.fs"))
        self.conn = self.db.open()
        self.tree = self.conn.root.tree = OOBTree()
        self.commit = transaction.commit
        self.commit()
        self.get = self.tree.__getitem__

    def set(self, name: str, value: Any) -> None:
        self.tree[name] = value
        self.commit()

    def items(self) -> Iterable[tuple[str, Any]]:
        self.conn.cacheMinimize()  # or nothing would be read from the file
        return self.tree.items()

    def bulk(self, pairs: Pairs) -> None:
        self.tree.update(pairs)
        self.commit()

    def transaction(self, pairs: Pairs) -> None:
        tree = self.tree
        for name, value in pairs:
            tree[name] = value
        self.commit()

    def close(self) -> None:
        self.conn.close()
        self.db.close()


KINDS = (
    Kind("ZODB", SYNCED, Zodb, modules=("ZODB", "BTrees"), distribution="ZODB", shared=False,
         note="one process at a time; `get` gives a live object that everybody shares, decoded once"),
)  # fmt: skip
