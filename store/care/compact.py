"""`compact`: gives unused space back to the file system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from store.opened.namespace import Namespace


@dataclass(frozen=True, slots=True)
class Compaction:
    """What `compact` gave back; sizes are in bytes.

    `files` of replaced or deleted records and `orphans`, files of writes that were killed, took `file_bytes`;
    `database_bytes` is by how much the database and its log shrank. `files_left` are kept for a reader that sees an
    older state of the database: run it again.
    """

    files: int
    orphans: int
    file_bytes: int
    database_bytes: int
    files_left: int


def compact(ns: Namespace, progress: Callable[[int, int], None] | None = None) -> Compaction:
    """See `Store.compact`."""
    freed = ns.care.compact(progress)
    return Compaction(freed.files, freed.orphans, freed.file_bytes, freed.database_bytes, freed.files_left)
