"""What several integration tests use."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store.engines.sqlite import statements as sql
from store.rows.row import Row
from store.trust.keys.ring import Keyring
from store.trust.seal import Sealer


@pytest.fixture
def reseal() -> Callable[..., None]:
    """Changes columns of a record and seals it anew with the user's key, as a later release could have."""

    def reseal(path: Path, name: str, **columns: Any) -> None:
        with closing(sqlite3.connect(path)) as conn:
            (store_id,) = conn.execute("SELECT id FROM identity").fetchone()
            values = conn.execute(f"SELECT {sql._COLUMNS} FROM records WHERE name = ?", (name,)).fetchone()
            row = Sealer(Keyring(), store_id).seal(Row._make(values)._replace(**columns))
            changes = ", ".join(f"{column} = ?" for column in (*columns, "seal", "crc"))
            conn.execute(f"UPDATE records SET {changes} WHERE name = ?", (*columns.values(), row.seal, row.crc, name))
            conn.commit()

    return reseal
