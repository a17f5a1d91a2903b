"""The reads of the SQLite engine; a damaged file raises an error instead of returning wrong rows.

An index of a damaged file can lead to any row, and no seal is checked when names are listed or counted, so each
result is compared with the question.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from operator import gt, lt
from typing import Any

from store.engines.contract import PAGE_ROWS, Cursor, Fields, Listed, Order, Page, Usage, cursor_of, of_row
from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.fetching import NotText, all_by_id, bad_index, fetch_one, header_of, page_of
from store.engines.sqlite.engine.wal_readers import pinned
from store.engines.sqlite.handle import Handle
from store.engines.sqlite.statements import FIND_ONE
from store.errors import Corrupt
from store.rows.row import Mark, Row, Sealed, Total
from store.rows.spilled import count_of, size_of

NAMESPACES_AT_ONCE = 200  # that a page of all expiries looks into: there may be one for each record

_ROW, _SEALED, _LISTED = Fields.ROW, Fields.SEALED, Fields.LISTED
# Not `_make`, which checks the length of each row: that costs a call, and the statement tells the columns.
_make_row: Callable[[Sequence[Any]], Row] = partial(tuple.__new__, Row)
_make_sealed: Callable[[Sequence[Any]], Sealed] = partial(tuple.__new__, Sealed)
_make_listed: Callable[[Sequence[Any]], Listed] = partial(tuple.__new__, Listed)
_MAKE: dict[Fields, Callable[[Any], Any]] = {
    _ROW: _make_row,
    _SEALED: _make_sealed,
    Fields.HEADER: header_of,
    Fields.MARK: Mark._make,
    _LISTED: _make_listed,
}


class Reading:
    """The reading half of the contract `Engine`."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._counters = handle.engine.counters

    def get(self, namespace: str, names: Sequence[str], fields: Fields = _ROW) -> dict[str, Any]:
        if len(names) != 1:
            return self._get_many(namespace, names, fields)
        self._counters.reads += 1
        handle, name = self._handle, names[0]
        values = handle.engine.read(FIND_ONE[fields], (namespace, name), fetch_one, 0.0, handle.timeout)
        if values is None:
            self._check_nowhere(namespace, name)
            return {}
        if fields is _SEALED:  # if the index leads to another record, the seal does not fit the name
            return {name: _make_sealed((None, namespace, name, *values))}
        if fields is _LISTED and values[0] == name:
            return {name: _make_listed((*values, 0))}
        if values[_NAME_AT[fields]] == name and (fields not in _NAMESPACED or values[1] == namespace):
            return {name: _MAKE[fields](values)}
        raise self._bad_index()  # a damaged or planted index can lead to any row

    def _get_many(self, namespace: str, names: Sequence[str], fields: Fields) -> dict[str, Any]:
        self._counters.reads += len(names)
        rows = self._handle.of_names(sql.FIND_ALL[fields], namespace, names)
        found = {item.name: item for item in map(_MAKE[fields], rows)}
        if not found.keys() <= set(names):
            raise self._bad_index()
        for name in names:
            if name not in found:
                self._check_nowhere(namespace, name)
        if fields in _NAMESPACED and any(item.namespace != namespace for item in found.values()):
            raise self._bad_index()
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
        if order is Order.NAME:
            return self._by_name(namespace or "", after, prefix, limit, reverse, fields)
        if order is Order.EXPIRY:
            bound = math.inf if until is None else until
            if namespace is None:
                page = self._expiries(after, bound, limit)
            else:
                place = (-math.inf, -sql.LARGEST_ID) if after is None else after
                page = self._page(sql.EXPIRED, (namespace, bound, *place), namespace, order, limit, _ROW)
                self._in_order([place, *(cursor_of(row, order) for row in page.items)])
            return page if fields is _ROW else page._replace(items=[of_row(row, fields) for row in page.items])
        low, high = after or 0, sql.LARGEST_ID if until is None else until
        if reverse:
            low, high = 0, high if after is None else min(high, after - 1)
        if namespace is None:
            page = self._page(sql.EVERY_PAGE, (low, high), None, order, limit, _ROW)
            ids = [row.id for row in page.items]
            page = page if fields is _ROW else page._replace(items=[of_row(row, fields) for row in page.items])
        else:
            page = self._page(sql.PAGES[fields, reverse], (namespace, low, high), namespace, order, limit, fields)
            ids = [item.id for item in page.items]
        if ids and not (low < ids[0] <= high and low < ids[-1] <= high):
            raise self._bad_index()  # otherwise paging would never end
        self._in_order(ids, reverse)
        return page

    def end(self, namespace: str | None) -> Cursor:
        one = self._handle.one
        return (one(sql.LAST_ID_OF_ALL, ()) if namespace is None else one(sql.LAST_ID, (namespace,)))[0] or 0

    def count(self, namespace: str, now: float) -> tuple[int, float]:
        count, until = self._handle.one(sql.COUNT_UNTIL, (namespace, namespace, now, namespace, now))
        if count < 0:  # more have expired than there are
            raise self._bad_index()
        return count, math.inf if until is None else until

    def namespaces(self, now: float, after: str | None = None, limit: int | None = None) -> list[str]:
        most = -1 if limit is None else limit
        if after is None:
            found = self._handle.all(sql.NAMESPACES, (now, most))
        else:
            found = self._handle.all(sql.NAMESPACES_AFTER, (after, now, most))
        # Names that are not valid text are left out: such a namespace cannot be opened.
        named = [self._text(namespace) for (namespace,) in found if type(namespace) is not NotText]
        if len(named) == len(found) or limit is None:
            return named
        named = self.namespaces(now)  # there are others in place of those
        return [namespace for namespace in named if after is None or namespace > after][:limit]

    def snapshot(self, namespace: str, fields: Fields = _ROW) -> list[Any]:
        """All rows in order of insertion, as of one moment."""
        handle = self._handle
        values = namespace, 0, sql.LARGEST_ID
        fetch = all_by_id(handle.location, 0)
        rows = handle.engine.read(sql.SNAPSHOT[fields], values, fetch, 0.0, handle.timeout)
        self._counters.reads += len(rows)
        return self._items(rows, namespace, fields)

    def sealers(self) -> set[bytes]:
        found = {key_id for (key_id,) in self._handle.all(sql.SEALERS, (sql.MOST_SEALERS,))}
        self._handle.engine.known_sealers |= found
        return found

    def totals(self, namespace: str, now: float) -> list[Total]:
        files: Counter[Any] = Counter()  # by codec and protocol
        sizes: Counter[Any] = Counter()
        totals = []
        statements = [(statement, (namespace, now)) for statement in (sql.TOTALS_SPILLED, sql.TOTALS)]
        for named, protocol, *figures in self._handle.engine.read_together(statements, 0.0, self._handle.timeout):
            codec = named.decode("utf-8", "backslashreplace") if type(named) is NotText else named
            if len(figures) == 1:
                files[codec, protocol] += count_of(figures[0])
                sizes[codec, protocol] += size_of(figures[0])
                continue
            if tuple(map(type, (codec, protocol, *figures))) != (str, int, int, int):
                raise self._damaged((codec, protocol, *figures), "codec, protocol and size of records")
            records, size = figures
            beside = sizes[codec, protocol]
            totals.append(Total(codec, protocol, records, size + beside, files[codec, protocol], beside))
        return totals

    def usage(self) -> Usage:
        engine = self._handle.engine
        error = engine.checkpoints.error
        pinned_bytes, process = pinned(engine.path) if engine.coherence.index() is not None else (0, None)
        return Usage(
            engine.file_bytes(),
            engine.checkpoints.log_bytes(),
            pinned_bytes,
            process,
            None if error is None else str(error),
            free_bytes=self._handle.one(sql.FREE_BYTES, ())[0],
        )

    # -- pages

    def _page(
        self, statement: str, values: tuple[Any, ...], namespace: str | None, order: Order, limit: int, fields: Fields
    ) -> Page:
        """The page that a statement returns; its last parameter is the limit."""
        rows, is_last = self._rows(statement, values, limit, fields)
        items = list(map(_make_row, rows)) if namespace is None else self._items(rows, namespace, fields)
        return Page(items, None if is_last or not rows else _cursor(rows[-1], order, fields))

    def _by_name(
        self, namespace: str, after: str | bytes | None, prefix: str, limit: int, reverse: bool, fields: Fields
    ) -> Page:
        lower, upper = (sql.bytes_bounds if isinstance(after, bytes) else sql.bounds)(prefix, after, reverse)  # type: ignore[arg-type]
        ends = (lower,) if upper is None else (lower, upper)
        statement = sql.NAME_PAGES[fields, upper is not None, reverse]
        rows, is_last = self._rows(statement, (namespace, *ends), limit, fields)
        column = _NAME_AT[fields]
        places = [sql.as_bytes(row[column]) for row in rows if isinstance(row[column], str | bytes)]
        self._in_order(places if after is None else [sql.as_bytes(after), *places], reverse)
        items = self._items(rows, namespace, fields)
        return Page(items, None if is_last or not rows else rows[-1][column])

    def _rows(self, statement: str, values: tuple[Any, ...], limit: int, fields: Fields) -> tuple[list[Any], bool]:
        """The fetched rows, and whether they are the last ones."""
        handle = self._handle
        values = *values, min(limit, sql.LARGEST_ID)
        if fields in _WITH_BODY:
            found = handle.engine.read(statement, values, page_of(limit), 0.0, handle.timeout)
            self._counters.reads += len(found[0])
            return found
        rows = handle.all(statement, values)
        return rows, len(rows) < limit

    def _items(self, rows: list[Any], namespace: str | None, fields: Fields) -> list[Any]:
        """The items whose name is valid text, as no other can be looked up; all of sealed rows, whose seals tell."""
        column = _NAME_AT[fields]
        if fields not in _WITH_BODY and [1 for row in rows if type(row[column]) is not str]:
            if fields is _LISTED and [1 for row in rows if row[0] is None]:
                raise self._bad_index()
            rows = [row for row in rows if type(row[column]) is not NotText]
            for row in rows:
                self._text(row[column])
        if fields in _NAMESPACED and [1 for row in rows if row[1] != namespace]:
            raise self._bad_index()
        return list(map(_MAKE[fields], rows))

    def _expiries(self, after: tuple[str, Any] | None, until: float, limit: int) -> Page:
        """A page over all namespaces in turn; `after`: a namespace and its last cursor, None if it is finished."""
        items: list[Row] = []
        namespace: str | bytes | None = None
        if after is not None:
            namespace, place = after
            if place is not None:
                page = self.scan(self._text(namespace), Order.EXPIRY, after=place, until=until, limit=limit)
                items = page.items
                if page.next is not None:
                    return Page(items, (namespace, page.next))
        statement, first = (sql.FIRST_EXPIRING, ()) if namespace is None else (sql.NEXT_EXPIRING, (namespace,))
        rows = self._handle.all(statement, (*first, NAMESPACES_AT_ONCE, until))
        passed = [] if namespace is None else [sql.as_bytes(namespace)]
        self._in_order([*passed, *(sql.as_bytes(name) for name, _ in rows)])
        for name, has_expired in rows:
            if has_expired and type(name) is not NotText:  # else such a namespace cannot be opened
                if len(items) >= limit:
                    return Page(items, (namespace, None))
                page = self.scan(self._text(name), Order.EXPIRY, until=until, limit=limit - len(items))
                items = items + page.items
                if page.next is not None:
                    return Page(items, (name, page.next))
            namespace = name
        return Page(items, (namespace, None) if len(rows) == NAMESPACES_AT_ONCE else None)

    # -- checking that rows are those that were requested

    def _text(self, found: Any) -> str:
        """The value of a text column; it may be of any type if the schema was edited by hand."""
        if isinstance(found, str):
            return found
        raise self._damaged(found, "a name")

    def _damaged(self, found: Any, what: str) -> Corrupt:
        where = self._handle.location
        return Corrupt(f"{where} is damaged: {found!r:.80} stands where {what} should; restore a backup")

    def _in_order(self, places: list[Any], reverse: bool = False) -> None:
        """Check that no record comes twice or out of order, as in a damaged index."""
        if not all(map(gt if reverse else lt, places, places[1:])):
            raise self._bad_index()

    def _check_nowhere(self, namespace: str, name: str) -> None:
        """Check that a name that was not found does not exist. Searches the table only if the index is damaged."""
        if 0 in self._handle.one(sql.NEIGHBOURS, (namespace, name, namespace, name)) and self._handle.one(
            sql.IS_IN_TABLE, (namespace, name)
        ):
            raise self._bad_index()

    def _bad_index(self) -> Corrupt:
        return bad_index(self._handle.location)


_WITH_BODY = (_ROW, _SEALED)  # and with the seal
_NAMESPACED = (*_WITH_BODY, Fields.HEADER)  # have the namespace as their second column
_NAME_AT = {_ROW: 2, _SEALED: 2, Fields.HEADER: 2, Fields.MARK: 0, _LISTED: 0}
_ID_AT = {_ROW: 0, _SEALED: 0, Fields.HEADER: 0, Fields.MARK: 1, _LISTED: 2}


def _cursor(values: Sequence[Any], order: Order, fields: Fields) -> Cursor:
    """The cursor after the row that was read last, even if that is not an item of the page."""
    id_ = values[_ID_AT[fields]]
    return id_ if order is Order.INSERTED else (values[-1], id_)  # by EXPIRY there are whole rows alone
