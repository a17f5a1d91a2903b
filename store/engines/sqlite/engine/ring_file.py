"""The file `<database>.changes`: opening and creating the memory of the ring of changes.

A process that cannot use it follows its own commits in memory of its own, and drops its caches when another process
commits.
"""

from __future__ import annotations

from store.engines.sqlite.engine.mapped_file import map_alone, map_beside
from store.engines.sqlite.engine.ring import HEADER, SIZE, START, Ring

SUFFIX = ".changes"


def ring_of(database: str, *, writes: bool) -> Ring | None:
    """The ring of a database; `writes`: for a process that commits to it, which creates the file.

    A writer that cannot use the file gets a ring of its own, a reader None.
    """
    buffer = map_beside(database + SUFFIX, database, _size_of, START, content=_content if writes else None)
    if buffer is None and writes:
        buffer = map_alone(_content())
    return None if buffer is None else Ring(buffer)


def _size_of(header: bytes) -> int | None:
    return SIZE if header == HEADER else None


def _content() -> bytes:
    return HEADER.ljust(SIZE, b"\0")
