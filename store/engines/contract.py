"""The contract of an engine, which stores sealed rows and finds them again.

An engine sees bytes only; it knows nothing of values, codecs, keys and seals. Every engine has the core. Each
capability is an attribute of the engine that may be None; `registry.supported` turns a missing one into an error.

`get` and `scan` return expired rows too: a forged expiry may neither hide nor delete a record, so the layer above
checks the seal before it takes a row for expired. The client computes the expiry, which the seal covers; the engine
stores that number bit for bit. It never reads the clock by itself: `now`, in Unix seconds, is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from enum import Enum, StrEnum
from typing import Any, NamedTuple, Protocol

from store.engines.activity import ActivityCounters
from store.engines.capabilities import Blobs, Care, Changes, Coherence, Commit, Eviction, Locks, Transactions
from store.errors import Conflict, label
from store.rows.row import Row, Total

DURABILITIES = ("normal", "full")
PAGE_ROWS = 256  # rows of a page, where no limit is given

Cursor = Any
"""A position in an order, which stays valid when its row is deleted. It is opaque to callers, except that any name
is a cursor of NAME. Engines return the cursor of `cursor_of`, so that an overlay can insert rows between."""


class Fields(StrEnum):
    """What `get` and `scan` return of each row. Strings, because engines use them as dict keys on hot paths."""

    ROW = "row"
    SEALED = "sealed"
    """The columns for decoding. `namespace` and `name` may be those of the question: only the seal proves them."""
    HEADER = "header"
    MARK = "mark"
    LISTED = "listed"


class Order(StrEnum):
    """The order of a scan. A row that is replaced keeps its place in INSERTED, unless it had expired."""

    INSERTED = "inserted"
    NAME = "name"
    """By code points, within one namespace."""
    EXPIRY = "expiry"
    """Only rows with an expiry, the earliest first; `until` is a time. Over all namespaces in any order."""


class Listed(NamedTuple):
    """A name, the expiry of its record, and its id, by scans. Names that are not valid text are left out."""

    name: str
    expires: float | None
    id: int


def cursor_of(item: Any, order: Order) -> Cursor:
    """The cursor of an item of a scan of one namespace. A row's id is its place in the order of insertion."""
    if order is Order.NAME:
        return item.name
    return item.id if order is Order.INSERTED else (item.expires, item.id)


def successor(prefix: str) -> str | None:
    """The least text that is greater than every text with that prefix; None where there is none."""
    for index in range(len(prefix) - 1, -1, -1):
        point = ord(prefix[index]) + 1
        if point <= 0x10FFFF:
            return prefix[:index] + chr(0xE000 if 0xD800 <= point <= 0xDFFF else point)
    return None


_OF_ROW: dict[Fields, Callable[[Row], Any]] = {
    Fields.ROW: lambda row: row,
    Fields.SEALED: Row.sealed,
    Fields.HEADER: Row.header,
    Fields.MARK: Row.mark,
    Fields.LISTED: lambda row: Listed(row.name, row.expires, row.id or 0),
}


def of_row(row: Row, fields: Fields) -> Any:
    """Those fields of a row."""
    return _OF_ROW[fields](row)


class Page(NamedTuple):
    """Some rows of a scan, perhaps none. `next` is the `after` of the next page; None: there is none."""

    items: list[Any]
    next: Cursor | None


class Expect(Enum):
    """The state that a change expects of its record. A stamp (a str) expects exactly that state."""

    ANY = "any"
    ABSENT = "absent"


ANY, ABSENT = Expect.ANY, Expect.ABSENT
Expected = Expect | str


def expect(stamp: str | None, expected: Expected, namespace: str, name: str) -> None:
    """Compares a record's stamp, None for no record, with the expected one. Raises: Conflict."""
    if expected is ANY or (stamp is None if expected is ABSENT else stamp == expected):
        return
    what = "is there" if expected is ABSENT else "was deleted" if stamp is None else "was changed"
    raise Conflict(f"{label(name, namespace)} {what} meanwhile; read it again", name=name, namespace=namespace)


class Put(NamedTuple):
    """Store a row. An existing one keeps its place and `created`, and its revision goes up by one.

    A row that had expired by the new one's `modified` counts as ABSENT: the new one is a new record, at the end.
    """

    row: Row
    expect: Expected = ANY


class Load(NamedTuple):
    """Store a row unchanged, as `Engine.load` does: a change for engines whose transactions are optimistic."""

    row: Row
    expect: Expected = ANY


class Delete(NamedTuple):
    """Delete a record, if there is one. It may expect ANY or a stamp."""

    name: str
    expect: Expected = ANY
    now: float = -math.inf
    """A record that had expired by then is kept; by default expired records are deleted too."""


class Check(NamedTuple):
    """Expect something and change nothing. With `name` None, `expect` is a `Changes.version_of` the namespace."""

    name: str | None
    expect: Any


Change = Row | Put | Delete | Check
"""A bare row replaces any existing record of its name."""


