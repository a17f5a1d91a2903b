"""The kinds of sources, and which of them is at a path or a URL."""

from __future__ import annotations

import errno
import os

from store.errors import NotAStore, StorageError
from store.importers.contract import Importer, Keys, ServerImporter
from store.importers.files import is_our_store
from store.importers.redis_place import SCHEMES, scheme_of
from store.system.registry import Registry

importers = Registry("importer")
"""Kind of source → `Importer`. The order is that in which kinds are tried on a source of unknown kind."""
for _kind, _where in {
    "diskcache": "diskcache:importer",
    "requests-cache": "requests_cache:importer",
    "django-sessions": "django.sessions:importer",
    "django-cache": "django.cache:importer",
    "cachelib": "cachelib:importer",
    "flask-session": "cachelib:flask_session",
    "joblib-memory": "joblib_memory:importer",
    "sqlitedict": "sqlitedict:importer",
    "shelve": "shelve:importer",
    "dbm": "dbm:importer",
    "joblib": "joblib:importer",
    "pickles": "pickles:importer",
    "json": "json:importer",
}.items():
    importers.register(_kind, f"store.importers.formats.{_where}")

server_importers = Registry("importer")
"""Kind of source → `ServerImporter`, of the kinds that may also be on a Redis server."""
server_importers.register(
    "django-sessions", "store.importers.formats.django.cached_sessions:importer", install="redis"
)
server_importers.register("flask-session", "store.importers.formats.flask_session:importer", install="redis")

TABLES = ("sqlitedict", "django-sessions", "django-cache")
"""Kinds of which `table` can choose one table."""
SIGNED = ("django-sessions",)
"""Kinds whose importer is a `SignedImporter`."""
BESIDE = ("shelve", "dbm")  # sources whose files may be called app.dat, so that a store can be called app


def check_source(source: str, path: str) -> Importer:
    """The importer for that kind of source, which is there.

    Raises:
        NotAStore: the source is of another kind, or a store. StorageError: it is not there, or cannot be read.
    """
    importer: Importer = importers.load(source)
    is_store = is_our_store(path)
    if (source in BESIDE or not is_store) and importer.recognises(path):
        return importer
    if is_store:
        raise NotAStore(
            f"{path} is a store itself, and was not touched; to copy it: `store export --raw {path} records.jsonl`, "
            "then `store import --raw records.jsonl NEW`",
            path=path,
        )
    others = [name for name in importers.names() if importers.load(name).recognises(path)]
    if not others and not os.path.exists(path):
        raise StorageError(f"there is nothing of the kind {source} at {path}", errno=errno.ENOENT, path=path)
    remedy = f"; it looks like {' or '.join(others)}: `store import {others[0]} …`" if others else ""
    raise NotAStore(f"{path} is no source of the kind {source}{remedy}", path=path)


def server_source(source: str, url: str) -> ServerImporter:
    """The importer for that kind of source on a server.

    Raises:
        ValueError: there is none for this kind, or for this scheme. CodecUnavailable: redis-py is not installed.
    """
    if scheme_of(url) not in SCHEMES:
        raise ValueError(f"a source is a file, a folder, or a URL of {', '.join(SCHEMES)}; not {scheme_of(url)}://…")
    if source not in server_importers:
        raise ValueError(
            f"only {' and '.join(server_importers.names())} are read from a server, not the kind {source!r}"
        )
    found: ServerImporter = server_importers.load(source)
    return found


def check_server(source: str, url: str, keys: Keys) -> ServerImporter:
    """As `server_source`, for a server that has such records. Raises: also as `ServerImporter.check`."""
    importer = server_source(source, url)
    importer.check(url, keys)
    return importer
