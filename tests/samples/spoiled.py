"""Files as a disk, an enemy or a later release may have left them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from store.rows.row import Row
from store.trust.keys.ring import Keyring
from store.trust.seal import Sealer

COLUMNS = ", ".join(Row._fields)


def overwrite_page(path: Path) -> None:
    """Overwrites the page in the middle of a store that nobody has open."""
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = conn.execute("PRAGMA page_size").fetchone()
        (pages,) = conn.execute("PRAGMA page_count").fetchone()
    with open(path, "r+b") as file:
        file.seek(size * (pages // 2))
        file.write(b"\xff" * size)


def reseal(path: Path, name: str, key: bytes | None = None, **columns: Any) -> None:
    """Changes columns of a record and seals it anew, with the user's key or another one."""
    with closing(sqlite3.connect(path)) as conn:
        (store_id,) = conn.execute("SELECT id FROM identity").fetchone()
        values = conn.execute(f"SELECT {COLUMNS} FROM records WHERE name = ?", (name,)).fetchone()
        row = Sealer(Keyring(key), store_id).seal(Row._make(values)._replace(**columns))
        changes = ", ".join(f"{column} = ?" for column in (*columns, "seal", "crc"))
        conn.execute(f"UPDATE records SET {changes} WHERE name = ?", (*columns.values(), row.seal, row.crc, name))
        conn.commit()
