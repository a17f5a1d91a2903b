"""The reads of the PostgreSQL engine. They take no lock, except inside a transaction of one name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from store.engines.contract import PAGE_ROWS, Cursor, Fields, Listed, Order, Page, Usage
from store.engines.postgres.handle import Handle
from store.engines.postgres.place import ThreadPlace
from store.engines.postgres.sessions import Connection
from store.rows.row import Header, Mark, Row, Sealed, Total
from store.rows.spilled import count_of, size_of

LARGEST_ID = 2**63 - 1
_ROW, _SEALED, _LISTED = Fields.ROW, Fields.SEALED, Fields.LISTED


def _header(values: Sequence[Any]) -> Header:
    *columns, spill = values
    header = Header._make(columns)
    return header if spill is None else header._replace(size=header.size + size_of(spill))


_MAKE: dict[Fields, Callable[[Any], Any]] = {
    _ROW: partial(tuple.__new__, Row),
    _SEALED: partial(tuple.__new__, Sealed),
    Fields.HEADER: _header,
    Fields.MARK: Mark._make,
    _LISTED: partial(tuple.__new__, Listed),
}
_ID_AT = {_ROW: 0, _SEALED: 0, Fields.HEADER: 0, Fields.MARK: 1, _LISTED: 2}
_NAME_AT = {_ROW: 2, _SEALED: 2, Fields.HEADER: 2, Fields.MARK: 0, _LISTED: 0}
_EXPIRES_AT = {_ROW: 14, _SEALED: 5, Fields.HEADER: 11, Fields.MARK: 4, _LISTED: 1}


class Reading:
    """The reading half of the contract `Engine`."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._statements = handle.sessions.statements

    def get(self, namespace: str, names: Sequence[str], fields: Fields = _ROW) -> dict[str, Any]:
        names = [name for name in names if "\0" not in name]  # PostgreSQL's texts have none
        if not names:
            self._handle.check_open()
            return {}
        rows = self._handle.read(lambda conn, place: self._find(conn, place, namespace, names, fields))
        column = _NAME_AT[fields]
        return {row[column]: _MAKE[fields](row) for row in rows}

    def _find(
        self, conn: Connection, place: ThreadPlace | None, namespace: str, names: list[str], fields: Fields
    ) -> list[Any]:
        statements = self._statements
        is_one = len(names) == 1
        values = (namespace, names[0] if is_one else names)
        if place is None or not place.locks_rows():
            if place is not None:
                place.take_namespace(namespace)
            found = (statements.find if is_one else statements.find_all)[fields]
            return conn.execute(found, values, binary=True).fetchall()
        # A row that is replaced while this waits for it is not found: it is there under another snapshot.
        locked = (statements.find_locked if is_one else statements.find_all_locked)[fields]
        rows = conn.execute(locked, values, binary=True).fetchall()
        if len(rows) < len(names):
            rows = conn.execute(locked, values, binary=True).fetchall()
            column = _NAME_AT[fields]
            there = {row[column] for row in rows}
            place.absent |= {(namespace, name) for name in names if name not in there}
        return rows

    def scan(
        self,
        namespace: str | None,
        order: Order,
        *,
        after: Cursor | None = None,
        until: Cursor | None = None,
        prefix: str = "",
        limit: int = PAGE_ROWS,
        reverse: bool = False,
        fields: Fields = _ROW,
    ) -> Page:
        statements, most = self._statements, min(limit, LARGEST_ID)
        if order is Order.NAME:
            if "\0" in prefix:
                self._handle.check_open()
                return Page([], None)
            lower, upper = _bounds(prefix, after, reverse)
            ends = (lower,) if upper is None else (lower, upper)
            rows = self._all(
                namespace, statements.name_pages[fields, upper is not None, reverse], (namespace or "", *ends, most)
            )
            return _page(rows, limit, fields, lambda row: row[_NAME_AT[fields]])
        if order is Order.EXPIRY:
            bound = math.inf if until is None else until
            if namespace is None:
                start = ("", -math.inf, -LARGEST_ID) if after is None else after
                rows = self._all(None, statements.every_expiry[fields], (bound, *start, most))
                return _page(rows, limit, fields, lambda row: tuple(row[-3:]))
            start = (-math.inf, -LARGEST_ID) if after is None else after
            rows = self._all(namespace, statements.expiries[fields], (namespace, bound, *start, most))
            return _page(rows, limit, fields, lambda row: (row[_EXPIRES_AT[fields]], row[_ID_AT[fields]]))
        low, high = after or 0, LARGEST_ID if until is None else until
        if reverse:
            low, high = 0, high if after is None else min(high, after - 1)
        if namespace is None:
            rows = self._all(None, statements.every_page[fields, reverse], (low, high, most))
        else:
            rows = self._all(namespace, statements.pages[fields, reverse], (namespace, low, high, most))
        return _page(rows, limit, fields, lambda row: row[_ID_AT[fields]])

    def end(self, namespace: str | None) -> Cursor:
        if namespace is None:
            return self._all(None, self._statements.last_id_of_all, ())[0][0] or 0
        return self._all(namespace, self._statements.last_id, (namespace,))[0][0] or 0

    def count(self, namespace: str, now: float) -> tuple[int, float]:
        ((count, until),) = self._all(namespace, self._statements.count, (namespace, now))
        return count, math.inf if until is None else until

    def namespaces(self, now: float, after: str | None = None, limit: int | None = None) -> list[str]:
        after = None if after is None else after.partition("\0")[0]
        return [name for (name,) in self._all(None, self._statements.namespaces, (now, after, limit))]

    def snapshot(self, namespace: str, fields: Fields = _ROW) -> list[Any]:
        """All rows in order of insertion, as of one moment."""
        return list(map(_MAKE[fields], self._all(namespace, self._statements.snapshot[fields], (namespace,))))

    def sealers(self) -> set[bytes]:
        found = {bytes(key_id) for (key_id,) in self._all(None, self._statements.sealers, ())}
        self._handle.server.known_sealers |= found
        return found

    def totals(self, namespace: str, now: float) -> list[Total]:
        files: Counter[Any] = Counter()  # by codec and protocol
        sizes: Counter[Any] = Counter()
        for codec, protocol, spill in self._all(namespace, self._statements.spills, (namespace, now)):
            files[codec, protocol] += count_of(spill)
            sizes[codec, protocol] += size_of(spill)
        return [
            Total(
                codec,
                protocol,
                records,
                (size or 0) + sizes[codec, protocol],  # None: columns of the table were altered to take NULL
                files[codec, protocol],
                sizes[codec, protocol],
            )
            for codec, protocol, records, size in self._all(namespace, self._statements.totals, (namespace, now))
        ]

    def usage(self) -> Usage:
        return Usage(int(self._all(None, self._statements.usage, ())[0][0]))

    def _all(self, namespace: str | None, statement: str, values: Sequence[Any]) -> list[Any]:
        """All rows; a transaction has the namespace for itself first."""

        def work(conn: Connection, place: ThreadPlace | None) -> list[Any]:
            if place is not None and namespace is not None:
                place.take_namespace(namespace)
            return conn.execute(statement, values, binary=True).fetchall()

        return self._handle.read(work)


