"""The pages of SQLite's file format, read from bytes that may be damaged (https://www.sqlite.org/fileformat2.html).

Nothing here trusts the bytes: a number that leads out of its page, or in a circle, gives None.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

INDEX_INNER, TABLE_INNER, INDEX_LEAF, TABLE_LEAF = 0x02, 0x05, 0x0A, 0x0D  # on disk: section 1.6
MAGIC = b"SQLite format 3\0"
FILE_HEADER = 100  # bytes before the b-tree of page 1
SIZES = (4096, 1024, 8192, 2048, 16384, 32768, 65536, 512)  # of a page, likely ones first
NULL_TYPE, REAL_TYPE, ZERO_TYPE, ONE_TYPE = 0, 7, 8, 9

_HEAD = struct.Struct(">BHHHB")
_FREEBLOCK = struct.Struct(">HH")
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # serial type → bytes


class Format(NamedTuple):
    """The format of the file: the size of a page, and how many bytes of it are usable."""

    size: int
    usable: int

    def local(self, payload: int, *, table: bool) -> int:
        """How many bytes of a payload are in its cell; the rest is on overflow pages (section 1.6)."""
        largest = self.usable - 35 if table else (self.usable - 12) * 64 // 255 - 23
        if payload <= largest:
            return payload
        least = (self.usable - 12) * 32 // 255 - 23
        size = least + (payload - least) % (self.usable - 4)
        return size if size <= largest else least


class Cell(NamedTuple):
    """The parts of a cell: `at` is the offset of its payload in the page, `child` the page to its left."""

    at: int
    payload: int
    rowid: int
    child: int
    end: int


class Node(NamedTuple):
    """A page of a b-tree. `sound`: its parts fill it without gaps or overlaps."""

    kind: int
    cells: list[Cell]
    right: int
    sound: bool


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and the offset of its end. Raises: IndexError: the data ends before."""
    value = 0
    for end in range(at, at + 8):
        byte = data[end]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, end + 1
    return value << 8 | data[at + 8], at + 9


def signed(value: int) -> int:
    """A row id from its unsigned value."""
    return value - 2**64 if value >= 2**63 else value


def varint_bytes(value: int) -> bytes:
    """The encoding of a number up to 2**56."""
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(value & 0x7F | 0x80)
    return bytes(reversed(parts))


def node_of(data: bytes, form: Format, at: int = 0) -> Node | None:
    """The b-tree page with its header at `at`; None if it is not one."""
    try:
        kind, freeblock, count, start, fragments = _HEAD.unpack_from(data, at)
        if kind not in (INDEX_INNER, TABLE_INNER, INDEX_LEAF, TABLE_LEAF):
            return None
        inner = kind in (INDEX_INNER, TABLE_INNER)
        right = int.from_bytes(data[at + 8 : at + 12], "big") if inner else 0
        first = at + (12 if inner else 8)
        start = start or 65536
        room = max(0, min(count, (form.usable - first) // 2))
        places = struct.unpack_from(f">{room}H", data, first)
    except struct.error:
        return None
    cells = [cell for place in places if (cell := _cell(data, form, kind, place, first + 2 * room)) is not None]
    used = sum(cell.end - place for cell, place in zip(cells, places, strict=False))
    sound = (
        len(cells) == count
        and first + 2 * count <= start <= form.usable
        and all(place >= start for place in places)
        and used + _free(data, freeblock, form.usable) + fragments == form.usable - start
    )
    return Node(kind, cells, right, sound)


def _cell(data: bytes, form: Format, kind: int, place: int, least: int) -> Cell | None:
    """The cell at an offset of a page; None if it is not valid."""
    if not least <= place < form.usable:
        return None
    try:
        at, child, payload, rowid = place, 0, 0, 0
        if kind in (INDEX_INNER, TABLE_INNER):
            child = int.from_bytes(data[at : at + 4], "big")
            at += 4
        if kind != TABLE_INNER:
            payload, at = varint(data, at)
        if kind in (TABLE_INNER, TABLE_LEAF):
            rowid, at = varint(data, at)
    except IndexError:
        return None
    local = 0 if kind == TABLE_INNER else form.local(payload, table=kind == TABLE_LEAF)
    end = max(at + local + (4 if local < payload else 0), place + 4)  # a cell takes four bytes at least
    return Cell(at, payload, signed(rowid), child, end) if end <= form.usable else None


def _free(data: bytes, freeblock: int, usable: int) -> int:
    """The bytes of the freeblocks of a page; -1 if their chain is broken."""
    total = before = 0
    while freeblock:
        if not before < freeblock <= usable - 4:
            return -1
        before = freeblock
        freeblock, size = _FREEBLOCK.unpack_from(data, freeblock)
        total += size
    return total


def record_values(payload: bytes) -> list[Any] | None:
    """The columns of a record (section 2.1); text that is not UTF-8 stays bytes. None if it is not a record."""
    try:
        size, at = varint(payload, 0)
        types = []
        while at < size:
            kind, at = varint(payload, at)
            types.append(kind)
    except IndexError:
        return None
    if at != size or sum(map(type_bytes, types)) != len(payload) - size:
        return None
    return list(values_at(payload, size, types))


def values_at(data: bytes, at: int, types: list[int]) -> Iterator[Any]:
    """The values of these serial types, in order."""
    for kind in types:
        size = type_bytes(kind)
        yield _value(kind, data[at : at + size])
        at += size


def type_bytes(kind: int) -> int:
    """The size of a value of a serial type."""
    if kind >= 12:
        return (kind - 12) // 2
    return 8 if kind == REAL_TYPE else _INTEGERS.get(kind, 0)


def _value(kind: int, content: bytes) -> Any:
    if kind >= 12:
        if kind % 2 == 0:
            return content
        try:
            return content.decode()
        except UnicodeDecodeError:
            return content
    if kind in _INTEGERS:
        return int.from_bytes(content, "big", signed=True)
    if kind == REAL_TYPE:
        return struct.unpack(">d", content)[0]
    return {ZERO_TYPE: 0, ONE_TYPE: 1}.get(kind)
