"""Entries of Django's caches: folders of the file-based backend, and tables of the database backend in SQLite.

A file `<hash>.djcache` has two pickles after each other: the expiry, a number or None, and the value, compressed with
zlib. A row of a table has key, value (a pickle in base64) and expiry in columns of its own.
https://docs.djangoproject.com/en/stable/topics/cache/

Files are named after the MD5 of the key as Django makes it, `prefix:version:key`, and so are their records:
`hashlib.md5(b":1:key").hexdigest()` finds one again. Records of a table keep that key itself, ":1:key".
"""

from __future__ import annotations

import base64
import io
import os
import pickletools
from collections.abc import Generator
from typing import Any

from store.importers.compressed import MAX_BYTES, inflated
from store.importers.contract import Found
from store.importers.files import beneath, has_file_of, names_in
from store.importers.formats.django.times import moment_of
from store.importers.sqlite_source import has_columns, opened, selections

SUFFIX = ".djcache"
MAX_EXPIRY_BYTES = 128  # of the pickle of a number
_COLUMNS = ["cache_key", "value", "expires"]
_AROUND = {"PROTO", "FRAME", "STOP"}
_NUMBERS = {"NONE", "FLOAT", "BINFLOAT", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"}
_NEVER = "9999-12-31"  # the database backend has no NULL for entries without an expiry


class DjangoCacheImporter:
    """Reads a folder of `.djcache` files, or an SQLite database with a table of a cache."""

    name = "django-cache"

    def recognises(self, path: str) -> bool:
        return has_file_of(path, (SUFFIX,)) if os.path.isdir(path) else has_columns(path, _COLUMNS)

    def read(self, path: str, *, table: str | None = None) -> Generator[Found]:
        return _of_folder(path) if os.path.isdir(path) else _of_tables(path, table)


def _of_folder(path: str) -> Generator[Found]:
    for file in names_in(path):
        name = file.removesuffix(SUFFIX)
        if name == file:
            yield Found(file, problem=f"by its name it is not one of {SUFFIX}", skipped=True)
        else:
            yield _of_file(path, file, name)


def _of_file(folder: str, file: str, name: str) -> Found:
    try:
        data = beneath(folder, file, MAX_BYTES)
        if not data:
            return Found(name, problem="its file is empty, which Django takes for expired", skipped=True)
        expires, rest = _expiry(data)
        return Found(name, inflated(rest, MAX_BYTES), "pickle", expires)
    except (ValueError, OSError) as exc:
        return Found(name, problem=str(exc))


def _expiry(data: bytes) -> tuple[Any, bytes]:
    """The number that the first pickle is, and the bytes after it. The pickle is listed, not executed.

    Raises:
        ValueError: it is not a number or None.
    """
    numbers = []
    for opcode, argument, at in pickletools.genops(io.BytesIO(data[:MAX_EXPIRY_BYTES])):
        if opcode.name in _NUMBERS:
            numbers.append(argument)
        elif opcode.name not in _AROUND:
            break
        elif opcode.name == "STOP" and len(numbers) == 1 and at is not None:
            return numbers[0], data[at + 1 :]
    raise ValueError("it does not begin with the expiry that Django writes")


def _of_tables(path: str, table: str | None) -> Generator[Found]:
    with opened(path) as conn:
        for statement, shown in selections(conn, path, _COLUMNS, table):
            for key, value, expires in conn.execute(statement):
                yield _of_row(key, value, expires)._replace(table=shown)


def _of_row(key: Any, value: Any, expires: Any) -> Found:
    try:
        body = base64.b64decode(value, validate=True)
        return Found(key, body, "pickle", None if str(expires).startswith(_NEVER) else moment_of(expires))
    except (ValueError, TypeError, OverflowError) as exc:
        return Found(key, problem=f"it is not what Django's database cache writes: {exc}")


importer = DjangoCacheImporter()
