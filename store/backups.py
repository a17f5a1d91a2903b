"""`backup` and `restore`: all of a store in another place, and back."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from store.handle import Handle, locate

Progress = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class Backup:
    """What was backed up: records, files of large values, and the bytes of database and files together."""

    path: str
    records: int
    files: int
    bytes: int


def backup(store: Handle[Any], path: str | os.PathLike[str], progress: Progress | None) -> Backup:
    """See `Store.backup`."""
    store._check_open()
    _, target = locate(path)
    if target == ":memory:":
        raise ValueError("a backup in memory would be gone with this process; give the path of a file")
    store.sync()
    copied = store._backend.backup(target, store._pipeline.sealer.check, progress)
    return Backup(target, copied.records, len(copied.parts), copied.database_bytes + copied.file_bytes)
