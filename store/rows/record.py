"""A record as the caller sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from store.errors import Corrupt
from store.rows.row import Header

_FIRST_SECOND = datetime.min.replace(tzinfo=UTC).timestamp()
_LAST_SECOND = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()


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
        """The public view of what the engine read. Raises: Corrupt: the columns hold something else."""
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

    def is_same_as(self, header: Header) -> bool:
        """Whether `header` is still that of the record that this one was read from."""
        return (self.id, self.created, self.revision) == (header.id, _utc(header.created), header.revision)


def _utc(seconds: float) -> datetime:
    """A ttl of ten thousand years, or a damaged file, must not make the metadata unreadable."""
    return datetime.fromtimestamp(min(max(seconds, _FIRST_SECOND), _LAST_SECOND), UTC)
