"""Finds rows of `records` by their byte pattern when no page refers to them any more.

A row begins with the serial types of its columns (https://www.sqlite.org/fileformat2.html, section 2.1), of which the
seal's is always the same. A match may be part of other data: the caller checks the seal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from store.engines.sqlite.salvage.pages import Cell, Format, signed, type_bytes, varint, varint_bytes
from store.rows.row import Row

_ANY, _INT, _REAL = rb"[\x80-\xff]{0,8}[\x00-\x7f]", rb"[\x01-\x06\x08\x09]", rb"[\x01-\x09]"
# Size and id come first and are not looked at. Then namespace, name, codec, protocol, type, python, body, spill, seal
# (24 bytes: 0x3c), crc, revision, created, modified and expires. In a look-ahead: one may begin inside another.
_TYPES = re.compile(rb"(?s)(?=..(" + _ANY * 3 + _INT + _ANY * 4 + rb"\x3c" + _INT * 2 + _REAL * 2 + rb"[\x00-\x09]))")
_STORE_ID = re.compile(rb"(?s)(?=\x2c[\x01\x08\x09](.{16}))")  # a row of `identity`: 16 bytes and a small number


def carved(data: bytes, form: Format) -> Iterator[tuple[Cell, bool]]:
    """Matches anywhere on a page, each as a cell, and whether its row id is known."""
    for match in _TYPES.finditer(data):
        at, types = match.start(), match[1]
        payload = 2 + len(types)
        place = 0
        while place < len(types):
            kind, place = varint(types, place)
            payload += type_bytes(kind)
        local = form.local(payload, table=True)
        end = at + local + (4 if local < payload else 0)
        if end <= len(data):
            rowid = _rowid_before(data, at, payload)
            yield Cell(at, payload, rowid or 0, 0, end), rowid is not None


def mended(payload: bytes) -> bytes:
    """The payload of a carved row, with its first two bytes, which the pattern does not check, filled in."""
    match = _TYPES.match(payload)
    return payload if match is None else bytes((2 + len(match[1]), 0)) + payload[2:]


def store_ids(data: bytes) -> Iterator[bytes]:
    """Candidates for the id of the store."""
    for match in _STORE_ID.finditer(data):
        yield match[1]


def row_of(values: list[object] | None, rowid: int | None) -> Row | None:
    """The row with these columns; None if they are not one. SQLite stores a whole REAL as an integer."""
    if values is None or len(values) != len(Row._fields):
        return None
    times = [float(value) if type(value) is int else value for value in values[-3:]]
    row = Row._make([rowid, *values[1:-3], *times])
    return row if row.has_types() else None


def _rowid_before(data: bytes, at: int, payload: int) -> int | None:
    """The row id between the size of the payload and the payload, if both exist."""
    size = varint_bytes(payload)
    for length in range(1, 10):
        start = at - length
        if start - len(size) >= 0 and data[start - len(size) : start] == size:
            value, end = varint(data + bytes(9), start)
            if end == at:
                return signed(value)
    return None
