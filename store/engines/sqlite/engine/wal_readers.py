"""The part of the write-ahead log that readers keep from being folded in.

Each reader holds a shared lock on the byte of a mark, which says up to which frame of the log it reads
(https://www.sqlite.org/walformat.html, section 2.1): frames after it are not copied into the database, and the log
does not restart. The system reports the process that holds a lock, this one too if it is asked by an open file
description (https://man7.org/linux/man-pages/man2/F_GETLK.2const.html).
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import NamedTuple

from store.engines.sqlite.engine import wal_index
from store.system import range_locks

# In the machine's order: the size of a page; mxFrame; nBackfill, and the marks of five readers.
_PAGE, _FRAMES, _FOLDED = struct.Struct("=14xH"), struct.Struct("=16xI"), struct.Struct("=96x6I")
_FRAME_HEADER = 24
_FIRST_LOCK = 123  # the byte of the first mark


class Pinned(NamedTuple):
    """How many bytes of the log a reader keeps there, and its process, if the system knows it."""

    bytes: int
    process: int | None


NOTHING = Pinned(0, None)


def pinned(path: str) -> Pinned:
    """The pinned part of the log of the database at `path`, which this process has open; empty if unknown."""
    index = wal_index.index_of(path) if range_locks.AVAILABLE else None
    if index is None:
        return NOTHING
    with suppress(ValueError, OSError, struct.error):  # the map was closed by another thread
        (page,), (frames,) = _PAGE.unpack_from(index), _FRAMES.unpack_from(index)
        folded, *marks = _FOLDED.unpack_from(index)
        with wal_index.descriptor_of(path) as descriptor:
            holders = [range_locks.holder(descriptor, _FIRST_LOCK + number, 1) for number in range(len(marks))]
        readers = [(max(mark, folded), pid) for mark, pid in zip(marks, holders, strict=True) if pid is not None]
        if readers:
            least, process = min(readers)
            size = (65536 if page == 1 else page) + _FRAME_HEADER
            return Pinned(max(0, frames - least) * size, process if process > 0 and frames > least else None)
    return NOTHING
