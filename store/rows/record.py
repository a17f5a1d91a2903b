"""A record as the caller sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from store.errors import Corrupt
from store.rows.row import Header

_FIRST_SECOND = datetime.min.replace(tzinfo=UTC).timestamp()
_LAST_SECOND = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()


@dataclass(frozen=True, slots=True)
class Record:
    """The metadata of a record, without decoding its value. Times are UTC; `size` is in bytes.

    `type` is the qualified name of the value's class, `python` the version that wrote it, `revision` 1 at
    the first write and one more at each later one, `sealed_by` the id of the key that sealed it (None for
    a record that was written where no key could be had).

    `version` identifies this state of this record: equal versions mean equal bytes and the same expiry. It is opaque
    text that JSON and an HTTP ETag can carry; `put` and `delete` take it as `if_version`. Every write gives another
    one, and so does a new key (`rekey`, `admit`).
    """

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
    version: str

    @classmethod
    def from_header(cls, header: Header) -> Record:
        """The public view of a header from the engine. Raises: Corrupt: a column has a wrong type or value."""
        if not header.is_sound():
            error = Corrupt("its metadata is damaged; restore the store from a backup")
            raise error.about(header.name, header.namespace)
        return cls(
            *header[1:9],
            created=_utc(header.created),
            modified=_utc(header.modified),
            expires=None if header.expires is None else _utc(header.expires),
            sealed_by=header.key_id.hex() if any(header.key_id) else None,
            version=header.stamp,
        )

    def _repr_html_(self) -> str:
        """The metadata as a table, for notebooks."""
        from store.display.notebook import card, quoted, short
        from store.display.units import moment_text, size_text

        facts = [
            ("name", quoted(self.name)),
            ("namespace", quoted(self.namespace)),
            ("type", short(self.type or "–")),
            ("codec", short(f"{self.codec} {self.protocol}")),
            ("size", size_text(self.size)),
            ("revision", short(self.revision)),
            ("created", moment_text(self.created)),  # a notebook is saved with it: no age
            ("modified", moment_text(self.modified)),
            ("expires", moment_text(self.expires)),
            ("sealed by", short(self.sealed_by or "no key")),
            ("written by", short(f"Python {self.python}" if self.python else "–")),
        ]
        return card(type(self).__name__, facts)

    def __getstate__(self) -> list[Any]:
        return [getattr(self, name) for name in self.__slots__]

    def __setstate__(self, state: list[Any]) -> None:
        if isinstance(state[0], int):  # an older pickle, of a record with an id first and no version
            state = [*state[1:], ""]
        for name, value in zip(self.__slots__, state, strict=True):
            object.__setattr__(self, name, value)


def _utc(seconds: float) -> datetime:
    """The UTC time, limited to the range of datetime: a huge ttl or a damaged file must not raise."""
    return datetime.fromtimestamp(min(max(seconds, _FIRST_SECOND), _LAST_SECOND), UTC)
