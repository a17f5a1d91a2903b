"""The contract of an engine: where sealed rows are kept, and how they are found again.

An engine sees bytes only; it knows nothing of values, codecs, keys and seals. The core is what every engine has. Each
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

from store.engines.capabilities import Blobs, Care, Changes, Coherence, Eviction, Locks, Transactions
from store.errors import Conflict, label
from store.rows.row import Row, Total

DURABILITIES = ("normal", "full")
PAGE_ROWS = 256  # rows of a page, where no limit is given

Cursor = Any
"""A place in an order, which stays valid when the row it came from is deleted. It is opaque to callers, except that
any name is a cursor of NAME. Engines return that of `cursor_of`, so that an overlay can insert rows between."""


class Fields(StrEnum):
    """What `get` and `scan` return of each row. Strings, because engines use them as dict keys on hot paths."""

    ROW = "row"
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
    """A name, the expiry of its record, and its id. Names that are not valid text are left out."""

    name: str
    expires: float | None
    id: int


def cursor_of(item: Any, order: Order) -> Cursor:
    """The cursor of an item of a scan of one namespace. A row's id is its place in the order of insertion."""
    if order is Order.NAME:
        return item.name
    return item.id if order is Order.INSERTED else (item.expires, item.id)


_OF_ROW: dict[Fields, Callable[[Row], Any]] = {
    Fields.ROW: lambda row: row,
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
    """What a change expects of the record of its name. A stamp (a str) expects exactly that state of it."""

    ANY = "any"
    ABSENT = "absent"


ANY, ABSENT = Expect.ANY, Expect.ABSENT
Expected = Expect | str


def expect(stamp: str | None, expected: Expected, namespace: str, name: str) -> None:
    """Compares a record's stamp, None for no record, with what was expected. Raises: Conflict."""
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


class Delete(NamedTuple):
    """Delete a record, if there is one. It may expect ANY or a stamp."""

    name: str
    expect: Expected = ANY
    now: float = -math.inf
    """A record that had expired by then is left; by default expired records are deleted too."""


class Check(NamedTuple):
    """Expect something and change nothing. With `name` None, `expect` is a `Changes.version_of` the namespace."""

    name: str | None
    expect: Any


Change = Row | Put | Delete | Check
"""A row by itself is put over whatever is there."""


class Applied(NamedTuple):
    """What `apply` did: how many records it deleted; and the stamps of what it put, if those were asked for."""

    deleted: int
    stamps: list[str]


class Usage(NamedTuple):
    """The space that an engine takes, in bytes; a log holds what was committed and not folded into the data yet."""

    data_bytes: int = 0
    log_bytes: int = 0
    log_pinned_bytes: int = 0
    """What of the log a reader keeps from being folded."""
    log_pinned_by: int | None = None
    """Its process; None where there is none, or the system does not know it."""
    log_error: str | None = None
    """Why the last attempt to fold it failed, if it did."""


def in_pages(engine: Engine, namespace: str | None, order: Order, **how: Any) -> Iterator[Any]:
    """All that a scan comes upon, page by page; see `Engine.scan`."""
    page = engine.scan(namespace, order, **how)
    yield from page.items
    while page.next is not None:
        page = engine.scan(namespace, order, **{**how, "after": page.next})
        yield from page.items


def every_row(engine: Engine) -> Iterator[Row]:
    """The rows of all namespaces that there are when it begins, less those that are deleted meanwhile."""
    return in_pages(engine, None, Order.INSERTED, until=engine.end(None))


class Engine(Protocol):
    """One handle on a store. Safe across threads, and processes where they share the store; survives a fork."""

    kind: str
    """The name of the engine: the scheme of its URLs."""
    location: str
    """The path or URL that opens the store again, or ":memory:"."""
    id: bytes
    """Sixteen random bytes, made once with the store; part of every seal."""
    now: Callable[[], float]
    """The time that expiries are compared with, in Unix seconds; all clients of a server have the server's."""

    transactions: Transactions | None
    locks: Locks | None
    changes: Changes | None
    snapshot: Callable[[str], list[Row]] | None
    """All rows of a namespace in order of insertion, as of one moment."""
    coherence: Coherence | None
    blobs: Blobs | None
    """Where large values go; None: all goes into rows."""
    eviction: Eviction | None
    care: Care | None

    # -- reading

    def get(self, namespace: str, names: Sequence[str], fields: Fields = Fields.ROW) -> dict[str, Any]:
        """What there is of those names, by name, as of one moment.

        Raises:
            Corrupt: a name cannot be looked up, so that nobody can say whether it is there.
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
        """Up to `limit` rows of one namespace or of all, behind `after` and up to `until`; `prefix` by NAME only.

        `reverse`: from the other end, `after` going down; INSERTED and NAME only. A page may have fewer than `limit`
        rows although others follow. Nothing is held open between two pages.
        """

    def end(self, namespace: str | None) -> Cursor:
        """The place behind the last row in order of insertion: the `until` of an iteration that begins now."""

    def count(self, namespace: str, now: float) -> tuple[int, float]:
        """How many rows have not expired, and until when that holds if nobody writes; infinity: for ever."""

    def namespaces(self, now: float, after: str | None = None, limit: int | None = None) -> list[str]:
        """The namespaces behind that one, in order, that have records which have not expired."""

    def totals(self, namespace: str, now: float) -> list[Total]:
        """One for each pair of codec and protocol, of the rows that have not expired."""

    def usage(self) -> Usage: ...

    # -- writing

    def put(self, row: Row) -> bytes | None:
        """Apply one row, as fast as it can be; returns a token for the cache.

        That is what `Coherence` shows after this commit, where the commit is the only one since the caches' token;
        else, and inside a transaction, None.
        """

    def apply(self, namespace: str, changes: Sequence[Change], *, stamps: bool = False) -> Applied:
        """Make all those changes, one after the other, or none. A bare row may be of another namespace.

        Raises:
            Conflict: one did not find what it expected; nothing was changed.
        """

    def load(self, rows: Sequence[Row]) -> None:
        """Add rows as they are, in this order behind all others: revision, times and seal. No name is there yet."""

    def clear(self, namespace: str) -> None:
        """Delete all records of a namespace."""

    def sealers(self) -> set[bytes]:
        """The ids of keys that sealed here: the first thousand that the store lists, which a sound one never has."""

    def add_sealer(self, key_id: bytes) -> None: ...

    # -- handles

    def share(self) -> Engine:
        """Another handle on the same store."""

    def close(self) -> None:
        """Close this handle; the last one frees what the store holds in this process."""
