"""The tables of sqlitedict: names, and pickles. https://github.com/piskvorky/sqlitedict

Where a file has several tables and none is asked for, all are read, and a record's name is `table:name`. Values that
were written with an `encode` of the program's own (JSON, zlib) look like damaged ones, and fail.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from store.importers.contract import Found
from store.importers.sqlite_source import chosen, looks_so, opened, quoted, tables_of

_ZLIB = b"x"  # how zlib begins; no pickle does
_COLUMNS = [("key", "TEXT"), ("value", "BLOB")]


class SqlitedictImporter:
    """Reads an SQLite file with tables of `key TEXT PRIMARY KEY, value BLOB`."""

    name = "sqlitedict"

    def recognises(self, path: str) -> bool:
        return looks_so(path, _COLUMNS)

    def read(self, path: str, *, table: str | None = None) -> Generator[Found]:
        with opened(path) as conn:
            there = [name for name, columns in tables_of(conn).items() if columns == _COLUMNS]
            for each, shown in chosen(there, path, table):
                for key, value in conn.execute(f"SELECT key, value FROM {quoted(each)} ORDER BY rowid"):
                    yield _found(key, value)._replace(table=shown)


def _found(key: Any, value: Any) -> Found:
    if not isinstance(value, bytes):
        return Found(key, problem=f"its value is not a pickle but a {type(value).__name__}; was `encode=` set?")
    if value.startswith(_ZLIB):
        return Found(key, problem="its value is not a pickle; it looks compressed, by an `encode=` of the program's")
    return Found(key, value, codec="pickle")


importer = SqlitedictImporter()
