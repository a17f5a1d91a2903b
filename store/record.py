"""A record as the caller sees it (`Record`) and as it travels between layers (`Row`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import NamedTuple

from store.errors import Corrupt

_FIRST_SECOND = datetime.min.replace(tzinfo=UTC).timestamp()
_LAST_SECOND = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()


class Row(NamedTuple):
    """One row of the table `records`, in the order of its columns; times are Unix seconds.

    `revision`, `id` and `created` are the backend's to give: a row that is on its way in carries 1, None
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


_LEAST_INT, _LARGEST_INT = -(2**63), 2**63 - 1
_NONE = type(None)
_COLUMN_TYPES: tuple[tuple[type, ...], ...] = (
    (int, _NONE), (str,), (str,), (str,), (int,), (str, _NONE), (str, _NONE), (bytes,), (str, _NONE), (bytes,),
    (int,), (int,), (float, int), (float, int), (float, int, _NONE),
)  # fmt: skip
_ROW_TYPES = frozenset(product(*_COLUMN_TYPES))


class Header(NamedTuple):
    """A `Row` without its body: what `Record` is made of. `key_id` is the first eight bytes of the seal.

    `size` is that of the body and the files together.
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
    key_id: bytes

    def has_types(self) -> bool:
        """As that of `Row`."""
        return tuple(map(type, self)) in _HEADER_TYPES


_HEADER_TYPES = frozenset(product((int,), *_COLUMN_TYPES[1:7], (int,), *_COLUMN_TYPES[11:], (bytes,)))


class Identity(NamedTuple):
    """What makes a record the one that was read: a row id alone comes back after a delete."""

    id: int
    created: float
    revision: int

    def has_types(self) -> bool:
        """As that of `Row`."""
        return type(self.id) is int and type(self.created) in (float, int) and type(self.revision) is int


class Mark(NamedTuple):
    """What tells whether a record is still the one that was seen: a change of it changes the mark.

    The seal is part of it: what is deleted and written again within one tick of a coarse clock differs in no other.
    """

    name: str
    id: int
    created: float
    revision: int
    expires: float | None
    seal: bytes

    def has_types(self) -> bool:
        """As that of `Row`."""
        return tuple(map(type, self)) in _MARK_TYPES


_MARK_TYPES = frozenset(product((str,), (int,), (float, int), (int,), (float, int, _NONE), (bytes,)))


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a record without decoding its value. Times are UTC; `size` is in bytes.

    `type` is the qualified name of the value's class, `python` the version that wrote it, `revision` 1 at
    the first write and one more at each later one, `sealed_by` the id of the key that sealed it (None for
    a record that was written where no key could be had).
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
    created: datetime
    modified: datetime
    expires: datetime | None
    sealed_by: str | None

    @classmethod
    def from_header(cls, header: Header) -> Record:
        """The public view of what the backend read. Raises: Corrupt: the columns hold something else."""
        if not header.has_types():
            error = Corrupt("its metadata is damaged; restore the store from a backup")
            raise error.about(header.name, header.namespace)
        return cls(
            *header[:9],
            created=_utc(header.created),
            modified=_utc(header.modified),
            expires=None if header.expires is None else _utc(header.expires),
            sealed_by=header.key_id.hex() if any(header.key_id) else None,
        )

    def is_same_as(self, identity: Identity) -> bool:
        """Whether `identity` is still the record that this one was read from."""
        return (self.id, self.created, self.revision) == (
            identity.id, _utc(identity.created), identity.revision,
        )  # fmt: skip


def _utc(seconds: float) -> datetime:
    """A ttl of ten thousand years, or a damaged file, must not make the metadata unreadable."""
    return datetime.fromtimestamp(min(max(seconds, _FIRST_SECOND), _LAST_SECOND), UTC)
