"""The folders of diskcache: `Cache`, `Index`, `Deque` and, with its shards, `FanoutCache`.

A record is a row of `cache.db`, its value there or in a file beside it. https://grantjenks.com/docs/diskcache
Expiry and tags are imported; counts of access are not. Records of `JSONDisk` are recognised by their keys. A Django
cache keeps its names with a version in front of them.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Generator
from typing import Any

from store.errors import Corrupt, NotAStore
from store.importers.compressed import inflated
from store.importers.contract import Found
from store.importers.files import beneath, is_file
from store.importers.sqlite_source import is_sqlite, opened, tables_of

DATABASE = "cache.db"
_RAW, _BINARY, _TEXT, _PICKLE = 1, 2, 3, 4  # diskcache.core.MODE_…
_NEEDED = {"key", "raw", "expire_time", "mode", "filename", "value"}
_ROWS = "SELECT key, raw, expire_time, mode, filename, value, {tag} FROM Cache ORDER BY rowid"
MAX_JSON_BYTES = 256 * 1024 * 1024
"""How large a compressed value of a JSONDisk may become."""


class DiskcacheImporter:
    """Reads a folder with a `cache.db`, or with folders 000, 001, … that have one."""

    name = "diskcache"

    def recognises(self, path: str) -> bool:
        return any(is_sqlite(os.path.join(folder, DATABASE)) for folder in _folders(path))

    def read(self, path: str, *, table: str | None = None) -> Generator[Found]:
        for folder in _folders(path):
            with opened(os.path.join(folder, DATABASE)) as conn:
                tag = "tag" if "tag" in _columns(conn, folder) else "NULL"
                for row in conn.execute(_ROWS.format(tag=tag)):
                    yield _found(folder, *row[:-1])._replace(tag=row[-1])


def _folders(path: str) -> list[str]:
    """The folder itself, or the shards in it."""
    if os.path.basename(path) == DATABASE and is_file(path):
        return [os.path.dirname(path)]
    if is_file(os.path.join(path, DATABASE)):
        return [path]
    shards = sorted(name for name in os.listdir(path) if name.isdecimal()) if os.path.isdir(path) else []
    folders = [os.path.join(path, name) for name in shards]
    return [folder for folder in folders if not os.path.islink(folder) and is_file(os.path.join(folder, DATABASE))]


def _columns(conn: sqlite3.Connection, folder: str) -> set[str]:
    """The columns of the table of records. Raises: NotAStore: there is none, or it lacks some."""
    tables = {name: {column for column, _ in columns} for name, columns in tables_of(conn).items()}
    if not tables.get("Cache", set()) >= _NEEDED or "Settings" not in tables:
        raise NotAStore(f"{os.path.join(folder, DATABASE)} is not of diskcache, or of another version", path=folder)
    return tables["Cache"]


def _found(folder: str, key: Any, raw: Any, expires: Any, mode: Any, filename: Any, value: Any) -> Found:
    codec = None if raw else "pickle"
    expires = expires if isinstance(expires, int | float) else None
    if codec and not isinstance(key, bytes):
        return Found(key, problem="its key should be a pickle, and is not")
    try:
        value, value_codec = _value(folder, mode, filename, value)
    except (Corrupt, UnicodeDecodeError) as exc:
        return Found(key, problem=str(exc), key_codec=codec)
    found = _of_json_disk(key, value, expires) if raw and isinstance(key, bytes) else None
    return found or Found(key, value, value_codec, expires, key_codec=codec)


def _value(folder: str, mode: Any, filename: Any, value: Any) -> tuple[Any, str | None]:
    """The value, or its bytes and their codec. Raises: Corrupt, UnicodeDecodeError."""
    if mode == _RAW:
        return value, None
    data = value
    if mode in (_BINARY, _TEXT) or (mode == _PICKLE and value is None):
        if not isinstance(filename, str):
            raise Corrupt("it names no file")
        data = beneath(folder, filename)
    if mode == _TEXT:
        return data.decode(), None
    if mode not in (_BINARY, _PICKLE) or not isinstance(data, bytes):
        raise Corrupt(f"it is stored in a way that is not known (mode {mode!r:.20})")
    return data, "pickle" if mode == _PICKLE else None


def _of_json_disk(key: bytes, value: Any, expires: float | None) -> Found | None:
    """A record of `JSONDisk`, whose keys alone show that it is one; None: it is not."""
    try:
        name = _from_json(key)
    except (ValueError, RecursionError):
        return None
    try:
        return Found(name, _from_json(value), expires=expires)
    except (ValueError, TypeError, RecursionError) as exc:
        return Found(name, problem=f"it is not what JSONDisk writes: {exc}")


def _from_json(data: bytes) -> Any:
    """Raises: ValueError, TypeError, RecursionError: the bytes are no compressed JSON."""
    return json.loads(inflated(data, MAX_JSON_BYTES))


importer = DiskcacheImporter()
