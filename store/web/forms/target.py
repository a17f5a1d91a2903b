"""`Target`: which record a form is about, and the state of it that the form was made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from store.errors import Conflict, label
from store.mapping.store import Store
from store.opened.sentinels import ABSENT, Absent
from store.rows.record import Record

FIELD = "target"


class Target(NamedTuple):
    """A name in a namespace, and the version of its record that was shown; None where there was none."""

    namespace: str
    name: str
    version: str | None = None

    def spelled(self) -> str:
        """The text that a hidden field carries: JSON in ASCII, in which each name comes back as it is."""
        return json.dumps(list(self))

    @property
    def expected(self) -> str | Absent:
        """What `put` takes as `if_version`."""
        return ABSENT if self.version is None else self.version

    def check(self, s: Store[Any]) -> Record:
        """The record, in the state that was shown. Raises: Conflict: it is in another one, or gone."""
        record = record_or_none(s, self.name)
        if record is None or record.version != self.version:
            now = "is gone" if record is None else "was changed meanwhile"
            raise Conflict(
                f"{label(self.name, self.namespace)} {now}: look at it again",
                name=self.name,
                namespace=self.namespace,
            )
        return record

    def at(self, record: Record | None) -> Target:
        """The same name, in the state of that record."""
        return self._replace(version=None if record is None else record.version)


def target_in(fields: Mapping[str, str], field: str = FIELD) -> Target:
    """The target that a form carries. Raises: ValueError: it has none."""
    try:
        found = json.loads(fields[field])
        namespace, name, version = found
    except (KeyError, ValueError, TypeError, RecursionError):
        raise ValueError("The form does not say which record it is about; open it again from the record") from None
    if not (isinstance(namespace, str) and isinstance(name, str) and isinstance(version, str | None)):
        raise ValueError("The form does not say which record it is about; open it again from the record")
    return Target(namespace, name, version)


def record_or_none(s: Store[Any], name: str) -> Record | None:
    """The metadata of a record; None where there is none."""
    try:
        return s.record(name)
    except KeyError:
        return None
