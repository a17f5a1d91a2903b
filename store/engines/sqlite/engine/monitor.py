"""The monitor of a watch: detects commits, and lists the current records."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

from store.engines.contract import Fields
from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.engine import Engine
from store.engines.sqlite.engine.fetching import Fetch, NotText, fetch_all, header_of
from store.engines.sqlite.opening.connection import BUSY_SECONDS
from store.errors import Corrupt, StorageError, StoreClosed, label
from store.rows.row import Header, Mark, has_expired

NO_WAIT = 0.0  # seconds: a watcher asks again soon, and may be on an event loop


class SqliteMonitor:
    """The contract `Monitor` of `store.engines.contract`.

    `PRAGMA data_version` compares the header that every commit changes, but shows a connection only the commits of
    others (https://www.sqlite.org/pragma.html#pragma_data_version), so the monitor has its own, which never writes.
    """

    def __init__(self, engine: Engine, namespace: str) -> None:
        engine.usability.check()
        if engine.strategy.is_frozen:
            raise StorageError(
                f"{engine.path} is read from a copy, or a file system mounted read-only, where no change of it is "
                'ever seen; to watch it, open it where its directory can be written, with mode="r" too',
                path=engine.path,
            )
        self._engine = engine
        self._namespace = namespace
        self._slot = engine.pool.open_extra()
        self._closed = False
        self._owner = os.getpid()

    def wake_by(self, wake: Callable[[], object]) -> None:
        """Does nothing: a file sends no notification."""

    def version(self) -> object:
        return self._read(sql.DATA_VERSION, (), _version)

    def since(self, version: object) -> None:
        """None: SQLite does not report which records changed."""

    def marks(self, prefix: str, after: str | None, limit: int) -> list[Mark]:
        lower, upper = sql.bounds(prefix, after, False)
        ends = (lower,) if upper is None else (lower, upper)
        found: list[Mark] = []
        place: str | bytes = lower
        while True:
            left = limit - len(found)
            marks = self._rows(sql.NAME_PAGES[Fields.MARK, upper is not None, False], (place, *ends[1:], left))
            found += self._checked(mark for mark in marks if not _is_no_text(mark.name))
            if marks and not sql.as_bytes(marks[-1].name) >= sql.as_bytes(place):  # otherwise paging would never end
                raise self._damaged("the order of its names")
            if len(found) == limit or len(marks) < left:
                return found
            place = sql.as_bytes(marks[-1].name) + b"\0"  # some were not valid text, which cannot be watched

    def marks_of(self, names: Sequence[str]) -> list[Mark]:
        found = (mark for part in _parts(names) for mark in self._rows(_in(sql.FIND_ALL[Fields.MARK], part), part))
        return sorted(self._checked(found), key=_name)

    def headers(self, names: Sequence[str], now: float) -> list[Header]:
        found: list[Header] = []
        for part in _parts(names):
            rows = self._read(_in(sql.FIND_ALL[Fields.HEADER], part), (self._namespace, *part), fetch_all)
            found += map(header_of, rows)
        return sorted((one for one in found if not has_expired(one, now)), key=_name)

    def close(self) -> None:
        self._closed = True
        if os.getpid() == self._owner:  # in a forked child its guard may be locked for ever
            self._engine.pool.close_extra(self._slot)

    def _rows(self, statement: str, values: Sequence[Any]) -> list[Mark]:
        return [Mark._make(row) for row in self._read(statement, (self._namespace, *values), fetch_all)]

    def _checked(self, marks: Iterable[Mark]) -> list[Mark]:
        found = list(marks)
        for mark in found:
            if not mark.has_types():
                raise self._damaged(f"the metadata of {label(mark.name, self._namespace)}")
        return found

    def _read(self, statement: str, values: Sequence[Any], fetch: Fetch[Any]) -> Any:
        self._check()
        if self._engine.strategy.locks_reads:
            return self._engine.exclusively(self._slot, statement, values, fetch, BUSY_SECONDS)
        return self._slot.run(statement, values, fetch, NO_WAIT)

    def _check(self) -> None:
        """Check the file each time: a deleted file would never change again."""
        self._engine.usability.check()
        if self._closed:
            raise StoreClosed(f"the watch on {self._engine.path} was closed; watch it again")
        self._engine.file.check_in_place()

    def _damaged(self, what: str) -> Corrupt:
        return Corrupt(f"{self._engine.path}: {what} is damaged; restore a backup")


def _is_no_text(name: Any) -> bool:
    return type(name) is NotText


_name = attrgetter("name")


def _version(cursor: sqlite3.Cursor) -> object:
    """The version of this connection: a new connection, after a fork for example, counts anew."""
    return cursor.connection, cursor.fetchone()[0]


def _parts(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + sql.MANY] for start in range(0, len(names), sql.MANY)]


def _in(statement: str, names: Sequence[str]) -> str:
    return statement.format(", ".join("?" * len(names)))
