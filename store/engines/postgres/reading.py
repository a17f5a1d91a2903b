"""The reads of the PostgreSQL engine. They take no lock, except inside a transaction."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from store.engines.bodies import LEAST_BYTES
from store.engines.contract import PAGE_ROWS, Cursor, Fields, Listed, Order, Page, Usage, successor
from store.engines.postgres.connection import Connection
from store.engines.postgres.handle import Handle
from store.engines.postgres.place import ThreadPlace
from store.engines.postgres.statements import PAGE_BYTES
from store.rows.row import Header, Mark, Row, Sealed, Total
from store.rows.spilled import count_of, size_of

LARGEST_ID = 2**63 - 1
_ROW, _SEALED, _LISTED = Fields.ROW, Fields.SEALED, Fields.LISTED


def _header(values: Sequence[Any]) -> Header:
    *columns, spill = values
    header = Header(*columns)
    if spill is None:
        return header
    in_files = size_of(spill)
    return header._replace(size=header.size + in_files, file_bytes=in_files)


_MAKE: dict[Fields, Callable[[Any], Any]] = {
    _ROW: partial(tuple.__new__, Row),
    _SEALED: partial(tuple.__new__, Sealed),
    Fields.HEADER: _header,
    Fields.MARK: Mark._make,
    _LISTED: partial(tuple.__new__, Listed),
}


def made(fields: Fields, row: Sequence[Any]) -> Any:
    """What a scan gives for a row of those columns."""
    return _MAKE[fields](row)


_ID_AT = {_ROW: 0, _SEALED: 0, Fields.HEADER: 0, Fields.MARK: 1, _LISTED: 2}
_NAME_AT = {_ROW: 2, _SEALED: 2, Fields.HEADER: 2, Fields.MARK: 0, _LISTED: 0}
_EXPIRES_AT = {_ROW: 14, _SEALED: 5, Fields.HEADER: 11, Fields.MARK: 4, _LISTED: 1}
_WITH_BODY = (_ROW, _SEALED)  # in the same column
_BODY_AT, _SEAL_AT = Sealed._fields.index("body"), Sealed._fields.index("seal")


class Reading:
    """The reading half of the contract `Engine`."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._statements = handle.sessions.statements
        self._bodies = handle.bodies
        self._find_one = self._statements.find[_SEALED]

    def get(self, namespace: str, names: Sequence[str], fields: Fields = _ROW) -> dict[str, Any]:
        names = [name for name in names if "\0" not in name]  # PostgreSQL's texts have none
        if not names:
            self._handle.check_open()
            return {}
        if fields is _SEALED and len(names) == 1 and self._bodies.limit:
            return self._get_if_changed(namespace, names[0])
        rows = self._handle.read(lambda conn, place: self._find(conn, place, namespace, names, fields))
        column = _NAME_AT[fields]
        return {row[column]: _MAKE[fields](row) for row in rows}

    def _get_if_changed(self, namespace: str, name: str) -> dict[str, Any]:
        """A single row, without sending a body that was read before and has not changed."""
        bodies = self._bodies
        kept, find = bodies.get(namespace, name), self._find_one

        def work(conn: Connection, place: ThreadPlace | None) -> list[Any]:
            if place is not None:
                return self._find(conn, place, namespace, (name,), _SEALED)
            if kept is not None:
                return conn.rows(self._statements.find_changed, (namespace, name, kept.seal))
            rows = conn.rows(find, (namespace, name))
            if rows and len(rows[0][_BODY_AT] or b"") >= LEAST_BYTES:
                conn.forget_answer()
            return rows

        try:
            rows = self._handle.read(work)
        except BaseException:
            bodies.forget(namespace, name)
            raise
        if not rows:
            bodies.forget(namespace, name)
            return {}
        row = rows[0]
        body = row[_BODY_AT]
        if body is None and kept is not None:
            row = (*row[:_BODY_AT], kept.body, *row[_BODY_AT + 1 :])
        elif body is not None and (len(body) >= LEAST_BYTES or kept is not None):
            bodies.keep(namespace, name, row[_SEAL_AT], body)
        return {row[2]: tuple.__new__(Sealed, row)}

    def _find(
        self, conn: Connection, place: ThreadPlace | None, namespace: str, names: Sequence[str], fields: Fields
    ) -> list[Any]:
        statements = self._statements
        if place is not None:
            place.take_namespace(namespace)
            if place.locks_rows():
                return self._find_locked(conn, place, namespace, names, fields)
        is_one = len(names) == 1
        found = (statements.find if is_one else statements.find_all)[fields]
        return conn.rows(found, (namespace, names[0] if is_one else list(names)))

    def _find_locked(
        self, conn: Connection, place: ThreadPlace, namespace: str, names: Sequence[str], fields: Fields
    ) -> list[Any]:
        """The rows, locked. One that is replaced while this waits for it is not found: the next snapshot has it."""
        statements, column = self._statements, _NAME_AT[fields]
        found: list[Any] = []
        wanted = list(names)
        while wanted:
            for *row, id_, revision in conn.execute(
                statements.find_locked[fields], (namespace, wanted), binary=True
            ).fetchall():
                key = namespace, row[column]
                if place.seen.was_absent(key):
                    raise place.overtaken_by_write_of(key)
                found.append(row)
                place.seen.found(key, (id_, revision))
            there = {row[column] for row in found}
            missing = [name for name in wanted if name not in there]
            if not missing:
                break
            rows = conn.execute(statements.find_all[_LISTED], (namespace, missing), binary=True).fetchall()
            wanted = [row[0] for row in rows]
            place.seen.missed((namespace, name) for name in missing if name not in wanted)
        return found

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
            lower, upper = bounds(prefix, after, reverse)
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
        ((data, log),) = self._all(None, self._statements.usage, ())
        oldest = self._all(None, self._handle.server.change_statements.horizon, ())
        session, age = oldest[0] if oldest else (None, None)
        return Usage(data, log, None, log_pinned_by=session, log_pinned_seconds=age or 0.0)

    def _all(self, namespace: str | None, statement: str, values: Sequence[Any]) -> list[Any]:
        """All rows; a transaction has the namespace for itself first."""

        def work(conn: Connection, place: ThreadPlace | None) -> list[Any]:
            if place is not None and namespace is not None:
                place.take_namespace(namespace)
            return conn.rows(statement, values)

        return self._handle.read(work)