def _page(rows: list[Any], limit: int, fields: Fields, cursor: Callable[[Any], Cursor]) -> Page:
    make = _MAKE[fields]
    width = len(_COLUMNS_OF[fields])
    items = [make(row if len(row) == width else row[:width]) for row in rows]
    return Page(items, cursor(rows[-1]) if rows and len(rows) >= limit else None)


_COLUMNS_OF = {
    _ROW: Row._fields, _SEALED: Sealed._fields, Fields.HEADER: (*Header._fields, "spill"), Fields.MARK: Mark._fields,
    _LISTED: Listed._fields,
}  # fmt: skip


def _bounds(prefix: str, after: str | None, reverse: bool) -> tuple[str, str | None]:
    """The least name of a page, and the name that it ends before, None if there is no bound."""
    upper = _successor(prefix)
    if after is None:
        return prefix, upper
    if reverse:
        below = _next(after) if "\0" in after else after
        return prefix, below if upper is None else min(below, upper)
    return max(prefix, _next(after)), upper


def _next(name: str) -> str:
    """The least text after a name: PostgreSQL's texts have no NUL, though the name may have one."""
    return name.partition("\0")[0] + "\1"


def _successor(prefix: str) -> str | None:
    """The least text that is greater than every text with that prefix; None where there is none."""
    for index in range(len(prefix) - 1, -1, -1):
        point = ord(prefix[index]) + 1
        if point <= 0x10FFFF:
            return prefix[:index] + chr(0xE000 if 0xD800 <= point <= 0xDFFF else point)
    return None
