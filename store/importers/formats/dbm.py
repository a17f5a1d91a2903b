"""The files of the standard library's `dbm`, whose keys and values are bytes: dumb, sqlite3, gnu and ndbm.

Those of dbm.dumb and dbm.sqlite3 are read here, on any Python; for the others this Python must have the module.
Format of dbm.dumb: Lib/dbm/dumb.py of CPython.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Generator, Iterator
from importlib import import_module
from typing import Any

from store.errors import CodecUnavailable, Corrupt, StorageError
from store.importers.contract import Found
from store.importers.files import contents_of, header_of, is_file, is_our_store, unreadable
from store.importers.names import as_text
from store.importers.sqlite_source import looks_so, opened

_SQLITE3 = [("key", "BLOB"), ("value", "BLOB")]
_ROWS = "SELECT key, value FROM Dict ORDER BY rowid"
_GNU_MAGIC = {0x13579ACE, 0x13579ACD, 0x13579ACF}
_BERKELEY_MAGIC = {b"\0\x06\x15\x61", b"\x61\x15\x06\0"}  # in either byte order
_SUFFIXES = (".dat", ".dir", ".bak", ".pag", ".db")
_NOT_AN_ENTRY = (ValueError, TypeError, OverflowError, AttributeError, SyntaxError, MemoryError, RecursionError)


class DbmImporter:
    """Reads dbm files whose values are of that codec; None: the bytes themselves."""

    def __init__(self, name: str, codec: str | None) -> None:
        self.name = name
        self._codec = codec

    def recognises(self, path: str) -> bool:
        return _form_of(path) is not None

    def read(self, path: str, *, table: str | None = None) -> Generator[Found]:
        form, where = _form_of(path) or ("", path)
        read = {"dumb": _of_dumb, "sqlite3": _of_sqlite3}.get(form)
        for key, value, problem in _of_module(form, where) if read is None else read(where):
            yield Found(as_text(key), value, self._codec, problem=problem)


def _form_of(path: str) -> tuple[str, str] | None:
    """The dbm module that wrote it, and the name for its `open`; None: it is not of dbm."""
    for base in dict.fromkeys((path, *(path.removesuffix(suffix) for suffix in _SUFFIXES))):
        if is_file(base + ".dat") and is_file(base + ".dir"):
            return "dumb", base
        if (is_file(base + ".pag") and is_file(base + ".dir")) or _is_berkeley(base + ".db"):
            return "ndbm", base
    for file in (path, path + ".db"):
        if is_our_store(file):  # the store to fill may well be called after the shelf
            continue
        if looks_so(file, _SQLITE3, "Dict"):
            return "sqlite3", file
        if int.from_bytes(header_of(file)[:4], sys.byteorder) in _GNU_MAGIC:
            return "gnu", file
    return None


def _is_berkeley(path: str) -> bool:
    """Whether it is a hash file of Berkeley DB, which some systems have for ndbm."""
    return not is_our_store(path) and header_of(path)[12:16] in _BERKELEY_MAGIC


def _of_dumb(base: str) -> Iterator[tuple[bytes, bytes, str]]:
    """The last line of a key counts: the file is appended to until it is closed."""
    index: dict[bytes, tuple[int, int]] = {}
    for number, line in enumerate(contents_of(base + ".dir").decode("latin-1").splitlines(), 1):
        try:
            key, (start, size) = ast.literal_eval(line)
            index[key.encode("latin-1")] = int(start), int(size)
        except _NOT_AN_ENTRY as exc:
            raise Corrupt(f"{base}.dir is damaged: line {number} is not what dbm.dumb writes; none was read") from exc
    try:
        with open(base + ".dat", "rb") as data:
            end = os.fstat(data.fileno()).st_size
            for key, (start, size) in index.items():
                if start < 0 or size < 0 or start + size > end:
                    yield key, b"", f"its value is not in {base}.dat: the file is damaged"
                    continue
                data.seek(start)
                yield key, data.read(size), ""
    except OSError as exc:
        raise unreadable(base + ".dat", exc) from exc


def _of_sqlite3(path: str) -> Iterator[tuple[bytes, bytes, str]]:
    with opened(path) as conn:
        for key, value in conn.execute(_ROWS):
            if isinstance(key, bytes) and isinstance(value, bytes):
                yield key, value, ""
            else:
                yield str(key).encode("utf-8", "replace"), b"", "its key or value is not bytes"


def _of_module(form: str, path: str) -> Iterator[tuple[bytes, bytes, str]]:
    try:
        module: Any = import_module(f"dbm.{form}")
    except ImportError as exc:
        raise CodecUnavailable(
            f"{path} was written with dbm.{form}, which this Python does not have; import it with one that has",
            codec=f"dbm.{form}",
        ) from exc
    try:
        with module.open(path, "r") as db:
            if not hasattr(db, "firstkey"):
                yield from ((key, db[key], "") for key in db.keys())  # noqa: SIM118
                return
            key = db.firstkey()  # dbm.gnu gives one key after the other
            while key is not None:
                yield key, db[key], ""
                key = db.nextkey(key)
    except module.error as exc:
        raise StorageError(f"{path} cannot be read: {exc}", path=path) from exc


importer = DbmImporter("dbm", None)
