"""Writes of rows whose large parts were written before them: row and claim of the parts are one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from store.engines.contract import Applied, Change, Put
from store.engines.postgres.blobs import PostgresBlobs
from store.engines.postgres.handle import Handle
from store.engines.postgres.writing import Writing
from store.rows.row import Row

T = TypeVar("T")


class Claiming:
    """The members of `Writing` that put rows."""

    def __init__(self, handle: Handle, writing: Writing, blobs: PostgresBlobs) -> None:
        self._handle = handle
        self._writing = writing
        self._blobs = blobs

    def put(self, row: Row) -> None:
        if row.spill is None:
            self._writing.put(row)
        else:
            self._claimed([row], lambda: self._writing.put(row))

    def apply(self, namespace: str, changes: Sequence[Change], *, stamps: bool = False) -> Applied:
        rows = [row for change in changes if (row := _row_of(change)) is not None]
        return self._claimed(rows, lambda: self._writing.apply(namespace, changes, stamps=stamps))

    def load(self, rows: Sequence[Row]) -> None:
        self._claimed(rows, lambda: self._writing.load(rows))

    def _claimed(self, rows: Sequence[Row], write: Callable[[], T]) -> T:
        large = [row for row in rows if row.spill is not None and self._blobs.is_pending(row.spill)]
        if not large:
            return write()

        def write_and_claim() -> T:
            result = write()
            transaction = self._handle.server.visitors.current().live_transaction()
            assert transaction is not None
            for row in large:  # after the row, in the order in which a delete locks them
                self._blobs.claim(row, transaction)
            return result

        return self._writing.restarting((large[0].namespace, ()), write_and_claim)


def _row_of(change: Change) -> Row | None:
    if isinstance(change, Row):
        return change
    return change.row if isinstance(change, Put) else None
