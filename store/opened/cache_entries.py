"""What a read cache holds: its entries, and the rows that become entries once their commit is done."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from sys import getsizeof
from typing import Any

from store.engines.capabilities import Commit
from store.rows.row import Row, Sealed

ENTRY_BYTES = 400  # about what an entry takes beside its body and its name
SCALARS = frozenset({int, float, complex, bool, str, bytes, type(None)})
_TOGETHER = 20  # rows of one commit that are let go together
_NUMBERS = frozenset({"int", "float", "bool", "NoneType"})  # `Row.type` of what is decoded as fast as it is kept

Decode = Callable[[bytes], Any]
Decoder = Callable[[Row], "Decode | None"]
Entry = tuple[Any, Any, Any, int, int]


class Entries(dict[str, Entry]):
    """By name; an entry is (decode, body, expires, bytes, mark), or (None, value, …) for a scalar."""

    __slots__ = ("count", "names", "size")

    def __init__(self) -> None:
        self.size = 0
        self.names: dict[int, str] = {}  # by mark
        self.count: tuple[float, int, float] | None = None  # valid from, number of records, valid until

    def add(self, name: str, entry: Entry, limit: int) -> None:
        """Adds one, and drops the oldest until all take at most `limit` bytes."""
        if name in self:
            self.forget(name)
        size, mark = ENTRY_BYTES + entry[3], entry[4]
        if size > limit:  # it would push out all others, and itself
            return
        if mark in self.names:  # another name's
            self.forget(self.names[mark])
        self[name] = entry
        self.names[mark] = name
        self.size += size
        while self.size > limit:
            self.forget(next(iter(self)))

    def forget(self, name: str) -> None:
        entry = self.pop(name, None)
        if entry is not None:
            self.size -= ENTRY_BYTES + entry[3]
            self.names.pop(entry[4], None)

    def forget_mark(self, mark: int) -> None:
        name = self.names.get(mark)
        if name is not None:
            self.forget(name)


def entry_of_value(row: Row | Sealed, value: Any, decode: Decode, mark: int) -> Entry:
    """The entry of a row that was decoded to that value."""
    if type(value) in SCALARS:
        return None, value, row.expires, max(len(row.body), getsizeof(value)) + len(row.name), mark
    return decode, row.body, row.expires, len(row.body) + len(row.name), mark


def entry_of(row: Row, decoder: Decoder, mark: int) -> Entry | None:
    """The entry of a row that was just written; None: it is not kept.

    A number is decoded, since the next read may come soon, unless by a codec of the program, which may do anything.
    A codec may be unknown here, or fail: then the next read of the record raises, and neither the write nor the read
    of another record.
    """
    try:
        decode = decoder(row) if row.spill is None else None
        if decode is None:
            return None
        if row.codec == "pickle" and row.type in _NUMBERS:
            return entry_of_value(row, decode(row.body), decode, mark)
    except Exception:
        return None
    return decode, row.body, row.expires, len(row.body) + len(row.name), mark


class Written:
    """Rows of a commit that is still to come, until the next read keeps them: the newest, up to `limit` bytes."""

    def __init__(self, commit: Commit, decoder: Decoder, limit: int) -> None:
        self.commit = commit
        self.decoder = decoder
        self._limit = limit
        self.size = 0
        self._batches: deque[tuple[int, Sequence[Row], int]] = deque()  # and how much was touched by then; bytes

    def add(self, rows: Sequence[Row]) -> None:
        """Keep rows that were just written."""
        if len(rows) > _TOGETHER:
            for start in range(0, len(rows), _TOGETHER):
                self.add(rows[start : start + _TOGETHER])
            return
        size = ENTRY_BYTES * len(rows)
        for row in rows:
            size += len(row.body) + len(row.name)
        self._batches.append((len(self.commit.touched or ()), rows, size))
        self.size += size
        while self.size > self._limit:
            self.size -= self._batches.popleft()[2]

    def last(self) -> list[Row]:
        """Those that were neither written again nor deleted later in the same transaction.

        No generator: what a signal handler raises while one is closed is lost.
        """
        touched = self.commit.touched or ()
        last = dict(zip(touched, range(len(touched)), strict=True))
        return [
            row for position, rows, _ in self._batches for row in rows if last[row.namespace, row.name] < position
        ]