class Applied(NamedTuple):
    """The result of `apply`: how many records it deleted, and, if asked for, the stamps of the rows it put.

    `commit`: as `put` returns it, if all changes are rows.
    """

    deleted: int
    stamps: list[str]
    commit: Commit | None = None


class Usage(NamedTuple):
    """The space that an engine takes, in bytes; the log contains commits that are not folded into the data yet."""

    data_bytes: int = 0
    log_bytes: int = 0
    log_pinned_bytes: int | None = 0
    """The part of the log that a reader keeps from being folded; None: the engine does not know it."""
    log_pinned_by: int | None = None
    """The process of that reader; None if there is none or it is unknown."""
    log_error: str | None = None
    """Why the last attempt to fold it failed, if it did."""
    log_pinned_seconds: float = 0.0
    """How long it has been doing so, where the engine knows it."""
    free_bytes: int = 0
    """The part of the data that holds nothing, and is used again before the data grow."""


def in_pages(engine: Reads, namespace: str | None, order: Order, **how: Any) -> Iterator[Any]:
    """All items of a scan, page by page; see `Engine.scan`."""
    page = engine.scan(namespace, order, **how)
    yield from page.items
    while page.next is not None:
        page = engine.scan(namespace, order, **{**how, "after": page.next})
        yield from page.items


def every_row(engine: Reads) -> Iterator[Row]:
    """The rows of all namespaces that exist at the start, except those that are deleted meanwhile."""
    return in_pages(engine, None, Order.INSERTED, until=engine.end(None))


class Reads(Protocol):
    """The reading members of `Engine`, which an overlay of buffered writes needs below it and has itself."""

    def get(self, namespace: str, names: Sequence[str], fields: Fields = Fields.ROW) -> dict[str, Any]:
        """The existing records of those names, by name, as of one moment.

        Raises:
            Corrupt: a name cannot be looked up, so it is unknown whether it exists.
        """

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
        fields: Fields = Fields.ROW,
    ) -> Page:
        """Up to `limit` rows of one namespace or of all, after `after` and up to `until`; `prefix` by NAME only.

        `reverse`: in descending order, before `after`; INSERTED and NAME only. A page may have fewer than `limit`
        rows although more follow. Nothing is held open between two pages.
        """

    def end(self, namespace: str | None) -> Cursor:
        """The place behind the last row in order of insertion: the `until` of an iteration that begins now."""

    def count(self, namespace: str, now: float) -> tuple[int, float]:
        """How many rows have not expired, and until when that holds without writes; infinity: for ever."""

    def namespaces(self, now: float, after: str | None = None, limit: int | None = None) -> list[str]:
        """The namespaces after `after`, in order, that have records which have not expired."""


class Engine(Reads, Protocol):
    """One handle on a store. Safe across threads, and processes where they share the store; survives a fork."""

    kind: str
    """The name of the engine: the scheme of its URLs."""
    location: str
    """The path or URL that opens the store again, or ":memory:"."""
    id: bytes
    """Sixteen random bytes, made once with the store; part of every seal."""
    now: Callable[[], float]
    """The time that expiries are compared with, in Unix seconds; all clients of a server use the server's clock."""

    transactions: Transactions | None
    locks: Locks | None
    changes: Changes | None
    snapshot: Callable[[str, Fields], list[Any]] | None
    """All of a namespace in order of insertion, as of one moment; ROW or SEALED."""
    coherence: Coherence | None
    blobs: Blobs | None
    """Storage of large values; None: values of any size go into rows."""
    eviction: Eviction | None
    activity: ActivityCounters | None
    care: Care | None
    keep_bytes: Callable[[int], None] | None
    """Sets how many bytes of bodies the handle keeps, so that a server sends them again only if they changed; none
    until it is called. None: the engine does not need it."""

    def totals(self, namespace: str, now: float) -> list[Total]:
        """A total for each pair of codec and protocol, over the rows that have not expired."""

    def usage(self) -> Usage: ...

    # -- writing

    def put(self, row: Row) -> Commit | None:
        """Apply one row, on the fastest path; returns the commit that contains it, for the cache.

        Inside a transaction that commit is still to come. None: the row cannot be cached.
        """

    def apply(self, namespace: str, changes: Sequence[Change], *, stamps: bool = False) -> Applied:
        """Make all those changes in order, or none. A bare row may be of another namespace.

        Raises:
            Conflict: a change did not find the expected state; nothing was changed.
        """

    def load(self, rows: Sequence[Row]) -> None:
        """Store rows unchanged (revision, times and seal), in this order; no name comes twice.

        A record of the same name is replaced and keeps its place; all others come at the end.
        """

    def clear(self, namespace: str) -> None:
        """Delete all records of a namespace."""

    def sealers(self) -> set[bytes]:
        """The ids of keys that sealed records here, at most a thousand; a sound store has fewer."""

    def add_sealer(self, key_id: bytes) -> None: ...

    # -- handles

    def share(self) -> Engine:
        """Another handle on the same store."""

    def close(self) -> None:
        """Close this handle; closing the last one frees the resources of the store in this process."""
