"""A store whose values are large from a thousand bytes on, and what lies beside it."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from store import Store
from store.rows.spilled import checksum

LIMIT = 1000  # bytes
BIG = b"big" * 1000
OTHER = b"other" * 1000
THEIRS = b"the key of somebody else"


def small_spill(path: str | Path, **options: Any) -> Store[Any]:
    return Store(path, **{"spill_bytes": LIMIT, **options})


def folder_of(path: Path) -> Path:
    return path.with_name(path.name + "-spill")


def files(path: Path) -> list[str]:
    """The files beside the store, oldest first."""
    folder = folder_of(path)
    return sorted(os.listdir(folder), key=lambda file: (folder / file).stat().st_mtime_ns) if folder.exists() else []


def only_file(path: Path) -> Path:
    (file,) = files(path)
    return folder_of(path) / file


def reseal(path: Path, key: bytes | None, **columns: Any) -> None:
    """Give the record `it` other columns, sealed by whoever has that key: a hostile file, or one of ours."""
    with small_spill(path, key=key) as s:
        row = s.opened.find("it")
        assert row is not None
        row = s.opened.values.sealer.seal(row._replace(**columns))
    with closing(sqlite3.connect(path)) as conn:
        values = (row.body, row.spill, row.seal, row.crc, row.codec, row.protocol)
        conn.execute("UPDATE records SET body = ?, spill = ?, seal = ?, crc = ?, codec = ?, protocol = ? WHERE name = 'it'", values)
        conn.commit()


def part(file: str, content: bytes) -> list[Any]:
    return [file, len(content), checksum(content).hexdigest()]


def listed(*parts: list[Any]) -> str:
    return json.dumps(parts, separators=(",", ":"))
