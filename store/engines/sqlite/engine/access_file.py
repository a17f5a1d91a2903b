"""The file `<database>.access`: notes of the uses of records, and the figures of bounded caches.

Its layout: a header of `START` bytes, and a table of `store.engines.access_table`, which keeps the number of slots
that its maker chose. It holds hashes of names, times and counts, and no data: it may be deleted while the store is
closed, and is no part of a backup.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from store.engines.access_table import COUNTER_BYTES, MAX_SLOTS, MIN_SLOTS, AccessTable, size_for, slots_for
from store.engines.sqlite.engine.mapped_file import map_alone, map_beside

SUFFIX = ".access"
START = 64

_HEADER = struct.Struct("=24s4I")
_NAME = b"store: accesses 1"


def accesses_of(
    database: str,
    namespace: str,
    records: int,
    now: Callable[[], float],
    *,
    frequencies: bool,
    writes: bool,
    shared: bool,
) -> AccessTable:
    """The notes of a namespace of about that many records; `writes`: for a process that writes to the database.

    `shared` False: in memory of this process, as for a writer that cannot use the file. Others note nothing.
    """
    slots = slots_for(records)
    buffer: Any = None
    if shared:
        new = (lambda: _new(slots)) if writes else None
        buffer = map_beside(database + SUFFIX, database, _size_of, START, content=new)
    if buffer is None:
        buffer = map_alone(_new(slots if writes else MIN_SLOTS))
    return AccessTable(memoryview(buffer)[START:], namespace, now, frequencies=frequencies, writable=writes)


def header_for(slots: int) -> bytes:
    """The header of a file with that many slots."""
    return _HEADER.pack(_NAME, 1, START, COUNTER_BYTES, slots).ljust(START, b"\0")


def _new(slots: int) -> bytes:
    return header_for(slots).ljust(START + size_for(slots), b"\0")


def _size_of(header: bytes) -> int | None:
    """Of another layout, version or byte order it is not used."""
    if len(header) < START:
        return None
    slots = _HEADER.unpack_from(header)[-1]
    is_size = MIN_SLOTS <= slots <= MAX_SLOTS and not slots & (slots - 1)
    return START + size_for(slots) if is_size and header == header_for(slots) else None
