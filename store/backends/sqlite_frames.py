"""The frames of a write-ahead log, damaged or not (https://www.sqlite.org/fileformat2.html, section 4).

SQLite stops at the first frame whose checksum is wrong and forgets all that was committed after it. A frame's
checksum begins with that of the frame before, as it is stored: so one damaged frame can be told from the good ones
behind it.
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from store.backends.sqlite_pages import SIZES

LOG_HEADER, FRAME_HEADER = 32, 24
_MAGICS = {0x377F0682: "<", 0x377F0683: ">"}  # the byte order of the checksums
_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")


class Frame(NamedTuple):
    """One frame: which page, the size of the database where it ends a commit (else 0), where its content begins.

    `current`: it is of this use of the log, and not what an earlier one left. `sound`: its checksum holds.
    """

    page: int
    commit: int
    at: int
    current: bool
    sound: bool


def frames_of(log: bytes, size: int) -> list[Frame]:
    """All frames of a log whose pages have that size, in their order."""
    found = list(_read(log, size))
    if not found:
        return []
    salts = _salts(log, [frame for frame, _ in found])
    order = _MAGICS.get(int.from_bytes(log[:4], "big"), "<")
    stored = [_HEADER.unpack_from(log)[6:8], *(frame[4:6] for frame, _ in found)]
    return [
        Frame(
            frame[0], frame[1], at, current := frame[2:4] == salts,
            current and checksum(log, at, size, before, order) == after,
        )
        for (frame, at), (before, after) in zip(found, pairwise(stored), strict=True)
    ]  # fmt: skip


def page_size(log: bytes) -> int:
    """The size of a page that a log's header gives; 0 where it gives none."""
    size = _HEADER.unpack_from(log)[2] if len(log) >= LOG_HEADER else 0
    return size if size in SIZES else 0


def header_holds(log: bytes) -> bool:
    """Whether the header of a log is what was written."""
    if len(log) < LOG_HEADER:
        return False
    magic, *_, one, two = _HEADER.unpack_from(log)
    return magic in _MAGICS and _sums(log[: LOG_HEADER - 8], (0, 0), _MAGICS[magic]) == (one, two)


def checksum(log: bytes, at: int, size: int, before: tuple[int, ...], order: str) -> tuple[int, int]:
    """That of a frame, from the one that is stored before it; over the first 8 bytes of its header, and its page."""
    start = at - FRAME_HEADER
    return _sums(log[start : start + 8] + log[at : at + size], before, order)


def _read(log: bytes, size: int) -> Iterator[tuple[tuple[int, ...], int]]:
    for start in range(LOG_HEADER, len(log) - FRAME_HEADER - size + 1, FRAME_HEADER + size):
        yield _FRAME.unpack_from(log, start), start + FRAME_HEADER


def _salts(log: bytes, frames: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Those of the log's header, or of most frames where that is damaged."""
    if header_holds(log):
        return _HEADER.unpack_from(log)[4:6]
    return Counter(frame[2:4] for frame in frames).most_common(1)[0][0]


def _sums(content: bytes, before: tuple[int, ...], order: str) -> tuple[int, int]:
    """SQLite's two sums, each modulo 2**32 (section 4.2)."""
    words = array("I", content)
    if (order == "<") != (array("H", b"\1\0")[0] == 1):
        words.byteswap()
    one, two = before[0], before[1]
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
