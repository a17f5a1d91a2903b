"""Reading a namespace: whether and how many, many at once, all in order, and metadata."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from store.errors import label
from store.opened.arguments import check_name, sought_name
from store.opened.namespace import Namespace
from store.rows.row import Header, Row
from store.system.file_status import unreachable

if TYPE_CHECKING:
    from store.rows.record import Record

PAGE_NAMES = 500


def contains(ns: Namespace, name: object) -> bool:
    """Whether there is a record of that name."""
    if not isinstance(name, str):
        return False
    now = ns.clock()
    if type(name) is str and ns.cache.has(name, now):
        return True
    wanted = sought_name(name)
    if wanted is None:
        return False
    exists = ns.engine.exists(ns.name, wanted, now)
    return ns.find_at(wanted, now) is not None if exists is None else exists


def count(ns: Namespace) -> int:
    """The number of records; from the cache until one is written or expires."""
    now = ns.clock()
    cached = ns.cache.count(now)
    if cached is not None:
        return cached
    state = ns.cache.begin()
    if state is None:
        return ns.engine.count(ns.name, now)
    found, until = ns.engine.count_until(ns.name, now)
    ns.cache.file_count(state, found, now, until)
    return found


def get_many(ns: Namespace, names: Iterable[str]) -> dict[str, Any]:
    """The values of those names that exist, in the order given, as of one moment."""
    wanted = [name for name in dict.fromkeys(map(sought_name, names)) if name is not None]
    cached = ns.cache.values(wanted, ns.clock())
    if cached is not None:
        return cached
    rows = {row.name: row for row in ns.engine.find_many(ns.name, wanted, ns.clock())}
    return dict(ns.decoded(rows[name] for name in wanted if name in rows))


# -- in order of insertion


def each_name(ns: Namespace, *, reverse: bool = False) -> Iterator[str]:
    """The names there were when the iteration began, less those deleted since."""
    after, until = 0, ns.engine.last_id(ns.name)
    while page := ns.engine.name_page(ns.name, after, until, ns.clock(), reverse=reverse):
        for _, name in page:
            if type(name) is str:  # else it is not valid text, and no record can be asked for by such a name
                yield name
        after, until = _rest(after, until, page[-1][0], reverse)


def each_pair(ns: Namespace, *, reverse: bool = False) -> Iterator[tuple[str, Any]]:
    """Names and values, read page by page."""
    return ns.decoded(_rows(ns, reverse), ns.options.on_unreadable)


def snapshot(ns: Namespace) -> dict[str, Any]:
    """All of it as of one moment; the rows are read before the first one is decoded."""
    return dict(ns.decoded(ns.engine.all_rows(ns.name, ns.clock()), ns.options.on_unreadable))


def whole(ns: Namespace) -> dict[str, Any]:
    """As `snapshot`, but an unreadable record always raises: skipped records must not make two stores equal."""
    return dict(ns.decoded(ns.engine.all_rows(ns.name, ns.clock())))


def _rows(ns: Namespace, reverse: bool) -> Iterator[Row]:
    after, until = 0, ns.engine.last_id(ns.name)
    while page := ns.engine.page(ns.name, after, until, ns.clock(), reverse=reverse):
        yield from page
        after, until = _rest(after, until, page[-1].id or 0, reverse)


def _rest(after: int, until: int, last: int, reverse: bool) -> tuple[int, int]:
    """The range of row ids that a page which ended at `last` leaves."""
    return (after, last - 1) if reverse else (last, until)


# -- metadata


def record(ns: Namespace, name: str) -> Record:
    """The metadata of a record. Raises: KeyError."""
    wanted = sought_name(name)
    header = None if wanted is None else ns.engine.header(ns.name, wanted, ns.clock())
    if header is None:
        ns.find(name)  # raises where it cannot be looked up, or may not have expired
        raise KeyError(name)
    return record_of(header)


def record_written(ns: Namespace, name: str) -> Record:
    """The metadata of a record that this transaction wrote, even if a tiny ttl is over already."""
    header = ns.engine.header(ns.name, name, -math.inf)
    assert header is not None
    return record_of(header)


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
        headers = ns.engine.headers(ns.name, page, ns.clock())
        yield from map(record_of, reversed(headers) if reverse else headers)
        after, left = page[-1], left - len(headers)


def names(
    ns: Namespace, prefix: str = "", after: str | None = None, limit: int | None = None, reverse: bool = False
) -> list[str]:
    """See `Store.names`."""
    check_limit(limit)
    after = None if after is None else check_name(after)
    most = -1 if limit is None else limit
    return ns.engine.names(ns.name, check_name(prefix, "prefix"), after, most, ns.clock(), reverse=reverse)


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
