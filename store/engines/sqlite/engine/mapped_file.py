"""Files beside a database whose content all processes map: opened with care, and made whole.

Such a file has the rights of the database and begins with a header, by which it is known. It never changes its size.
It only makes things fast or good, so a process that cannot use it does without: nothing here fails.

A person who can write it can truncate it while it is mapped, which ends the processes that use it; the same is true
of SQLite's index `-shm`, which has the same rights.
"""

from __future__ import annotations

import mmap
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from store.engines.sqlite.opening.companions import is_of_store
from store.system.descriptors import NO_SURPRISE, Descriptor, read_at
from store.system.rights import make_whole_beside

_OPTIONS: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}


def map_beside(
    path: str,
    database: str,
    size_of: Callable[[bytes], int | None],
    header_bytes: int,
    *,
    content: Callable[[], bytes] | None,
) -> mmap.mmap | None:
    """The mapped file; None if it cannot be used.

    `size_of`: the size of a file with that header; None: it is not such a file. `content`: what a new file begins
    with, for a process that writes to it; None: for one that reads.
    """
    with suppress(OSError, ValueError):  # ValueError: it became shorter
        if content is not None and not os.path.lexists(path):
            make_whole_beside(path, database, content())
        return _mapped(path, database, size_of, header_bytes, writes=content is not None)
    return None


def map_alone(content: bytes) -> mmap.mmap:
    """Memory of this process that begins like such a file, for one that cannot use the file."""
    buffer = mmap.mmap(-1, len(content), **_PRIVATE)
    buffer[:] = content
    return buffer


_PRIVATE: dict[str, Any] = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}


def _mapped(
    path: str, database: str, size_of: Callable[[bytes], int | None], header_bytes: int, *, writes: bool
) -> mmap.mmap | None:
    """None if it is no such file, or belongs to a user who has no part in the store.

    What is mapped for writing has the right header: so a link to another file changes nothing.
    """
    with Descriptor(path, (os.O_RDWR if writes else os.O_RDONLY) | NO_SURPRISE) as number:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode) or not is_of_store(status, database):
            return None
        header = read_at(number, header_bytes, 0)
        size = size_of(header)
        if size is None or status.st_size != size:
            return None
        access = mmap.ACCESS_WRITE if writes else mmap.ACCESS_READ
        buffer = mmap.mmap(number, size, access=access, **_OPTIONS)
        return buffer if buffer[:header_bytes] == header else None
