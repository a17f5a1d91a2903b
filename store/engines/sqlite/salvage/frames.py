"""Reads the frames of a write-ahead log, damaged or not, and the pages of a rollback journal.

The log: https://www.sqlite.org/fileformat2.html, section 4.

SQLite stops at the first frame whose checksum is wrong and ignores all commits after it. A frame's checksum starts
from the stored checksum of the previous frame, so a damaged frame does not invalidate the ones after it.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from operator import mul
from typing import NamedTuple, Protocol

from store.engines.sqlite.salvage.pages import SIZES
from store.system.descriptors import read_at

LOG_HEADER, FRAME_HEADER = 32, 24
_MAGICS = {0x377F0682: "<", 0x377F0683: ">"}  # the byte order of the checksums
_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MASK = 0xFFFFFFFF
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
_JOURNAL = struct.Struct(">8s5I")


class Log(Protocol):
    """The bytes of a log, all of them in memory or not."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class LogFile:
    """The bytes of an open log. A part that was cut off meanwhile reads as empty, not as an error."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __len__(self) -> int:
        return os.fstat(self._descriptor).st_size

    def __getitem__(self, part: slice, /) -> bytes:
        start = part.start or 0
        return read_at(self._descriptor, part.stop - start, start)


class Frame(NamedTuple):
    """One frame: its page, the size of the database if it ends a commit (else 0), the offset of its content.

    `current`: it belongs to this use of the log, not to one before the log restarted. `sums` is its stored checksum,
    `before` that of the previous frame.
    """

    page: int
    commit: int
    at: int
    current: bool
    sums: tuple[int, int]
    before: tuple[int, int]


def frames_of(log: Log, size: int) -> list[Frame]:
    """All frames of a log whose pages have that size, in order."""
    header = log[:LOG_HEADER]  # read once: a log in use may be truncated between two reads
    found = list(_read(log, size))
    if not found or len(header) < LOG_HEADER:
        return []
    salts = _salts(header, [frame for frame, _ in found])
    before = _pair(_HEADER.unpack(header)[6:8])
    frames = []
    for frame, at in found:
        sums = _pair(frame[4:6])
        frames.append(Frame(frame[0], frame[1], at, frame[2:4] == salts, sums, before))
        before = sums
    return frames


def _pair(numbers: tuple[int, ...]) -> tuple[int, int]:
    return numbers[0], numbers[1]


def is_sound(log: Log, frame: Frame, size: int) -> bool:
    """Whether the checksum of a frame is right: over 8 bytes of its header and its page, from the previous one."""
    order = _MAGICS.get(int.from_bytes(log[:4], "big"), "<")
    start = frame.at - FRAME_HEADER
    content = log[start : start + 8] + log[frame.at : frame.at + size]
    return frame.current and len(content) == 8 + size and _sums(content, frame.before, order) == frame.sums


def sound_length(descriptor: int, count: int, sums: tuple[int, int]) -> int | None:
    """The bytes of a log with so many frames, the last with that checksum; None: not all of its frames are sound."""
    if not count:  # everything is in the database, and the log begins anew
        return 0
    log = LogFile(descriptor)
    size = page_size(log)
    frames = frames_of(log, size)[:count] if size else []
    if len(frames) < count or frames[-1].sums != sums or not header_holds(log):
        return None
    return LOG_HEADER + count * (FRAME_HEADER + size) if all(is_sound(log, each, size) for each in frames) else None


def page_size(log: Log) -> int:
    """The page size in a log's header; 0 if it has none."""
    header = log[:LOG_HEADER]
    size = _HEADER.unpack(header)[2] if len(header) == LOG_HEADER else 0
    return size if size in SIZES else 0


def header_holds(log: Log) -> bool:
    """Whether the checksum of a log's header is right."""
    header = log[:LOG_HEADER]
    if len(header) < LOG_HEADER:
        return False
    magic, *_, one, two = _HEADER.unpack(header)
    return magic in _MAGICS and _sums(header[:-8], (0, 0), _MAGICS[magic]) == (one, two)


def _read(log: Log, size: int) -> Iterator[tuple[tuple[int, ...], int]]:
    for start in range(LOG_HEADER, len(log) - FRAME_HEADER - size + 1, FRAME_HEADER + size):
        header = log[start : start + FRAME_HEADER]
        if len(header) < FRAME_HEADER:  # it was cut off since
            return
        yield _FRAME.unpack(header), start + FRAME_HEADER


def _salts(header: bytes, frames: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The salts of the log's header, or of most frames if that is damaged."""
    if header_holds(header):
        return _HEADER.unpack(header)[4:6]
    return Counter(frame[2:4] for frame in frames).most_common(1)[0][0]


def _sums(content: bytes, before: tuple[int, int], order: str) -> tuple[int, int]:
    """SQLite's two sums (section 4.2): s0 += x[i] + s1; s1 += x[i+1] + s0; each modulo 2**32.

    They are linear in the words and in the initial values, so two products of vectors give the same, and faster.
    """
    words = array("I", content)
    if (order == "<") != (sys.byteorder == "little"):
        words.byteswap()
    one, two, (first, second, third) = _factors(len(words) // 2)
    return (
        (sum(map(mul, words, one)) + first * before[0] + second * before[1]) & _MASK,
        (sum(map(mul, words, two)) + second * before[0] + third * before[1]) & _MASK,
    )


@lru_cache(maxsize=4)
def _factors(pairs: int) -> tuple[list[int], list[int], tuple[int, int, int]]:
    """The factors of each word in both sums, and of the initial sums: powers of ((1 1) (1 2))."""
    one: list[int] = []
    two: list[int] = []
    a, b, c = 1, 0, 1
    for _ in range(pairs):
        one += (b, a + b)  # the second word of the pair, then the first: from the last pair on
        two += (c, b + c)
        a, b, c = (a + b) & _MASK, (b + c) & _MASK, (b + 2 * c) & _MASK
    return one[::-1], two[::-1], (a, b, c)


def journaled(journal: bytes, size: int) -> tuple[int, dict[int, int]]:
    """The number of pages before the transaction of a crashed writer's journal, and the offset of each saved page.

    (0, {}) if it is no journal, or was ended (https://www.sqlite.org/fileformat2.html, section 3).
    """
    pages: dict[int, int] = {}
    count = at = 0
    while journal[at : at + 8] == _JOURNAL_MAGIC and len(journal) >= at + _JOURNAL.size:
        _, records, nonce, before, sector, page = _JOURNAL.unpack_from(journal, at)
        if page != size or not 32 <= sector <= 65536:
            break
        count = count or before
        at += sector
        if records == _MASK:  # it was not synced: it has as many as the file
            records = (len(journal) - at) // (size + 8)
        for _ in range(records):
            number, content = int.from_bytes(journal[at : at + 4], "big"), journal[at + 4 : at + 4 + size]
            told = journal[at + 4 + size : at + 8 + size]
            if told != ((nonce + sum(content[size - 200 : 0 : -200])) & _MASK).to_bytes(4, "big"):
                return count, pages
            pages.setdefault(number, at + 4)
            at += size + 8
        at = -(-at // sector) * sector
    return count, pages
