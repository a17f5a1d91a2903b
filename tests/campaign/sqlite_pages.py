"""Where in a database file the bytes of each record lie, so that a test knows whom a damage hits.

After "B-tree Pages" and "Cell Payload Overflow Pages" of https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

TABLE_INTERIOR, TABLE_LEAF = 0x05, 0x0D
HEADER_BYTES = 100  # of the database, in front of the first page

Piece = tuple[int, int, int, int]  # row id, and where cell and payload begin, and end
Owner = tuple[str, str]  # namespace, name


def owners_of(path: Path) -> tuple[list[Owner | None], list[Owner | None]]:
    """For each byte of a sound file, whose payload it is, and whose cell; None: structure, an index, or nobody's.

    The two numbers in front of a payload in its cell, its length and the row id, are no payload: by them SQLite finds
    the cells around it.
    """
    with closing(sqlite3.connect(path)) as conn:
        size = conn.execute("PRAGMA page_size").fetchone()[0]
        root = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'records'").fetchone()[0]
        names = {row: (namespace, name) for row, namespace, name in conn.execute("SELECT id, namespace, name FROM records")}
    content = path.read_bytes()
    payloads: list[Owner | None] = [None] * len(content)
    cells: list[Owner | None] = [None] * len(content)
    for row, cell, start, end in _payloads(content, size, root):
        payloads[start:end] = [names[row]] * (end - start)
        cells[cell:end] = [names[row]] * (end - cell)
    return payloads, cells


def _payloads(content: bytes, size: int, page: int) -> list[Piece]:
    """Of all cells below a page of a table; each overflow page of one is a piece of its own."""
    base = (page - 1) * size
    header = base + (HEADER_BYTES if page == 1 else 0)
    kind, cells = content[header], int.from_bytes(content[header + 3 : header + 5])
    assert kind in (TABLE_INTERIOR, TABLE_LEAF)
    pointers = header + (8 if kind == TABLE_LEAF else 12)
    found = []
    for number in range(cells):
        cell = base + int.from_bytes(content[pointers + 2 * number : pointers + 2 * number + 2])
        if kind == TABLE_INTERIOR:
            found += _payloads(content, size, int.from_bytes(content[cell : cell + 4]))
        else:
            found += _payload(content, size, cell)
    if kind == TABLE_INTERIOR:
        found += _payloads(content, size, int.from_bytes(content[header + 8 : header + 12]))
    return found


def _payload(content: bytes, size: int, cell: int) -> list[Piece]:
    length, start = _varint(content, cell)
    row, start = _varint(content, start)
    most, least = size - 35, (size - 12) * 32 // 255 - 23
    if length <= most:
        return [(row, cell, start, start + length)]
    local = least + (length - least) % (size - 4)
    local = local if local <= most else least
    found = [(row, cell, start, start + local + 4)]  # with the number of the next page
    page = int.from_bytes(content[start + local : start + local + 4])
    while page:
        base = (page - 1) * size
        found.append((row, base, base, base + size))
        page = int.from_bytes(content[base : base + 4])
    return found


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for number in range(9):
        byte = content[at + number]
        if number == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + number + 1
    raise AssertionError
