"""JSON: one object, whose members are the records, or JSON lines as `store export jsonl` writes them.

A line is `{"name": …, "value": …}`, with `"expires"` in Unix seconds where the record has an expiry. A file is read
as lines if it is called .jsonl or .ndjson, or if its first line is such an object and it is not called .json.

A record with an object that has a member twice, which JSON permits and a dict cannot hold, fails.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator
from typing import Any

from store.errors import Corrupt
from store.importers.contract import Found
from store.importers.files import contents_of, header_of, is_file

_FIELDS = ({"name", "value"}, {"name", "value", "expires"})
_LINES = (".jsonl", ".ndjson")
_OBJECT = ".json"
_BOM = b"\xef\xbb\xbf"


class JsonImporter:
    """Reads text in UTF-8; NaN and Infinity, which Python writes, too."""

    name = "json"

    def recognises(self, path: str) -> bool:
        start = header_of(path).removeprefix(_BOM).lstrip()
        return is_file(path) and (start.startswith(b"{") or (not start and path.endswith((*_LINES, _OBJECT))))

    def read(self, path: str, *, table: str | None = None) -> Generator[Found]:
        data = contents_of(path).removeprefix(_BOM)
        return _of_lines(data) if _has_lines(path, data) else _of_object(path, data)


def _has_lines(path: str, data: bytes) -> bool:
    if path.endswith(_LINES):
        return True
    if path.endswith(_OBJECT):
        return False
    try:
        return set(json.loads(data.partition(b"\n")[0])) in _FIELDS
    except (ValueError, TypeError, RecursionError):
        return False


def _of_lines(data: bytes) -> Generator[Found]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            yield _found(line, number)


def _found(line: bytes, number: int) -> Found:
    objects = _Objects()
    try:
        fields = json.loads(line, object_pairs_hook=objects)
        if type(fields) is _Twice:
            raise ValueError(f"it has {fields.member!r} twice")
        if type(fields) is not dict or set(fields) not in _FIELDS or type(fields["name"]) is not str:
            raise ValueError('it is not {"name": …, "value": …}')
        expires = fields.get("expires")
        if expires is not None and (isinstance(expires, bool) or not isinstance(expires, int | float)):
            raise ValueError('its "expires" is no number')
    except (ValueError, RecursionError) as exc:
        return Found(f"line {number}", problem=f"it cannot be read: {exc}")
    return objects.record(fields["name"], fields["value"], expires)


def _of_object(path: str, data: bytes) -> Generator[Found]:
    objects = _Objects()
    try:
        whole = json.loads(data, object_pairs_hook=objects) if data.strip() else {}
    except (ValueError, RecursionError) as exc:
        raise Corrupt(f"{path} is not JSON: {exc}; none of it was read") from exc
    if not isinstance(whole, dict):
        raise Corrupt(f"{path} holds a {type(whole).__name__}, and only an object has names for its values")
    yield from (objects.record(name, value) for name, value in objects.last)


class _Twice(dict[str, Any]):
    """An object that has `member` twice; this holds the last one."""

    member: str


class _Objects:
    """The `object_pairs_hook` of `json.loads`: finds members that are there twice, which a dict would hide."""

    def __init__(self) -> None:
        self.last: list[tuple[str, Any]] = []  # members of the object that ended last: the outermost one
        self._some_have_twice = False

    def __call__(self, members: list[tuple[str, Any]]) -> dict[str, Any]:
        self.last = members
        found = dict(members)
        if len(found) == len(members):
            return found
        self._some_have_twice = True
        twice = _Twice(found)
        twice.member = Counter(name for name, _ in members).most_common(1)[0][0]
        return twice

    def record(self, name: str, value: Any, expires: float | None = None) -> Found:
        """The record; without its value, where that would lose a member."""
        problem = _where_twice(value) if self._some_have_twice else ""
        return Found(name, problem=problem) if problem else Found(name, value, expires=expires)


def _where_twice(value: Any) -> str:
    """Says which object in a value has a member twice; empty: none has."""
    left = [("its value", value)]
    while left:
        where, one = left.pop()
        if type(one) is _Twice:
            return f"{where} has the member {one.member!r} twice, and only one could be kept: correct the source"
        inner = one.items() if isinstance(one, dict) else enumerate(one) if isinstance(one, list) else ()
        left += [(f"{where}[{key!r}]", part) for key, part in inner]
    return ""


importer = JsonImporter()
