"""Stores as a disk, an enemy or a later release may have left them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from store import Store


def overwrite_page(path: Path) -> None:
    """Overwrites the page in the middle of a store that nobody has open."""
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = conn.execute("PRAGMA page_size").fetchone()
        (pages,) = conn.execute("PRAGMA page_count").fetchone()
    with open(path, "r+b") as file:
        file.seek(size * (pages // 2))
        file.write(b"\xff" * size)


def reseal(place: str | Path, name: str, key: bytes | None = None, **columns: Any) -> None:
    """Changes columns of a record and seals it anew, with the user's key or another one."""
    with Store(place, key=key) as s:
        row = s.opened.find(name)
        assert row is not None
        s.opened.engine.load([s.opened.values.sealer.seal(row._replace(**columns))])
