"""Reading a namespace: whether and how many, many at once, all in order, and metadata."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from store.engines.contract import PAGE_ROWS, Fields, Order
from store.engines.registry import ELSEWHERE, supported
from store.errors import StoreError, label
from store.opened.arguments import check_name, sought_name
from store.opened.decoding import decoded, decoded_own
from store.opened.namespace import Namespace
from store.opened.options import OnUnreadable
from store.rows.row import Header, Row, has_expired
from store.system.clock import wall_clock
from store.system.file_status import unreachable

if TYPE_CHECKING:
    from store.rows.record import Record

PAGE_NAMES = 500
ALL = 2**63 - 1  # a limit that is none
_PAGES = f"take a `dict()` of the store, which reads page by page, or {ELSEWHERE}"


def contains(ns: Namespace, name: object) -> bool:
    """Whether there is a record of that name."""
    if not isinstance(name, str):
        return False
    now = time.time() if ns.clock is wall_clock else ns.clock()  # as in `Namespace.get`
    if type(name) is str and ns.cache.has(name, now):
        return True
    wanted = name if type(name) is str and name.isascii() else sought_name(name)
    if wanted is None:
        return False
    ns.look(now)
    found = ns.engine.get(ns.name, (wanted,), Fields.LISTED).get(wanted)
    if found is None:
        return False
    if found.expires is None or not has_expired(found, now):
        return True
    return ns.find_at(wanted, now) is not None  # it may only look expired


def count(ns: Namespace) -> int:
    """The number of records; from the cache until one is written or expires."""
    now = ns.clock()
    cached = ns.cache.count(now)
    if cached is not None:
        return cached
    state = ns.cache.begin()
    ns.look(now)
    found, until = ns.engine.count(ns.name, now)
    if state is not None:
        ns.cache.file_count(state, found, now, until)
    return found


def shown(ns: Namespace, where: str, number: Callable[[], int]) -> str:
    """A repr that begins with `where`, and ends with the number of records, or why there is none."""
    if ns.closed:
        return f"{where} closed>"
    try:
        return f"{where} {number()} records>"
    except StoreError as exc:  # a repr must not raise: it is used to look for the fault
        return f"{where} unreadable: {type(exc).__name__}>"


def namespaces(ns: Namespace) -> list[str]:
    """The namespaces of the store that have records."""
    now = ns.clock()
    ns.look(now)
    return ns.engine.namespaces(now)


def get_many(ns: Namespace, names: Iterable[str]) -> dict[str, Any]:
    """The values of those names that exist, in the order given, as of one moment."""
    wanted = [name for name in dict.fromkeys(map(sought_name, names)) if name is not None]
    now = ns.clock()
    cached = ns.cache.values(wanted, now)
    if cached is not None:
        return cached
    ns.look(now)
    found = ns.engine.get(ns.name, wanted, Fields.SEALED)
    values = decoded_own(ns, [found[name] for name in wanted if name in found])
    if values is None:
        rows = ns.engine.get(ns.name, wanted)
        values = decoded(ns, (rows[name] for name in wanted if name in rows))
    return dict(values)


# -- in order of insertion


def each_name(ns: Namespace, *, reverse: bool = False) -> Iterator[str]:
    """The names there were when the iteration began, less those deleted since."""
    for item in _in_order(ns, Fields.LISTED, reverse=reverse):
        if item.expires is None or not has_expired(item, ns.clock()):
            yield item.name


def each_header(ns: Namespace, *, reverse: bool = False) -> Iterator[Header]:
    """As `each_name`, with what is known of each record without its value."""
    for header in _in_order(ns, Fields.HEADER, reverse=reverse):
        if header.expires is None or not has_expired(header, ns.clock()):
            yield header


def each_row(ns: Namespace, *, reverse: bool = False) -> Iterator[Row]:
    """As `each_name`, whole rows, of which some may have expired: `decoded` checks them."""
    return _in_order(ns, Fields.ROW, reverse=reverse)


def each_pair(ns: Namespace, *, reverse: bool = False) -> Iterator[tuple[str, Any]]:
    """Names and values, read page by page."""
    return chain.from_iterable(_decoded_pages(ns, reverse=reverse))


def snapshot(ns: Namespace) -> dict[str, Any]:
    """All of it as of one moment; the rows are read before the first one is decoded."""
    return dict(_all_pairs(ns, ns.options.on_unreadable))


def whole(ns: Namespace) -> dict[str, Any]:
    """As `snapshot`, but an unreadable record always raises: skipped records must not make two stores equal."""
    return dict(_all_pairs(ns, "raise"))


def end_row(ns: Namespace, *, last: bool) -> Row | None:
    """The row that was inserted last, or first, and has not expired."""
    after, limit = None, 1
    while True:
        page = ns.engine.scan(ns.name, Order.INSERTED, after=after, limit=limit, reverse=last)
        rows: list[Row] = page.items
        for row in rows:
            if ns.is_alive(row, ns.clock()):
                return row
        if page.next is None:
            return None
        after, limit = page.next, PAGE_ROWS  # those at the end have expired


def rows_of(ns: Namespace) -> Iterable[Row]:
    """All rows as of one moment, in order of insertion; some may have expired. Raises: Unsupported."""
    ns.look(ns.clock())
    rows = supported(ns.engine.snapshot, ns.engine.kind, "all records as of one moment", _PAGES)
    return rows(ns.name, Fields.ROW)


def _all_pairs(ns: Namespace, on_unreadable: OnUnreadable) -> Iterator[tuple[str, Any]]:
    ns.look(ns.clock())
    rows_of = supported(ns.engine.snapshot, ns.engine.kind, "all records as of one moment", _PAGES)
    values = decoded_own(ns, rows_of(ns.name, Fields.SEALED), on_unreadable)
    return decoded(ns, rows_of(ns.name, Fields.ROW), on_unreadable) if values is None else values


def _decoded_pages(ns: Namespace, *, reverse: bool) -> Iterator[Iterator[tuple[str, Any]]]:
    """The names and values of each page. Once a page has rows that are not ours, whole rows are read."""
    on_unreadable = ns.options.on_unreadable
    until, after, is_own = ns.engine.end(ns.name), None, ns.writeback is None
    while True:
        ns.look(ns.clock())
        fields = Fields.SEALED if is_own else Fields.ROW
        page = ns.engine.scan(ns.name, Order.INSERTED, after=after, until=until, reverse=reverse, fields=fields)
        values = (decoded_own if is_own else decoded)(ns, page.items, on_unreadable)
        if values is None:
            is_own = False
            continue
        yield values
        if page.next is None:
            return
        after = page.next


def _in_order(ns: Namespace, fields: Fields, *, reverse: bool) -> Iterator[Any]:
    """What there is in order of insertion, page by page, until where it began."""
    until, after = ns.engine.end(ns.name), None
    while True:
        ns.look(ns.clock())
        page = ns.engine.scan(ns.name, Order.INSERTED, after=after, until=until, reverse=reverse, fields=fields)
        yield from page.items
        if page.next is None:
            return
        after = page.next


# -- metadata


def record(ns: Namespace, name: str) -> Record:
    """The metadata of a record. Raises: KeyError."""
    wanted, now = sought_name(name), ns.clock()
    if wanted is not None:
        ns.look(now)
        header = ns.engine.get(ns.name, (wanted,), Fields.HEADER).get(wanted)
        if header is not None and not has_expired(header, now):
            return record_of(header)
        ns.find_at(wanted, now)  # raises where it may only look expired
    raise KeyError(name)


def record_written(ns: Namespace, name: str) -> Record:
    """The metadata of a record that this transaction wrote, even if a tiny ttl is over already."""
    return record_of(ns.engine.get(ns.name, (name,), Fields.HEADER)[name])


def get_with_record(ns: Namespace, name: str) -> tuple[Any, Record]:
    """See `Store.get_with_record`."""
    row = ns.find(name)
    while row is not None:
        value = ns.value_of(row)
        if row.spill is None:
            return value, record_of(row.header())
        again = ns.find(name)  # the value is of a later state where the files of this one were gone
        if again is not None and again.stamp == row.stamp:
            return value, record_of(row.header())
        row = again
    raise KeyError(name)


def records(
    ns: Namespace, prefix: str = "", after: str | None = None, limit: int | None = None, reverse: bool = False
) -> Iterator[Record]:
    """See `Store.records`."""
    check_limit(limit)  # now, and not at the first step
    prefix, after = check_name(prefix, "prefix"), None if after is None else check_name(after)
    return _records(ns, prefix, after, limit, reverse)


def _records(ns: Namespace, prefix: str, after: str | None, limit: int | None, reverse: bool) -> Iterator[Record]:
    left = -1 if limit is None else limit
    while left and (page := names(ns, prefix, after, PAGE_NAMES if left < 0 else min(left, PAGE_NAMES), reverse)):
        headers, now = ns.engine.get(ns.name, page, Fields.HEADER), ns.clock()
        found = [headers[name] for name in page if name in headers and not has_expired(headers[name], now)]
        yield from map(record_of, found)
        after, left = page[-1], left - len(found)


def names(
    ns: Namespace, prefix: str = "", after: str | None = None, limit: int | None = None, reverse: bool = False
) -> list[str]:
    """See `Store.names`."""
    check_limit(limit)
    after = None if after is None else check_name(after)
    found: list[str] = []
    prefix, now = check_name(prefix, "prefix"), ns.clock()
    ns.look(now)
    while limit is None or len(found) < limit:
        most = ALL if limit is None else limit - len(found)
        page = ns.engine.scan(
            ns.name, Order.NAME, after=after, prefix=prefix, limit=most, reverse=reverse, fields=Fields.LISTED
        )
        found += [item.name for item in page.items if not has_expired(item, now)]
        if page.next is None:
            break
        after = page.next
    return found


def check_limit(limit: int | None) -> None:
    """Raises: TypeError, ValueError."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
        raise TypeError(f"limit is a number of names, or None for all, not {limit!r}")
    if limit is not None and not 0 <= limit < 2**63:
        raise ValueError(f"limit is a number of names from 0 up, or None for all, not {limit!r}")


def record_of(header: Header) -> Record:
    """The public view of a header; a program that reads values alone does not load the class."""
    try:
        from store.rows.record import Record
    except OSError as exc:  # no descriptor was left to load it by
        raise unreachable(label(header.name, header.namespace), exc) from exc

    return Record.from_header(header)
