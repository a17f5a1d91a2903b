"""`compact`: space that nothing needs, given back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from store.handle import Handle

V = TypeVar("V")


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


class Compacting(Handle[V]):
    """The part of `Store` that gives space back."""

    def compact(self) -> Compaction:
        """Removes files that no record needs any more, and gives free pages of the database back to the file system.

        Readers and other writers go on meanwhile; files of a write in progress are left alone.

        Raises:
            StoreError: this thread is in a transaction. ReadOnly, LockTimeout, StorageError: as any write.
        """
        freed = self._backend.compact()
        return Compaction(
            freed.files, freed.orphans, freed.file_bytes, freed.database_bytes, freed.files_left
        )  # fmt: skip
