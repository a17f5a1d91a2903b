"""The kinds of sources, and which of them is at a path."""

from __future__ import annotations

import errno
import os

from store.errors import NotAStore, StorageError
from store.importers.contract import Importer
from store.importers.files import is_our_store
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
