"""A record as it travels between layers: `Row`, and parts of it."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple, Protocol

from store.rows.spilled import size_of


class Row(NamedTuple):
    """One row of the table `records`, in the order of its columns; times are Unix seconds.

    `revision`, `id` and `created` are the engine's to give: a row that is to be put carries 1, None
    and the time of the write, which hold unless the name exists already.
    """

    id: int | None
    namespace: str
    name: str
    codec: str
    protocol: int
    type: str | None
    python: str | None
    body: bytes
    spill: str | None
    seal: bytes
    crc: int
    revision: int
    created: float
    modified: float
    expires: float | None

    @property
    def stamp(self) -> str:
        """What identifies this state of this record: equal stamps mean equal bytes and expiry."""
        return stamp_of(self.revision, self.seal)

    def header(self) -> Header:
        """The row without its body."""
        size = len(self.body) + size_of(self.spill)
        return Header(self.id or 0, *self[1:7], size, *self[11:], self.seal)

    def mark(self) -> Mark:
        """What tells a watcher of a change."""
        return Mark(self.name, self.id or 0, self.created, self.revision, self.expires, self.crc)

    def has_types(self) -> bool:
        """Whether each column holds a value of its type; in a file made by hand it may not. Each read asks this."""
        return tuple(map(type, self)) in _ROW_TYPES

    def has_column_types(self) -> bool:
        """The same of a row from elsewhere: whether its numbers are some that SQLite can hold, too."""
        return self.has_types() and all(
            (type(value) is not int or _LEAST_INT <= value <= _LARGEST_INT)
            and value == value  # not NaN, which SQLite has no place for
            for value in self
        )


class Expiring(Protocol):
    """Anything that has an expiry: a row, a header, a mark, a listed name."""

    @property
    def expires(self) -> float | None: ...


def has_expired(item: Expiring, now: float) -> bool:
    """Whether it says that it has; whether that is so, the seal of the row tells."""
    try:
        return item.expires is not None and item.expires <= now
    except TypeError:  # not a number, in a file made by hand: SQLite takes it for the end of time
        return False


def stamp_of(revision: int, seal: bytes) -> str:
    """The stamp of a record: its revision, and the digest that the seal has behind the id of the key."""
    return f"{revision}-{seal[8:].hex()}"


_LEAST_INT, _LARGEST_INT = -(2**63), 2**63 - 1
_NONE = type(None)
_COLUMN_TYPES: tuple[tuple[type, ...], ...] = (
    (int, _NONE), (str,), (str,), (str,), (int,), (str, _NONE), (str, _NONE), (bytes,), (str, _NONE), (bytes,),
    (int,), (int,), (float, int), (float, int), (float, int, _NONE),
)  # fmt: skip
_ROW_TYPES = frozenset(product(*_COLUMN_TYPES))


class Header(NamedTuple):
    """A `Row` without its body: what `Record` is made of. `size` is that of the body and the files together."""

    id: int
    namespace: str
    name: str
    codec: str
    protocol: int
    type: str | None
    python: str | None
    size: int
    revision: int
    created: float
    modified: float
    expires: float | None
    seal: bytes

    @property
    def key_id(self) -> bytes:
        """The id of the key that sealed it."""
        return self.seal[:8]

    @property
    def stamp(self) -> str:
        """As that of `Row`."""
        return stamp_of(self.revision, self.seal)

    def has_types(self) -> bool:
        """As that of `Row`."""
        return tuple(map(type, self)) in _HEADER_TYPES


_HEADER_TYPES = frozenset(product((int,), *_COLUMN_TYPES[1:7], (int,), *_COLUMN_TYPES[11:], (bytes,)))


class Total(NamedTuple):
    """The records of one codec and protocol together; `bytes` are those of their rows and files."""

    codec: str
    protocol: int
    records: int
    bytes: int
    files: int
    file_bytes: int


class Mark(NamedTuple):
    """What tells whether a record is still the one that was seen: a change of it changes the mark.

    The checksum is part of it: what is deleted and written again within one tick of a coarse clock differs in no
    other. Not the seal, which changes with the key alone.
    """

    name: str
    id: int
    created: float
    revision: int
    expires: float | None
    crc: int

    def has_types(self) -> bool:
        """As that of `Row`."""
        return tuple(map(type, self)) in _MARK_TYPES


_MARK_TYPES = frozenset(product((str,), (int,), (float, int), (int,), (float, int, _NONE), (int,)))
