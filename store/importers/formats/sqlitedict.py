"""The tables of sqlitedict: names, and pickles. https://github.com/piskvorky/sqlitedict

Where a file has several tables and none is asked for, all are read, and a record's name is `table:name`. Values that
were written with an `encode` of the program's own (JSON, zlib) look like damaged ones, and fail; `encoded=True` reads
all values as they are stored.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from typing import Any

from store.importers.contract import Found
from store.importers.sqlite_source import chosen, looks_so, opened, quoted, tables_of

_ZLIB = b"x"  # how zlib begins; no pickle does
_ENCODED = "was `encode=` set? --encoded imports values as they are stored, for the `decode=` of the program"
_COLUMNS = [("key", "TEXT"), ("value", "BLOB")]


class SqlitedictImporter:
    """Reads an SQLite file with tables of `key TEXT PRIMARY KEY, value BLOB`."""

    name = "sqlitedict"

    def recognises(self, path: str) -> bool:
        return looks_so(path, _COLUMNS)

    def read(self, path: str, *, table: str | None = None, encoded: bool = False) -> Generator[Found]:
        with opened(path) as conn:
            for each, shown in chosen(_tables(conn), path, table):
                for key, value in conn.execute(f"SELECT key, value FROM {quoted(each)} ORDER BY rowid"):
                    found = Found(key, value) if encoded else _found(key, value)
                    yield found._replace(table=shown)


def tables_at(path: str) -> list[str]:
    """The tables of a file that are sqlitedict's, in the order in which they were made. Raises: as `read`."""
    with opened(path) as conn:
        return _tables(conn)


def _tables(conn: sqlite3.Connection) -> list[str]:
    return [name for name, columns in tables_of(conn).items() if columns == _COLUMNS]


def _found(key: Any, value: Any) -> Found:
    if not isinstance(value, bytes):
        return Found(key, problem=f"its value is not a pickle but a {type(value).__name__}; {_ENCODED}")
    if value.startswith(_ZLIB):
        return Found(key, problem=f"its value is not a pickle; it looks compressed; {_ENCODED}")
    return Found(key, value, codec="pickle")


importer = SqlitedictImporter()
