"""The header of SQLite's WAL index, mapped read-only: it changes with every commit that anybody makes.

The file `<database>-shm` begins with two copies of a 48-byte header, which whoever commits rewrites and which SQLite
itself compares to tell whether its page cache is still good (https://www.sqlite.org/walformat.html, "WAL-Index
Header"; the first copy is written last). A map is only good while this process has a connection open that has read
through it: the last connection anywhere deletes the file, and the next one makes another.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

HEADER = slice(0, 48)
_CHANGES = slice(8, 12)  # iChange, one more with each commit; in the machine's byte order
_SALTS = slice(32, 40)  # of the log that the frames are in; others once it is begun anew


@dataclass(slots=True)
class _File:
    """What this process has of one file: descriptors, and the map, which hides one more before Python 3.13."""

    descriptors: list[int] = field(default_factory=list)
    index: mmap.mmap | None = None


# By device and inode. Closing any descriptor of a file drops all POSIX locks of the process on it, and SQLite's own
# are on this very file: nothing here is closed, nor left to the garbage collector, before the file is gone.
_files: dict[tuple[int, int], _File] = {}
_files_lock = threading.RLock()


def index_of(path: str) -> mmap.mmap | None:
    """The map of the WAL index of the database at `path`; None where there is none that can be mapped."""
    with _files_lock:
        try:
            status = os.stat(path + "-shm", follow_symlinks=False)
            known = _files.get((status.st_dev, status.st_ino)) or _opened(path + "-shm")
            if known.index is None:
                options: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}
                known.index = mmap.mmap(known.descriptors[0], HEADER.stop, access=mmap.ACCESS_READ, **options)
            return known.index
        except (OSError, ValueError):  # ValueError: it is shorter than a header, for it is only being made
            return None


def _opened(path: str) -> _File:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
    status = os.fstat(descriptor)
    file = _files.setdefault((status.st_dev, status.st_ino), _File())  # it may have been replaced since the look
    file.descriptors.append(descriptor)
    return file


def release_gone() -> None:
    """Close what is left of files that have been deleted: nobody has a lock on those any more."""
    with _files_lock:
        for inode, file in list(_files.items()):
            if os.fstat(file.descriptors[0]).st_nlink == 0:
                del _files[inode]
                _close(file)


def renew() -> None:
    """In a forked child, which holds no lock that could be dropped: begin anew."""
    global _files_lock  # noqa: PLW0603 - a lock that another thread held is held for ever here
    _files_lock = threading.RLock()
    for file in _files.values():
        _close(file)
    _files.clear()


def _close(file: _File) -> None:
    for descriptor in file.descriptors:
        os.close(descriptor)


def is_next(before: bytes, after: bytes) -> bool:
    """Whether exactly one commit lies between two headers, in one and the same log."""
    return _changes(after) == (_changes(before) + 1) % 2**32 and after[_SALTS] == before[_SALTS]


def _changes(header: bytes) -> int:
    return int.from_bytes(header[_CHANGES], sys.byteorder)
