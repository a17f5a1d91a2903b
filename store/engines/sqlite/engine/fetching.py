"""What is made of a statement's cursor; on a database that may be damaged a walk ends where it does not move on.

The pages of a damaged tree can lead round in a circle, and the rows of it would never end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, TypeVar

from store.errors import Corrupt
from store.rows.row import Row

T = TypeVar("T")
Fetch = Callable[[sqlite3.Cursor], T]

fetch_one: Fetch[Any] = sqlite3.Cursor.fetchone
fetch_all: Fetch[list[Any]] = sqlite3.Cursor.fetchall
row_count: Fetch[int] = attrgetter("rowcount")

PAGE_ROWS = 256
PAGE_PART = 16  # rows that are fetched at once
PAGE_BYTES = 4 * 1024 * 1024  # a page ends after the part that passes this


class NotText(bytes):
    """What stands in a column of text, and is no UTF-8."""


def text_or_bytes(data: bytes) -> str | NotText:
    """The `text_factory` of a connection that met such text."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return NotText(data)


def by_id(cursor: sqlite3.Cursor, path: str, column: int = -1) -> Iterator[Any]:
    """Rows in the order of their id, which is in that column. Raises: Corrupt: it does not go up."""
    last: int | None = None
    for row in cursor:
        if last is not None and not row[column] > last:
            raise bad_index(path)
        last = row[column]
        yield row


def all_by_id(path: str, column: int = -1) -> Fetch[list[Any]]:
    """Fetches all rows as `by_id` does."""
    return lambda cursor: list(by_id(cursor, path, column))


def until_repeated(cursor: sqlite3.Cursor) -> tuple[list[Any], bool]:
    """All rows, or those before the first that was there already; and whether they came to an end."""
    found: dict[Any, None] = {}
    for row in cursor:
        if row in found:
            cursor.close()
            return list(found), False
        found[row] = None
    return list(found), True


def take_page(cursor: sqlite3.Cursor) -> list[Row]:
    """The next rows, so many that they are a page."""
    rows: list[Row] = []
    size = 0
    while len(rows) < PAGE_ROWS and size <= PAGE_BYTES:
        some = list(map(Row._make, cursor.fetchmany(PAGE_PART)))
        if not some:
            break
        rows += some
        # Of a file made by hand a body may be anything; the check of the seal says so.
        size += sum([len(row.body) for row in some if type(row.body) is bytes])
    cursor.close()  # ends the read transaction
    return rows


def bad_index(path: str) -> Corrupt:
    """The error for rows that are others than those that were asked for."""
    return Corrupt(
        f"{path} is damaged: an index of it leads to other records than it says; restore a backup, or "
        "let the sqlite3 program REINDEX it"
    )
