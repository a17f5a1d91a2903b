"""Which records a listing has: one page of them, sorted, within bounds of records and time.

By name the index gives a page at once. No engine has an index of sizes and ages: for these the metadata of all
records with the prefix are read, within `Bounds`, and a page of them is kept.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from store.engines.contract import Fields, Order
from store.errors import RecordError, StorageError
from store.opened.namespace import Namespace
from store.rows.row import Header, has_expired
from store.system.clock import steady_clock
from store.web.pages.query import BadQuery, Wanted

_AT_ONCE = 1000

Key = tuple[float, str]


class Bounds(NamedTuple):
    """How much a page shows, and how much is read for it."""

    shown: int = 50
    read: int = 200_000
    """Records whose metadata is read."""
    seconds: float = 2.0


BOUNDS = Bounds()


@dataclass(slots=True)
class Selected:
    """One page of a listing."""

    headers: list[Header] = field(default_factory=list)
    after: str | None = None
    """The `after` of the next page; None: this one is the last."""
    scanned: int = 0
    """How many records were read for it."""
    complete: bool = True
    """Whether all records were read that could belong on this page."""
    problem: str | None = None
    """Why the records could not be read further, if so."""


def select(ns: Namespace, wanted: Wanted, bounds: Bounds = BOUNDS) -> Selected:
    """The page that is asked for. Damage of the store ends it, and is its `problem`.

    Raises: BadQuery. StorageError: the store is not in its place any more.
    """
    ns.look(ns.clock())
    scan = _Scan(ns, wanted, bounds)
    return (_by_name if wanted.sort == "name" else _sorted)(scan, wanted, bounds.shown)


class _Scan:
    """The headers of a namespace in the order of names, with its bounds; iterating ends at the first one reached."""

    def __init__(self, ns: Namespace, wanted: Wanted, bounds: Bounds) -> None:
        self.found = Selected()
        self.last: str | None = None  # the name that was read last
        self._ns = ns
        self._wanted = wanted
        self._most = bounds.read
        self._end = steady_clock() + bounds.seconds

    def headers(self, after: str | None, at_once: int, *, reverse: bool) -> Iterator[Header]:
        """Those that have not expired, page by page."""
        cursor, scan, now = after, self._ns.engine.scan, self._ns.clock()
        name, prefix = self._ns.name, self._wanted.prefix
        try:
            while True:
                page = scan(
                    name,
                    Order.NAME,
                    after=cursor,
                    prefix=prefix,
                    limit=at_once,
                    reverse=reverse,
                    fields=Fields.HEADER,
                )
                for header in page.items:
                    self.found.scanned += 1
                    self.last = header.name
                    if not has_expired(header, now):
                        yield header
                cursor = page.next
                if cursor is None:
                    return
                if self.found.scanned >= self._most or steady_clock() > self._end:
                    self.found.complete = False
                    return
        except (RecordError, StorageError) as exc:
            self.found.problem, self.found.complete = str(exc), False


def _by_name(scan: _Scan, wanted: Wanted, limit: int) -> Selected:
    found = scan.found
    for header in scan.headers(wanted.after, limit + 1, reverse=wanted.reverse):
        if len(found.headers) == limit:
            found.after, found.complete = found.headers[-1].name, True
            return found
        found.headers.append(header)
    if not found.complete and found.problem is None:
        found.after = scan.last  # nearly all had expired; the next page goes on there
    return found


def _sorted(scan: _Scan, wanted: Wanted, limit: int) -> Selected:
    value = _VALUES[wanted.sort]
    behind = None if wanted.after is None else _key_in(wanted.after)

    def key(header: Header) -> Key:
        return _number(value(header)), header.name

    def is_left(header: Header) -> bool:
        return behind is None or (key(header) < behind if wanted.reverse else key(header) > behind)

    best = heapq.nlargest if wanted.reverse else heapq.nsmallest
    found = scan.found
    found.headers = best(limit + 1, filter(is_left, scan.headers(None, _AT_ONCE, reverse=False)), key=key)
    if len(found.headers) > limit:
        del found.headers[limit:]
        number, name = key(found.headers[-1])
        found.after = f"{number!r} {name}"
    return found


_VALUES: dict[str, Callable[[Header], object]] = {
    "size": lambda header: header.size,
    "modified": lambda header: header.modified,
    "expires": lambda header: header.expires,
}


def _number(value: object) -> float:
    """The value to sort by: no expiry, or damage of a crafted file, counts as infinity."""
    if not isinstance(value, int | float) or value != value:
        return math.inf
    return float(max(-(2**63), min(value, 2**63)))


def _key_in(after: str) -> Key:
    """The key in the `after` of a sorted listing. Raises: BadQuery."""
    number, separator, name = after.partition(" ")
    try:
        value = float(number)
    except ValueError:
        separator = ""
    if not separator or value != value:
        raise BadQuery(f"the next page begins after a number and a name, and not after {after[:80]!r}")
    return value, name
