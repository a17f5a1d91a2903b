"""What a transaction has read while others write the namespace: its writes must not overwrite their changes.

A row that is read is locked until the transaction ends, so that the write may be blind. There is no lock on a row
that does not exist, and ROLLBACK TO SAVEPOINT releases the locks that were taken since: there the write is compared
with the state that was read.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

Key = tuple[str, str]
"""Namespace and name."""
Version = tuple[int, int]
"""Id and revision: no two committed states of a record have the same ones."""


class Sight(Enum):
    """What the transaction knows of a record that it is about to write, unless it is a `Version` to compare with."""

    SAFE = "safe"
    """It was not read, or its row is locked."""
    ABSENT = "absent"
    """It was not there."""


class Mark(NamedTuple):
    """The state at a savepoint."""

    locked: frozenset[Key]
    written: frozenset[Key]
    absent: frozenset[Key]


class Seen:
    """The records that a transaction has read and written."""

    def __init__(self) -> None:
        self._absent: set[Key] = set()
        self._undone: set[Key] = set()  # of those: they were read in a savepoint that was rolled back
        self._versions: dict[Key, Version] = {}
        self._locked: set[Key] = set()
        self._written: set[Key] = set()

    def found(self, key: Key, version: Version) -> None:
        """A record was read, and its row is locked."""
        self._absent.discard(key)
        self._undone.discard(key)
        self._locked.add(key)
        if key not in self._written:
            self._versions[key] = version

    def missed(self, keys: Iterable[Key]) -> None:
        """There were no such records."""
        new = {key for key in keys if key not in self._written}
        self._absent |= new
        self._undone -= new

    def wrote(self, key: Key) -> None:
        """The transaction wrote or deleted a record, which nobody else can change now."""
        self._written.add(key)

    def sight(self, key: Key) -> Sight | Version:
        """What a write of that record must expect."""
        if key in self._written or key in self._locked:
            return Sight.SAFE
        return Sight.ABSENT if key in self._absent else self._versions.get(key, Sight.SAFE)

    def was_absent(self, key: Key) -> bool:
        """Whether it was not there, so that another writer came first if it is there now."""
        return key in self._absent and key not in self._undone and key not in self._written

    def mark(self) -> Mark:
        return Mark(frozenset(self._locked), frozenset(self._written), frozenset(self._absent))

    def go_back(self, mark: Mark) -> None:
        """The locks and writes since then are undone; the reads stay."""
        self._locked, self._written = set(mark.locked), set(mark.written)
        self._undone |= self._absent - mark.absent
