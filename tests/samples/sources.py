"""Files of other programs, made by those programs, and what is in a folder: for the tests of importers."""

from __future__ import annotations

import dbm.dumb
import hashlib
import importlib
import json
import os
import pickle
import shelve
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

KINDS = (
    "shelve", "dbm", "sqlitedict", "diskcache", "pickles", "joblib", "json", "cachelib", "flask-session", "django-cache",
    "django-sessions", "requests-cache", "joblib-memory",
)  # fmt: skip
PICKLED = (  # those that may hold any object
    "shelve", "sqlitedict", "diskcache", "pickles", "joblib", "cachelib", "django-cache", "requests-cache", "joblib-memory",
)  # fmt: skip
SECRET_KEY = "of the program that wrote the sessions"
V = TypeVar("V")
PEERS = "the extras peers and joblib are not installed: importing from {} is not tested"


HASHED: dict[str, Callable[[str], str]] = {
    "cachelib": lambda name: hashlib.sha256(name.encode()).hexdigest(),
    "flask-session": lambda name: hashlib.sha256(f"session:{name}".encode()).hexdigest(),
    "django-cache": lambda name: hashlib.md5(f":1:{name}".encode()).hexdigest(),
    "joblib-memory": lambda name: f"sources/_remembered/{library('joblib').hash({'name': name})}",
}
"""Kind → the name of the record for a name in the source, where it is a hash of that."""


class Hostile:
    """Unpickled in full it makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.marker,)


def library(name: str) -> Any:
    """The peer, or a skip that says what is not tested."""
    return pytest.importorskip(name, reason=PEERS.format(name))


def make(kind: str, folder: Path, records: Mapping[str, Any]) -> Path:
    """A source of that kind, which the peer itself made; the path to import from."""
    folder.mkdir()
    return globals()[f"_make_{kind.replace('-', '_')}"](folder, records)


def hashed(kind: str, records: Mapping[str, V]) -> dict[str, V]:
    """The records under the names that they get by an import from a source of that kind."""
    return {HASHED.get(kind, str)(name): value for name, value in records.items()}


def _make_shelve(folder: Path, records: Mapping[str, Any]) -> Path:
    with shelve.Shelf(dbm.dumb.open(str(folder / "old"), "c")) as db:
        db.update(records)
    return folder / "old"


def _make_dbm(folder: Path, records: Mapping[str, Any]) -> Path:
    with dbm.dumb.open(str(folder / "old"), "c") as db:
        for name, value in records.items():
            db[name.encode()] = value
    return folder / "old"


def _make_sqlitedict(folder: Path, records: Mapping[str, Any]) -> Path:
    with library("sqlitedict").SqliteDict(str(folder / "old.sqlite")) as db:
        db.update(records)
        db.commit()
    return folder / "old.sqlite"


def _make_diskcache(folder: Path, records: Mapping[str, Any]) -> Path:
    with library("diskcache").Cache(str(folder / "old")) as cache, cache.transact():
        for name, value in records.items():
            cache[name] = value
    return folder / "old"


def _make_pickles(folder: Path, records: Mapping[str, Any]) -> Path:
    for name, value in records.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(value))
    return folder


def _make_joblib(folder: Path, records: Mapping[str, Any]) -> Path:
    for name, value in records.items():
        library("joblib").dump(value, folder / f"{name}.joblib")
    return folder


def _make_cachelib(folder: Path, records: Mapping[str, Any]) -> Path:
    cache = library("cachelib").FileSystemCache(str(folder / "old"), default_timeout=0)
    for name, value in records.items():
        assert cache.set(name, value)
    return folder / "old"


def _make_flask_session(folder: Path, records: Mapping[str, Any]) -> Path:
    interface = library("flask_session.cachelib").CacheLibSessionInterface(
        client=library("cachelib").FileSystemCache(str(folder / "old"))
    )
    app = library("flask").Flask("old")
    with app.test_request_context():
        for name, value in records.items():
            session = interface.session_class(sid=name)
            session.update(value)
            interface.save_session(app, session, app.response_class())
    return folder / "old"


def _make_django_cache(folder: Path, records: Mapping[str, Any]) -> Path:
    options = {"timeout": None, "max_entries": 10**6}
    cache = library("django.core.cache.backends.filebased").FileBasedCache(str(folder / "old"), options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of keys that memcached would not take
        for name, value in records.items():
            cache.set(name, value)
    return folder / "old"


def _make_django_sessions(folder: Path, records: Mapping[str, Any], **settings: Any) -> Path:
    backend = library("django.contrib.sessions.backends.file").SessionStore
    own = type("SessionStore", (backend,), {"_storage_path": str(folder)})  # the signature depends on that name
    with django_settings(SECRET_KEY=SECRET_KEY, **settings):
        for name, value in records.items():
            session = own(name)
            session.clear()  # so that it is not looked for
            session.update(value)
            session.save(must_create=True)
    return folder


@contextmanager
def django_settings(**settings: Any) -> Iterator[None]:
    """Django with these settings and its defaults, in a process that may have configured it in another way."""
    conf = library("django.conf")
    before, holder = conf.settings._wrapped, conf.UserSettingsHolder(conf.global_settings)
    for name, value in settings.items():
        setattr(holder, name, value)
    conf.settings._wrapped = holder
    try:
        yield
    finally:
        conf.settings._wrapped = before


def _make_requests_cache(folder: Path, records: Mapping[str, Any]) -> Path:
    cache = library("requests_cache").SQLiteCache(str(folder / "old"))
    with cache.responses.bulk_commit():
        for name, value in records.items():
            cache.responses[name] = value
    cache.close()
    return folder / "old.sqlite"


def _make_joblib_memory(folder: Path, records: Mapping[str, Any]) -> Path:
    remember = library("joblib").Memory(str(folder), verbose=0).cache(_remembered, ignore=["value"])
    for name, value in records.items():
        remember.call_and_shelve(name, value)
    return folder


def _remembered(name: str, value: Any) -> Any:
    return value


def _make_json(folder: Path, records: Mapping[str, Any]) -> Path:
    (folder / "old.json").write_text(json.dumps(records))
    return folder / "old.json"


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All that lies there: content and time of the last change of each file, and that of each folder."""
    return {
        str(entry.relative_to(folder)): (entry.read_bytes() if entry.is_file() else b"", entry.stat().st_mtime_ns)
        for entry in [folder, *folder.rglob("*")]
    }


def dbm_modules() -> list[Any]:
    """The dbm modules that this Python has; `dumb` is always one."""
    found = []
    for name in ("gnu", "ndbm", "sqlite3", "dumb"):
        try:
            found.append(importlib.import_module(f"dbm.{name}"))
        except ImportError:
            pass
    return found
