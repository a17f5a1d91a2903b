"""A codec for data of sessions: JSON, with tags for what JSON lacks.

    {"seen": {"$datetime": "2026-11-30T12:00:00+00:00"}, "size": {"$tuple": [3, 4]}}

A dict with one key that begins with "$" is a tag; a dict of the program that looks like one, or whose keys are no
text, is {"$dict": [[key, value], …]}. Decoding makes only data, so somebody who has the key of the store still cannot
run code, as with pickle.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from store.errors import NotSerializable

_MARK = "$"
_PLAIN = (str, int, float, bool, type(None))


class Tag(NamedTuple):
    """How values of one type are written: as a value that has a form already."""

    name: str
    """On disk, never to change."""
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


TAGS: Final[Mapping[type, Tag]] = {
    tuple: Tag("tuple", list, tuple),
    set: Tag("set", lambda items: sorted(items, key=repr), set),
    frozenset: Tag("frozenset", lambda items: sorted(items, key=repr), frozenset),
    bytes: Tag("bytes", lambda data: base64.b64encode(data).decode("ascii"), base64.b64decode),
    datetime: Tag("datetime", datetime.isoformat, datetime.fromisoformat),
    date: Tag("date", date.isoformat, date.fromisoformat),
    time: Tag("time", time.isoformat, time.fromisoformat),
    timedelta: Tag("timedelta", lambda span: [span.days, span.seconds, span.microseconds], lambda of: timedelta(*of)),
    Decimal: Tag("decimal", str, Decimal),
    UUID: Tag("uuid", str, UUID),
}


class TaggedJSON:
    """Encodes JSON's own types and those of `TAGS`; a subclass would come back as its base, and is refused.

    A time zone comes back as the offset that it had.

    Args:
        more: tags of further types.
    """

    name = "tagged-json"

    def __init__(self, more: Mapping[type, Tag] | None = None) -> None:
        self._tags = {**TAGS, **(more or {})}
        self._read = {_MARK + tag.name: tag.read for tag in self._tags.values()} | {f"{_MARK}dict": dict}

    def encode(self, value: Any) -> bytes:
        """The value as text in UTF-8. Raises: NotSerializable: says where in it."""
        return json.dumps(self._tagged(value, "value"), ensure_ascii=False, separators=(",", ":")).encode()

    def decode(self, body: bytes) -> Any:
        """The value of such a text. Raises: ValueError, TypeError: it is none."""
        return json.loads(body, object_hook=self._untagged)

    def _tagged(self, value: Any, path: str) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is list:
            return [self._tagged(item, f"{path}[{index}]") for index, item in enumerate(value)]
        if kind is dict:
            if not _looks_tagged(value) and all(type(key) is str for key in value):
                return {key: self._tagged(item, f"{path}[{key!r:.80}]") for key, item in value.items()}
            pairs = [[key, item] for key, item in value.items()]
            return {f"{_MARK}dict": self._tagged(pairs, path)}
        tag = self._tags.get(kind)
        if tag is None:
            raise NotSerializable(
                f"{path}: a session has no {kind.__qualname__}, it would not round-trip; convert it, or use the "
                "codec 'pickle'",
                path=path,
            )
        return {_MARK + tag.name: self._tagged(tag.write(value), path)}

    def _untagged(self, found: dict[str, Any]) -> Any:
        if not _looks_tagged(found):
            return found
        ((name, value),) = found.items()
        if name not in self._read:
            raise ValueError(f"unknown tag {name!r:.80}")
        return self._read[name](value)


def _looks_tagged(value: dict[Any, Any]) -> bool:
    return len(value) == 1 and str(next(iter(value))).startswith(_MARK)
