"""`survey`: counts, sizes and lifetimes of the records of a store, within bounds of records and time."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from store.engines.contract import Fields, Order
from store.errors import Corrupt
from store.opened.namespace import Namespace
from store.rows.record import Record
from store.rows.row import Header, has_expired
from store.system.clock import steady_clock

PAGE_HEADERS = 500
MOST_NAMESPACES = 2000  # each costs a question to the engine, and a server answers about as many in two seconds
_SPANS = (60, 3600, 86400, 7 * 86400, 30 * 86400)  # seconds; each is the end of one span of `_ALIVE`
_ALIVE = ("within a minute", "within an hour", "within a day", "within a week", "within a month", "later")
EXPIRIES = ("expired", *_ALIVE, "never")
"""The labels of `Survey.expiries`, in their order."""


@dataclass(slots=True)
class Share:
    """The records of a part of the store, and their size in bytes."""

    records: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Count one record of that size."""
        self.records += 1
        self.bytes += size


@dataclass(slots=True)
class Survey:
    """Counts and sizes of the records that were read; sizes are in bytes.

    Records that have expired and are not deleted yet count in `expiries` alone, and `damaged` ones nowhere else.
    """

    records: int = 0
    bytes: int = 0
    namespaces: dict[str, Share] = field(default_factory=dict)
    codecs: dict[str, Share] = field(default_factory=dict)
    expiries: list[tuple[str, int]] = field(default_factory=list)
    """How many records expire when: a number for each label of `EXPIRIES`, in its order."""
    largest: list[Record] = field(default_factory=list)
    newest: list[Record] = field(default_factory=list)
    """The records that were written last, the latest first."""
    soonest: list[Record] = field(default_factory=list)
    """The records that expire next, the earliest first."""
    damaged: int = 0
    """Records whose metadata is damaged, and namespaces that cannot be read further; `verify` tells more."""
    complete: bool = True
    """Whether all records were read. If not, those that were inserted last in each namespace were."""
    left_out: bool = False
    """Whether there are more than `MOST_NAMESPACES`, of which only the first ones by name were read."""


def survey(
    ns: Namespace, *, namespace: str | None = None, most: int = 100_000, seconds: float = 2.0, listed: int = 10
) -> Survey:
    """Counts and sizes of all namespaces, or of one. No value is read, and no seal is checked.

    It ends after `most` records or that many `seconds`, whichever comes first, and has read the namespaces in equal
    parts by then: the first `MOST_NAMESPACES` of them. The lists have up to `listed` records.

    Raises: StorageError, StoreClosed.
    """
    ns.check_open()
    now = ns.clock()
    ns.look(now)
    counting = _Counting(now, listed)
    pages = _Pages(ns, _namespaces(ns, namespace, now, counting), counting)
    end, left = steady_clock() + seconds, most
    while pages.left and left > 0 and steady_clock() < end:
        left -= counting.add(pages.next(min(left, PAGE_HEADERS)))
    counting.found.complete = counting.found.complete and not pages.left
    return counting.result()


def _namespaces(ns: Namespace, namespace: str | None, now: float, counting: _Counting) -> list[str]:
    if namespace is not None:
        return [namespace]
    try:
        found = ns.engine.namespaces(now, None, MOST_NAMESPACES + 1)
    except Corrupt:
        counting.miss()
        return []
    if len(found) > MOST_NAMESPACES:
        counting.leave_out()
    return found[:MOST_NAMESPACES]


class _Pages:
    """Headers of several namespaces: a page of each in turn, those that were inserted last first."""

    def __init__(self, ns: Namespace, namespaces: Sequence[str], counting: _Counting) -> None:
        self.left: deque[tuple[str, Any]] = deque((name, None) for name in namespaces)
        """Each with the cursor of its next page."""
        self._ns = ns
        self._counting = counting

    def next(self, limit: int) -> list[Header]:
        """The next page. Of a namespace that cannot be read further the rest is left out, and noted."""
        namespace, after = self.left.popleft()
        scan = self._ns.engine.scan
        try:
            page = scan(namespace, Order.INSERTED, after=after, limit=limit, reverse=True, fields=Fields.HEADER)
        except Corrupt:
            self._counting.miss()
            return []
        if page.next is not None:
            self.left.append((namespace, page.next))
        return page.items


class _Counting:
    """Adds up headers; `found` is the result so far, without its lists."""

    def __init__(self, now: float, listed: int) -> None:
        self.found = Survey()
        self._now = now
        self._expiries = dict.fromkeys(EXPIRIES, 0)
        self._largest = _Best(listed, lambda header: header.size)
        self._newest = _Best(listed, lambda header: header.modified)
        self._soonest = _Best(listed, lambda header: -(header.expires or 0.0))

    def miss(self) -> None:
        """Note that something cannot be read because it is damaged."""
        self.found.damaged += 1
        self.found.complete = False

    def leave_out(self) -> None:
        """Note that there are namespaces of which nothing is read."""
        self.found.left_out = True
        self.found.complete = False

    def add(self, headers: Sequence[Header]) -> int:
        """Count a page; returns how many headers it has."""
        alive = [header for header in headers if self._count(header)]
        self._largest.add(alive)
        self._newest.add(alive)
        self._soonest.add([header for header in alive if header.expires is not None])
        return len(headers)

    def result(self) -> Survey:
        """All of it."""
        found = self.found
        found.expiries = list(self._expiries.items())
        found.largest, found.newest = self._largest.records(), self._newest.records()
        found.soonest = self._soonest.records()
        return found

    def _count(self, header: Header) -> bool:
        """Counts one; returns whether it is alive, and its metadata sound."""
        if not header.is_sound():
            self.found.damaged += 1
            return False
        self._expiries[_label(header.expires, self._now)] += 1
        if has_expired(header, self._now):
            return False
        found, size = self.found, header.size
        found.records += 1
        found.bytes += size
        found.namespaces.setdefault(header.namespace, Share()).add(size)
        found.codecs.setdefault(header.codec, Share()).add(size)
        return True


class _Best:
    """The headers with the greatest keys, the greatest first."""

    def __init__(self, number: int, key: Callable[[Header], float]) -> None:
        self._number = number
        self._key = key
        self._headers: list[Header] = []

    def add(self, headers: Sequence[Header]) -> None:
        self._headers = heapq.nlargest(self._number, chain(self._headers, headers), self._key)

    def records(self) -> list[Record]:
        return [Record.from_header(header) for header in self._headers]


def _label(expires: float | None, now: float) -> str:
    """The label of `EXPIRIES` for an expiry."""
    if expires is None:
        return "never"
    return "expired" if expires <= now else _ALIVE[bisect_right(_SPANS, expires - now)]
