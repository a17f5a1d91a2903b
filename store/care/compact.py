"""`compact`: space that nothing needs, given back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from store.opened.handle import Handle


@dataclass(frozen=True, slots=True)
class Compaction:
    """What `compact` gave back; sizes are in bytes.

    `files` of records that were replaced or deleted, and `orphans`, files of writes that were killed before their
    end, took `file_bytes`; `database_bytes` is by how much the database and its log are smaller. `files_left` wait
    for a reader that has an older state of the database before it: run it again.
    """

    files: int
    orphans: int
    file_bytes: int
    database_bytes: int
    files_left: int


def compact(store: Handle[Any], progress: Callable[[int, int], None] | None = None) -> Compaction:
    """See `Store.compact`."""
    freed = store._backend.compact(progress)
    return Compaction(freed.files, freed.orphans, freed.file_bytes, freed.database_bytes, freed.files_left)
