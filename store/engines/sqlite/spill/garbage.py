"""The table `garbage`: files that a committed row does not name any more, until a checkpoint lets them be removed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from store.engines.sqlite import statements as sql
from store.rows import spilled


def dropped(store_id: bytes, rows: Iterable[Sequence[Any]], but: str | None = None) -> tuple[list[str], int]:
    """The files of rows (namespace, name, spill), except those that the text `but` names, and their bytes."""
    files: list[str] = []
    size = 0
    for namespace, name, text, *_ in rows:
        prefix = spilled.prefix_of(store_id, str(namespace), str(name))
        found = spilled.files_of(text, prefix, but=spilled.files_of(but, prefix))
        files += found
        size += spilled.size_of(text) if found else 0
    return files, size


def spilled_bytes(rows: Iterable[Sequence[Any]], column: int = 2) -> int:
    """The bytes of the files of rows according to their texts, which are in that column: what `spilled` counts."""
    return sum([spilled.size_of(row[column]) for row in rows if row[column] is not None])


def forget_garbage(conn: sqlite3.Connection, files: Sequence[str]) -> None:
    """Delete the rows of files that are removed."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        conn.executemany(sql.FORGET_GARBAGE, [(file,) for file in files])
        conn.execute("COMMIT")
    except BaseException:
        conn.rollback()
        raise
