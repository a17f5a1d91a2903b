"""`verify`: whether every record of the file is what was written, without decoding any."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from store.errors import Corrupt, StorageError
from store.handle import Handle
from store.inspection import verdict_of
from store.large import no_files
from store.row import Row


@dataclass(slots=True)
class Verification:
    """What `verify` found in the whole file; records are (namespace, name).

    `sealed` counts those that a key of ours sealed; `foreign` ones are sealed by a key that is not here, `tampered`
    ones do not match the seal of ours they bear, `corrupt` ones do not match their checksum. `damage` is what
    SQLite's own check says of the file. `files` are (namespace, name, problem), one for each file of a large value
    that is missing, truncated or altered. `orphans` are files that no record names, left by writes that were killed:
    they do no harm, and `compact()` removes them.
    """

    sealed: int = 0
    foreign: list[tuple[str, str]] = field(default_factory=list)
    tampered: list[tuple[str, str]] = field(default_factory=list)
    corrupt: list[tuple[str, str]] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    files: list[tuple[str, str, str]] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all records are ours and sound, and the file is."""
        return not (self.foreign or self.tampered or self.corrupt or self.damage or self.files)

    def add(self, row: Row, verdict: str) -> None:
        """Count one record."""
        if verdict == "own":
            self.sealed += 1
        else:
            getattr(self, verdict).append((str(row.namespace), str(row.name)))


def verify(store: Handle[Any]) -> Verification:
    """See `Store.verify`."""
    store._check_open()
    found = Verification()
    try:
        found.damage += store._backend.damage()
    except (Corrupt, StorageError) as exc:  # the file cannot be read further, and that is what was asked
        found.damage.append(str(exc))
    try:
        for row in store._backend.every_row():
            found.add(row, verdict_of(store, row)[0] if row.has_column_types() else "corrupt")
            found.files += [(str(row.namespace), str(row.name), problem) for problem in _problems(store, row)]
        found.orphans += store._backend.orphans()
    except (Corrupt, StorageError) as exc:
        found.damage.append(str(exc))
    return found


def _problems(store: Handle[Any], row: Row) -> list[str]:
    """What is wrong with the files of a record; one that was replaced meanwhile is looked at again."""
    if row.spill is None or not row.has_column_types():
        return []
    large = store._pipeline.large
    problems = [no_files().message] if large is None else large.problems(row)
    if not problems:
        return []
    now = store._backend.get(row.namespace, row.name, -math.inf)
    if now is not None and now.spill == row.spill:
        return problems
    return [] if now is None else _problems(store, now)
