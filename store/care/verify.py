"""`verify`: whether every record of the file is what was written, without decoding any."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from store.care.inspect import verdict_of
from store.errors import Corrupt, StorageError
from store.opened.handle import Handle
from store.rows.row import Row
from store.values.large import no_files


@dataclass(slots=True)
class Verification:
    """What `verify` found in the whole file; records are (namespace, name).

    `sealed` counts those that a key of ours sealed; `foreign` ones are sealed by a key that is not here, `tampered`
    ones do not match the seal of ours they bear, `corrupt` ones do not match their checksum or cannot be read.
    `unfound` are there, and their index does not lead to them. `damage` is what is wrong with the file itself, in the
    words of SQLite's own check and ours. `files` are (namespace, name, problem), one for each file of a large value
    that is missing, truncated or altered. `orphans` are files that no record names, left by writes that were killed:
    they do no harm, and `compact()` removes them. `unread` counts commits that SQLite cannot read, since its log is
    broken before them: a power cut leaves some with `durability="normal"`; `store recover` gets at them.
    """

    sealed: int = 0
    foreign: list[tuple[str, str]] = field(default_factory=list)
    tampered: list[tuple[str, str]] = field(default_factory=list)
    corrupt: list[tuple[str, str]] = field(default_factory=list)
    unfound: list[tuple[str, str]] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    files: list[tuple[str, str, str]] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    unread: int = 0

    @property
    def ok(self) -> bool:
        """Whether all records are ours and sound, and the file is."""
        return not (self.foreign or self.tampered or self.corrupt or self.unfound or self.damage or self.files)

    def add(self, row: Row, verdict: str) -> None:
        """Count one record."""
        if verdict == "own":
            self.sealed += 1
        else:
            getattr(self, verdict).append(_place_of(row))


def verify(store: Handle[Any], *, quick: bool = False) -> Verification:
    """See `Store.verify`."""
    store._check_open()
    found = Verification()
    for part in (_check_file, _check_records, _check_beside):
        try:
            part(store, found, quick)
        except (Corrupt, StorageError) as exc:  # it cannot be read further, and that is what was asked
            found.damage.append(str(exc))
    found.damage = list(dict.fromkeys(found.damage))  # each part may have come upon the same
    return found


def _check_file(store: Handle[Any], found: Verification, quick: bool) -> None:
    found.damage += store._backend.damage(quick=quick)
    found.unread = store._backend.unread_commits()


def _check_records(store: Handle[Any], found: Verification, quick: bool) -> None:
    for row in store._backend.rows(found.damage):
        if isinstance(row, Row):
            _check(store, found, row, quick)
        else:
            found.corrupt.append(row)
    if found.damage and not quick:
        found.unfound += store._backend.unfound(found.damage)


def _check(store: Handle[Any], found: Verification, row: Row, quick: bool) -> None:
    verdict = verdict_of(store, row)[0] if row.has_column_types() else "corrupt"
    found.add(row, verdict)
    if verdict == "own" and not store._pipeline.sealer.has_checksum(row):
        found.damage.append(f"the checksum of {_place_of(row)} is damaged; its seal holds, and it can be read")
    problems = _problems(store, row, content=not quick, foreign=verdict != "own")
    found.files += [(*_place_of(row), problem) for problem in problems]


def _check_beside(store: Handle[Any], found: Verification, quick: bool) -> None:
    found.orphans += store._backend.orphans()


def _place_of(row: Row) -> tuple[str, str]:
    return str(row.namespace), str(row.name)


def _problems(store: Handle[Any], row: Row, *, content: bool, foreign: bool) -> Iterator[str]:
    """What is wrong with the files of a record; one that was replaced meanwhile is looked at again."""
    if row.spill is None or not row.has_column_types():
        return
    large = store._pipeline.large
    problems = [no_files().message] if large is None else large.problems(row, content=content, foreign=foreign)
    if not problems:
        return
    now = store._backend.get(row.namespace, row.name, -math.inf)
    if now is not None and now.spill != row.spill:
        yield from _problems(store, now, content=content, foreign=verdict_of(store, now)[0] != "own")
    elif now is not None:
        yield from problems
