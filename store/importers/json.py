"""JSON: one object, whose members are the records, or JSON lines as `store export jsonl` writes them.

A line is `{"name": …, "value": …}`, with `"expires"` in Unix seconds where the record has an expiry. A file is read
as lines if it is called .jsonl or .ndjson, or if its first line is such an object and it is not called .json.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

from store.errors import Corrupt
from store.importers import Found
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

    def read(self, path: str, *, table: str | None = None) -> Generator[Found, None, None]:
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


def _of_lines(data: bytes) -> Generator[Found, None, None]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            yield _found(line, number)


def _found(line: bytes, number: int) -> Found:
    try:
        fields = json.loads(line)
        if type(fields) is not dict or set(fields) not in _FIELDS or type(fields["name"]) is not str:
            raise ValueError('it is not {"name": …, "value": …}')
        expires = fields.get("expires")
        if expires is not None and (isinstance(expires, bool) or not isinstance(expires, int | float)):
            raise ValueError('its "expires" is no number')
    except (ValueError, RecursionError) as exc:
        return Found(f"line {number}", problem=f"it cannot be read: {exc}")
    return Found(fields["name"], fields["value"], expires=expires)


def _of_object(path: str, data: bytes) -> Generator[Found, None, None]:
    pairs: list[tuple[str, Any]] = []

    def keep(found: list[tuple[str, Any]]) -> dict[str, Any]:
        pairs[:] = found  # the last object to end is the whole one
        return dict(found)

    try:
        whole = json.loads(data, object_pairs_hook=keep) if data.strip() else {}
    except (ValueError, RecursionError) as exc:
        raise Corrupt(f"{path} is not JSON: {exc}; none of it was read") from exc
    if type(whole) is not dict:
        raise Corrupt(f"{path} holds a {type(whole).__name__}, and only an object has names for its values")
    yield from (Found(name, value) for name, value in pairs)


importer = JsonImporter()
