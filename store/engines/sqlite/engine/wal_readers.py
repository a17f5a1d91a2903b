"""What readers keep from being folded out of the write-ahead log.

Each reader holds a shared lock on the byte of a mark, which says up to which frame of the log it reads
(https://www.sqlite.org/walformat.html, section 2.1): nothing behind that is copied into the database, nor the log
begun anew. The system tells who holds a lock, this process too where the question is one of an open file description
(https://man7.org/linux/man-pages/man2/F_GETLK.2const.html).
"""

from __future__ import annotations

import struct
import sys
from contextlib import suppress
from typing import NamedTuple

from store.engines.sqlite.engine import wal_index

# In the machine's order: the size of a page; mxFrame; nBackfill, and the marks of five readers.
_PAGE, _FRAMES, _FOLDED = struct.Struct("=14xH"), struct.Struct("=16xI"), struct.Struct("=96x6I")
_FRAME_HEADER = 24
_FIRST_LOCK = 123  # the byte of the first mark
_FLOCK = struct.Struct("hhqqi4x")  # struct flock: type, whence, start, length, process
_CAN_ASK = sys.platform == "linux" and sys.maxsize > 2**32  # for which that is its layout


class Pinned(NamedTuple):
    """How many bytes of the log a reader keeps in it; and its process, where the system knows."""

    bytes: int
    process: int | None


NOTHING = Pinned(0, None)


def pinned(path: str) -> Pinned:
    """Of the log of the database at `path`, which this process has open; nothing where that cannot be told."""
    index = wal_index.index_of(path) if _CAN_ASK else None
    if index is None:
        return NOTHING
    with suppress(ValueError, OSError, struct.error):  # the map was closed by another thread
        (page,), (frames,) = _PAGE.unpack_from(index), _FRAMES.unpack_from(index)
        folded, *marks = _FOLDED.unpack_from(index)
        readers = [
            (max(mark, folded), pid) for mark, pid in zip(marks, _holders(path), strict=True) if pid is not None
        ]
        if readers:
            least, process = min(readers)
            size = (65536 if page == 1 else page) + _FRAME_HEADER
            return Pinned(max(0, frames - least) * size, process if process > 0 and frames > least else None)
    return NOTHING


def _holders(path: str) -> list[int | None]:
    """The process that holds the lock of each mark, None where none does; 0 or less where it is not known."""
    from fcntl import F_OFD_GETLK, F_UNLCK, F_WRLCK, fcntl

    found: list[int | None] = []
    with wal_index.descriptor_of(path) as descriptor:
        for byte in range(_FIRST_LOCK, _FIRST_LOCK + 5):
            wanted = _FLOCK.pack(F_WRLCK, 0, byte, 1, 0)
            kind, _, _, _, process = _FLOCK.unpack(fcntl(descriptor, F_OFD_GETLK, wanted))
            found.append(None if kind == F_UNLCK else process)
    return found