def _page(rows: list[Any], limit: int, fields: Fields, cursor: Callable[[Any], Cursor]) -> Page:
    make = _MAKE[fields]
    width = len(_COLUMNS_OF[fields])
    is_wide = bool(rows) and len(rows[0]) != width  # with columns for the cursor
    items = [make(row[:width]) for row in rows] if is_wide else list(map(make, rows))
    has_more = bool(rows) and (len(rows) >= limit or (fields in _WITH_BODY and _bytes(rows) >= PAGE_BYTES))
    return Page(items, cursor(rows[-1]) if has_more else None)


def _bytes(rows: list[Any]) -> int:
    return sum([len(row[_BODY_AT] or b"") for row in rows])


_COLUMNS_OF = {
    _ROW: Row._fields, _SEALED: Sealed._fields, Fields.HEADER: (*Header._fields, "spill"), Fields.MARK: Mark._fields,
    _LISTED: Listed._fields,
}  # fmt: skip


def bounds(prefix: str, after: str | None, reverse: bool) -> tuple[str, str | None]:
    """The least name of a page, and the name that it ends before, None if there is no bound."""
    upper = successor(prefix)
    if after is None:
        return prefix, upper
    if reverse:
        below = _next(after) if "\0" in after else after
        return prefix, below if upper is None else min(below, upper)
    return max(prefix, _next(after)), upper


def _next(name: str) -> str:
    """The least text after a name: PostgreSQL's texts have no NUL, though the name may have one."""
    return name.partition("\0")[0] + "\1"
