"""The databases of a Datasette that are stores, each opened once, for reading only."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from datasette.database import QueryInterrupted
from datasette.utils import sqlite3, tilde_encode

from store.errors import StoreError
from store.integrations.datasette.configuration import key_file_of
from store.integrations.datasette.permissions import RECORDS
from store.mapping.store import Store
from store.opened.opening import is_store
from store.web.links import Links
from store.web.place import file_at
from store.web.site import Site

T = TypeVar("T")

MOST_THREADS = 8  # a page may hold a value of 16 MiB
TIMEOUT_SECONDS = 2.0  # that a page waits for another program's lock
NOT_OPENED = (StoreError, ValueError)  # what opening a store raises; ValueError: STORE_KEY is no key


class Place(NamedTuple):
    """A database of Datasette that is a store: its file, where its pages are, and the key file to read it with."""

    name: str
    path: str
    base: str
    key: Path | None


class Opened(NamedTuple):
    """A store that is open, and the file it was opened on."""

    site: Site
    place: Place
    file: tuple[int, int] | None


class Stores:
    """The stores of one Datasette, opened when they are first asked for. Safe across threads.

    They are used in a few threads of their own, so that the event loop is never blocked, and a value that takes much
    memory is never decoded for many requests at once.
    """

    def __init__(self) -> None:
        self._opened: dict[str, Opened] = {}
        self._marked: set[tuple[str, tuple[int, int] | None]] = set()
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """The result of `work` in one of the threads."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="store")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def site(self, place: Place) -> Site:
        """The pages of a store. Raises: NOT_OPENED."""
        with self._lock:
            known = self._opened.get(place.name)
            if known is not None and (known.place, known.file) == (place, file_at(place.path)):
                return known.site
            if known is not None:  # the file was replaced, by a restored backup for example
                del self._opened[place.name]
                known.site.store.close()
            opened = self._opened[place.name] = _opened(place)
            return opened.site

    def has_mark(self, path: str) -> bool:
        """Whether the file at `path` says that it is a store; opening it checks the rest."""
        file = path, file_at(path)
        if file not in self._marked and is_store(path):
            self._marked.add(file)
        return file in self._marked

    def close(self) -> None:
        """Closes all of them, once the threads have ended what they do; asked again, they are opened anew."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown()
        with self._lock:
            for name in list(self._opened):
                self._opened.pop(name).site.store.close()


_stores: WeakKeyDictionary[Any, Stores] = WeakKeyDictionary()
_stores_lock = threading.Lock()


def stores_of(datasette: Any) -> Stores:
    """The stores that a Datasette shows. They do not keep it alive."""
    with _stores_lock:
        return _stores.setdefault(datasette, Stores())


def shares_library() -> bool:
    """Whether Datasette uses Python's own SQLite, as a store does, and not the package pysqlite3.

    Two of these libraries in a process drop each other's locks on a file as they close it
    (https://www.sqlite.org/howtocorrupt.html#multiple_copies_of_sqlite_linked_into_the_same_application).
    """
    return bool(sqlite3.__name__ == "sqlite3")


async def place_of(datasette: Any, database: str | None) -> Place | None:
    """The store that a database is; None where it is none, lives in memory, or could not be opened safely."""
    if database is None or not shares_library():
        return None
    try:
        found = datasette.get_database(database)
    except KeyError:
        return None
    if found.path is None or found.is_memory or not await _has_records(found):
        return None
    if not await stores_of(datasette).run(stores_of(datasette).has_mark, str(found.path)):
        return None
    return Place(found.name, str(found.path), base_of(datasette, found), key_file_of(datasette, found.name))


def base_of(datasette: Any, database: Any) -> str:
    """What the addresses of the pages of a database begin with, without a slash at the end."""
    return str(datasette.urls.path(f"/-/store/{tilde_encode(database.route)}"))


async def _has_records(database: Any) -> bool:
    """Whether there is such a table; asked on Datasette's own connection, so that few other files are opened."""
    try:
        return bool(await database.table_exists(RECORDS))
    except (sqlite3.Error, QueryInterrupted):  # Datasette says itself what is wrong with the file
        return False


def _opened(place: Place) -> Opened:
    store = Store[Any](
        place.path, mode="r", key=place.key, timeout=TIMEOUT_SECONDS, cache_bytes=0, on_missing="placeholder"
    )
    try:
        return Opened(Site(store, Links(place.base)), place, file_at(place.path))
    except BaseException:
        store.close()
        raise
