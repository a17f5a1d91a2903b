"""The header of SQLite's WAL index, mapped read-only: it changes with every commit that anybody makes.

The file `<database>-shm` begins with two copies of a 48-byte header, which whoever commits rewrites and which SQLite
itself compares to tell whether its page cache is still good (https://www.sqlite.org/walformat.html, "WAL-Index
Header"; the first copy is written last). A map is only good while this process has a connection open that has read
through it: the last connection anywhere deletes the file, and the next one makes another.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import threading
from typing import Any

HEADER = slice(0, 48)
# iChange, one more with each commit, and the salts of the log, others once it is begun anew; in the machine's order.
_COUNTERS = struct.Struct("=8xI20xQ")
_FRAMES = struct.Struct("=16xI")  # mxFrame, the last valid frame of the log
_OPTIONS: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}


class _File:
    """What this process has of one file: descriptors, and the map, which hides one more before Python 3.13."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []
        self.index: mmap.mmap | None = None

    def count(self) -> int:
        """How many descriptors there are, the hidden one as well."""
        return len(self.descriptors) + (self.index is not None and "trackfd" not in _OPTIONS)

    def close(self) -> None:
        """Whoever still has the map gets a ValueError from it."""
        if self.index is not None:
            self.index.close()
        for descriptor in self.descriptors:
            os.close(descriptor)


# By device and inode. Closing any descriptor of a file drops all POSIX locks of the process on it, and SQLite's own
# are on this very file: nothing here is closed, nor left to the garbage collector, while SQLite has it open.
_files: dict[tuple[int, int], _File] = {}
_files_lock = threading.RLock()


def index_of(path: str) -> mmap.mmap | None:
    """The map of the WAL index of the database at `path`; None where there is none that can be mapped."""
    with _files_lock:
        try:
            status = os.stat(path + "-shm", follow_symlinks=False)
            known = _files.get((status.st_dev, status.st_ino)) or _opened(path + "-shm")
            if known.index is None:
                known.index = mmap.mmap(known.descriptors[0], HEADER.stop, access=mmap.ACCESS_READ, **_OPTIONS)
            return known.index
        except (OSError, ValueError):  # ValueError: it is shorter than a header, for it is only being made
            return None


def _opened(path: str) -> _File:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
    status = os.fstat(descriptor)
    file = _files.setdefault((status.st_dev, status.st_ino), _File())  # it may have been replaced since the look
    file.descriptors.append(descriptor)
    return file


def release_unused() -> None:
    """Close what was opened of files that SQLite has closed: all that are deleted, and others none has open here.

    A file is left behind by a connection that may only read, and where other processes are at work.
    """
    with _files_lock:
        for inode, file in list(_files.items()):
            if os.fstat(file.descriptors[0]).st_nlink == 0 or _descriptors_of(inode) <= file.count():
                del _files[inode]
                file.close()


def _descriptors_of(inode: tuple[int, int]) -> int:
    """How many descriptors of this process are of that file."""
    found = 0
    for number in os.listdir("/dev/fd"):
        try:
            status = os.fstat(int(number))
        except OSError:  # that of the listing
            continue
        found += (status.st_dev, status.st_ino) == inode
    return found


def renew() -> None:
    """In a forked child, which holds no lock that could be dropped: begin anew."""
    global _files_lock  # noqa: PLW0603 - a lock that another thread held is held for ever here
    _files_lock = threading.RLock()
    for file in _files.values():
        file.close()
    _files.clear()


def is_next(before: bytes, after: bytes) -> bool:
    """Whether exactly one commit lies between two headers, in one and the same log."""
    changes, salts = _COUNTERS.unpack_from(before)
    return _COUNTERS.unpack_from(after) == ((changes + 1) % 2**32, salts)


def frames_in(index: mmap.mmap) -> int:
    """How many frames the log has, those that are in the database already included."""
    frames: int = _FRAMES.unpack_from(index)[0]
    return frames
