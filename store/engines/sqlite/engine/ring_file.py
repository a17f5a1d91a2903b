"""The file `<database>.changes`: opening and creating the memory of the ring of changes.

The file only makes reads fast, so nothing here fails: a process that cannot use it follows its own commits in memory
of its own, and drops its caches when another process commits.

The file is created whole, with the rights of the database, and never changes its size or its content but for the
slots. A person who can write it can truncate it while it is mapped, which ends the processes that use it; the same is
true of SQLite's index `-shm`, which has the same rights.
"""

from __future__ import annotations

import mmap
import os
import stat
import sys
from contextlib import suppress
from typing import Any

from store.engines.sqlite.engine.ring import HEADER, SIZE, START, Ring
from store.engines.sqlite.opening.companions import is_of_store
from store.system.descriptors import NO_SURPRISE, Descriptor
from store.system.rights import make_whole_beside

SUFFIX = ".changes"

_OPTIONS: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}


def ring_of(database: str, *, writes: bool) -> Ring | None:
    """The ring of a database; `writes`: for a process that commits to it, which creates the file.

    A writer that cannot use the file gets a ring of its own, a reader None.
    """
    path = database + SUFFIX
    buffer = None
    with suppress(OSError, ValueError):  # ValueError: it became shorter
        if writes and not os.path.lexists(path):
            make_whole_beside(path, database, HEADER.ljust(SIZE, b"\0"))
        buffer = _mapped(path, database, writes=writes)
    if buffer is None and writes:
        buffer = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return None if buffer is None else Ring(buffer)


def _mapped(path: str, database: str, *, writes: bool) -> mmap.mmap | None:
    """The mapped file; None if it is no ring of this version, or belongs to a user who has no part in the store.

    What is mapped for writing has the header of a ring: so a link to another file changes nothing.
    """
    with Descriptor(path, (os.O_RDWR if writes else os.O_RDONLY) | NO_SURPRISE) as number:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode) or status.st_size != SIZE or not is_of_store(status, database):
            return None
        access = mmap.ACCESS_WRITE if writes else mmap.ACCESS_READ
        buffer = mmap.mmap(number, SIZE, access=access, **_OPTIONS)
        return buffer if buffer[:START] == HEADER else None
