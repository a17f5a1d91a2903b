"""The log that the shim writes (`shim/record.c`), as entries."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

KINDS = "mark write truncate sync create mkdir rename link unlink rmdir".split()
"""As `enum entry` of `shim.h` numbers them."""
_HEAD = struct.Struct("=4I3Q")


class Entry(NamedTuple):
    """One thing that happened. `number` is an offset or a new size; a mark has its text in `path`."""

    kind: str
    path: str
    other: str
    inode: int
    number: int
    data: bytes


def entries(log: Path) -> Iterator[Entry]:
    """All of a log, in their order."""
    text = log.read_bytes()
    at = 0
    while at < len(text):
        kind, path, other, _, inode, number, size = _HEAD.unpack_from(text, at)
        at += _HEAD.size
        parts = []
        for length in (path, other, size):
            parts.append(text[at : at + length])
            at += length
        yield Entry(KINDS[kind], parts[0].decode(), parts[1].decode(), inode, number, parts[2])
