"""SQLite files of requests-cache: HTTP responses. https://requests-cache.readthedocs.io

Each response is a dict, as a pickle or, with another serializer, as JSON or YAML; its fields are those of
`requests_cache.CachedResponse`. A record's name is the cache key, a hash of the request that `create_key` computes.
A redirect is a record "redirect:KEY" whose value is the key of the response. Signatures of `safe_pickle_serializer`
are taken off unchecked: the pickle is decoded restricted anyway. Versions before 0.6 have pickled objects, which are
refused; those before 1.0 have the expiry only inside the value, and their records get none.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Generator
from importlib.util import find_spec
from typing import Any

from store.errors import Corrupt
from store.importers.contract import Found
from store.importers.files import is_pickle
from store.importers.sqlite_source import is_sqlite, opened, tables_of

REDIRECT = "redirect:"
_TABLES = ("responses", "redirects")
_COLUMNS = (["key", "value", "expires"], ["key", "value"])  # since 1.0, and before
_SIGNATURE = re.compile(rb"(?<=\.)\.[A-Za-z0-9_-]{27}\Z")  # of itsdangerous, after the end of the pickle


class RequestsCacheImporter:
    """Reads a database with the tables `responses` and `redirects`."""

    name = "requests-cache"

    def recognises(self, path: str) -> bool:
        if not is_sqlite(path):
            return False
        try:
            with opened(path) as conn:
                return all(names in _COLUMNS for names in _columns(conn).values())
        except Corrupt:
            return False

    def read(self, path: str, *, table: str | None = None) -> Generator[Found]:
        with opened(path) as conn:
            for each, names in _columns(conn).items():
                expires = "expires" if "expires" in names else "NULL"
                for row in conn.execute(f"SELECT key, value, {expires} FROM {each} ORDER BY rowid"):
                    yield _response(*row) if each == "responses" else _redirect(*row)


def _columns(conn: sqlite3.Connection) -> dict[str, list[str]]:
    """The columns of both tables; none for one that is missing."""
    there = tables_of(conn)
    return {table: [name for name, _ in there.get(table, [])] for table in _TABLES}


def _response(key: Any, value: Any, expires: Any) -> Found:
    expires = expires if isinstance(expires, int | float) else None
    if isinstance(value, str):
        body = value.encode()
        if body.lstrip().startswith(b"{"):
            return Found(key, body, "json", expires)
        if find_spec("yaml") is None:  # a damaged row looks so too: it must not end the import of all others
            return Found(key, problem="it is not JSON; if it is YAML, install pyyaml and import it again")
        return Found(key, body, "yaml", expires)
    if isinstance(value, bytes) and is_pickle(value):
        return Found(key, _SIGNATURE.sub(b"", value), "pickle", expires)
    if isinstance(value, bytes) and value.lstrip().startswith(b"{"):  # orjson
        return Found(key, value, "json", expires)
    return Found(key, problem="it is neither a pickle nor JSON nor YAML; which serializer was set?")


def _redirect(key: Any, value: Any, _: Any) -> Found:
    if isinstance(key, str) and isinstance(value, str):
        return Found(REDIRECT + key, value)
    return Found(key, problem="it is a redirect whose key or target is not text")


importer = RequestsCacheImporter()
