"""Functions that fetch the rows of a cursor, and stop if a damaged database makes no progress.

The pages of a damaged tree can form a circle, and its rows would never end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from store.errors import Corrupt
from store.rows import spilled
from store.rows.row import Header

T = TypeVar("T")
Fetch = Callable[[sqlite3.Cursor], T]

fetch_one: Fetch[Any] = sqlite3.Cursor.fetchone
fetch_all: Fetch[list[Any]] = sqlite3.Cursor.fetchall
row_count: Fetch[int] = attrgetter("rowcount")

BODY = 7  # the column, in `Row` and `Sealed`
_SIZE = Header._fields.index("size")
_TEXTS = [Header._fields.index(field) for field in ("codec", "type", "python")]
PAGE_PART = 16  # rows that are fetched at once
PAGE_BYTES = 4 * 1024 * 1024  # a page ends after the part that passes this


class NotText(bytes):
    """The bytes of a text column that are not valid UTF-8."""


def text_or_bytes(data: bytes) -> str | NotText:
    """The `text_factory` of a connection that has read such text."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return NotText(data)


def by_id(cursor: sqlite3.Cursor, path: str, column: int = -1) -> Iterator[Any]:
    """Rows in the order of their id, which is in that column. Raises: Corrupt: the ids do not increase."""
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
    """All rows, or those before the first repeated one; and whether they ended."""
    found: dict[Any, None] = {}
    for row in cursor:
        if row in found:
            cursor.close()
            return list(found), False
        found[row] = None
    return list(found), True


def page_of(limit: int) -> Fetch[tuple[list[Any], bool]]:
    """Fetches a page of the next rows; and whether they are the last ones."""

    def fetch(cursor: sqlite3.Cursor) -> tuple[list[Any], bool]:
        rows: list[Any] = []
        size = 0
        while len(rows) < limit and size <= PAGE_BYTES:
            some = cursor.fetchmany(PAGE_PART)
            if not some:
                break
            rows += some
            # In a file made by hand a body may have any type; the check of the seal rejects it.
            size += sum([len(row[BODY]) for row in some if type(row[BODY]) is bytes])
        cursor.close()  # ends the read transaction
        return rows, len(rows) < limit and size <= PAGE_BYTES

    return fetch


def header_of(values: Sequence[Any]) -> Header:
    """The header of a row of the columns of `Fields.HEADER`; its size includes that of the files."""
    *fields, spill = values
    for place in _TEXTS:  # unsealed except for the codec; only shown, never compared
        if type(fields[place]) is NotText:
            fields[place] = fields[place].decode("utf-8", "backslashreplace")
    if spill is None or type(fields[_SIZE]) is not int:
        return Header(*fields)
    in_files = spilled.size_of(spill)
    fields[_SIZE] += in_files
    return Header._make([*fields, in_files])


def bad_index(path: str) -> Corrupt:
    """The error for rows that are not those that were requested."""
    return Corrupt(
        f"{path} is damaged: an index of it leads to other records than it says; restore a backup, or "
        "let the sqlite3 program REINDEX it"
    )
