"""A record as the layers pass it on: `Row`, and parts of it."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple, Protocol

from store.rows.spilled import size_of


class Row(NamedTuple):
    """One row of the table `records`, in the order of its columns; times are Unix seconds.

    The engine sets `revision`, `id` and `created`: a row to put has 1, None and the time of the write, which apply
    unless the name already exists.
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
        """Identifies this state of this record: equal stamps mean equal bytes and expiry."""
        return stamp_of(self.revision, self.seal)

    def header(self) -> Header:
        """The row without its body."""
        in_files = size_of(self.spill)
        return Header(self.id or 0, *self[1:7], len(self.body) + in_files, *self[11:], self.seal, in_files)

    def sealed(self) -> Sealed:
        """The part of the row that a seal proves."""
        (
            id_, namespace, name, codec, protocol, _, _, body, spill, seal, _, _, _, _, expires,
        ) = self  # fmt: skip
        return Sealed(id_, namespace, name, codec, protocol, expires, spill, body, seal)

    def mark(self) -> Mark:
        """The mark by which a watch detects a change."""
        return Mark(self.name, self.id or 0, self.created, self.revision, self.expires, self.crc)

    def has_types(self) -> bool:
        """Whether each column has a value of its type; in a file made by hand it may not."""
        return tuple(map(type, self)) in _ROW_TYPES

    def has_column_types(self) -> bool:
        """Like `has_types`, for an imported row: also whether SQLite can store its numbers."""
        return self.has_types() and all(
            (type(value) is not int or _LEAST_INT <= value <= _LARGEST_INT)
            and value == value  # not NaN, which SQLite cannot store
            for value in self
        )


class Expiring(Protocol):
    """Anything that has an expiry: a row, a header, a mark, a listed name."""

    @property
    def expires(self) -> float | None: ...


def has_expired(item: Expiring, now: float) -> bool:
    """Whether its expiry has passed; the row's seal shows whether that expiry is genuine."""
    try:
        return item.expires is not None and item.expires <= now
    except TypeError:  # not a number, in a file made by hand: SQLite sorts it after all numbers
        return False


def stamp_of(revision: int, seal: bytes) -> str:
    """The stamp of a record: its revision, and the digest in the seal, which follows the id of the key.

    In a crafted file a seal may have any length; one that is too long never holds, and is cut.
    """
    return f"{revision}-{seal[8:_LONGEST_SEAL].hex()}"


_LONGEST_SEAL = 72  # bytes, of which a seal has 24
_LEAST_INT, _LARGEST_INT = -(2**63), 2**63 - 1
_NONE = type(None)
_COLUMN_TYPES: tuple[tuple[type, ...], ...] = (
    (int, _NONE), (str,), (str,), (str,), (int,), (str, _NONE), (str, _NONE), (bytes,), (str, _NONE), (bytes,),
    (int,), (int,), (float, int), (float, int), (float, int, _NONE),
)  # fmt: skip
_ROW_TYPES = frozenset(product(*_COLUMN_TYPES))


class Sealed(NamedTuple):
    """The columns of a row that its seal covers, and the seal: what it takes to check and decode a value.

    Neither the names nor anything else is to be believed before the seal was checked. `id` is the place in the order
    of insertion; None where a single row was asked for, which has no place.
    """

    id: int | None
    namespace: str
    name: str
    codec: str
    protocol: int
    expires: float | None
    spill: str | None
    body: bytes
    seal: bytes


class Header(NamedTuple):
    """A `Row` without its body, from which a `Record` is made.

    `size` is that of the body and the files together, `file_bytes` that of the files alone.
    """

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
    file_bytes: int = 0

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

    def is_sound(self) -> bool:
        """Whether it has its types, and no time is a NaN, which a server stores."""
        times = self.created, self.modified, self.expires
        return self.has_types() and not any(time != time for time in times)


_HEADER_TYPES = frozenset(product((int,), *_COLUMN_TYPES[1:7], (int,), *_COLUMN_TYPES[11:], (bytes,), (int,)))


class Total(NamedTuple):
    """The records of one codec and protocol together; `bytes` are those of their rows and files."""

    codec: str
    protocol: int
    records: int
    bytes: int
    files: int
    file_bytes: int


class Mark(NamedTuple):
    """The mark of a record, which changes with every change of it.

    It includes the checksum: a record that is deleted and written again within one tick of a coarse clock differs in
    nothing else. It excludes the seal, which also changes with the key.
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
