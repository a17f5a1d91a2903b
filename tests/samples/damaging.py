"""Damage to the file of a store, as a disk makes it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def overwrite_middle_page(path: Path) -> None:
    """Fill the page in the middle of a closed store with ones."""
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = conn.execute("PRAGMA page_size").fetchone()
        (pages,) = conn.execute("PRAGMA page_count").fetchone()
    with open(path, "r+b") as file:
        file.seek(size * (pages // 2))
        file.write(b"\xff" * size)
