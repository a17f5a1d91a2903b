"""A store in a notebook: where it is, how many records it has, and the metadata of some. No value is decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter

from store.display.html import Child
from store.display.notebook import ROWS, card, quoted, rows_of, short
from store.display.units import moment_text, size_text
from store.engines.contract import Fields, Order
from store.errors import StoreError
from store.opened import reading
from store.opened.namespace import Namespace
from store.rows.row import Header, has_expired

_HEADINGS = ("name", "type", "codec", "size", "modified", "expires")


def store_html(kind: str, spaces: Sequence[Namespace], namespace: str, *facts: tuple[str, Child]) -> str:
    """The table of a store, whose records are those of all `spaces`. It says what is wrong instead of raising it."""
    ns = spaces[0]
    where = [("location", short(ns.location, 200)), ("namespace", quoted(namespace)), *facts]
    if ns.closed:
        return card(kind, [*where, ("state", "closed")])
    try:
        number = sum(map(reading.count, spaces))
        found = sorted((pair for space in spaces for pair in _first(space)), key=itemgetter(0))[:ROWS]
    except StoreError as exc:
        return card(kind, [*where, ("problem", f"{type(exc).__name__}: {short(exc, 500)}")])
    total = f"{len(found)} of {number:,} records, by name" if len(found) < number else "all records, by name"
    records = rows_of(_HEADINGS, [_cells(name, header) for name, header in found], total)
    return card(kind, [*where, ("records", f"{number:,}")], records)


def _first(ns: Namespace) -> Iterator[tuple[str, Header]]:
    """The first records of a page in the order of names. Others may be expired: one page bounds the time."""
    now = ns.clock()
    ns.look(now)
    page = ns.engine.scan(ns.name, Order.NAME, fields=Fields.LISTED)
    names = [item.name for item in page.items if not has_expired(item, now)][:ROWS]
    headers = ns.engine.get(ns.name, names, Fields.HEADER)
    return ((name, headers[name]) for name in names if name in headers)


def _cells(name: str, header: Header) -> Sequence[str]:
    try:
        record = reading.record_of(header)
    except StoreError as exc:  # of one record, which must not hide the others
        return quoted(name), f"{type(exc).__name__}: {short(exc, 200)}", "", "", "", ""
    return (
        quoted(name), short(record.type or "–"), short(record.codec), size_text(record.size),
        moment_text(record.modified), moment_text(record.expires),
    )  # fmt: skip
