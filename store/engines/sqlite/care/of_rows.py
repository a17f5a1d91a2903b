"""A backup of a store that is not a file: writes its rows to a temporary store, and backs that up."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import Protocol

from store.engines.sqlite.care.backup import backup
from store.engines.sqlite.care.copy import Copied
from store.engines.sqlite.care.progress import Progress
from store.engines.sqlite.care.rebuild import Rebuild, rebuilt
from store.engines.sqlite.opening.attach import attach, detach
from store.engines.sqlite.spill.copying import Check
from store.errors import Corrupt
from store.rows import spilled
from store.rows.row import Row
from store.rows.spilled import Part


class Snapshot(Protocol):
    """A store as of one moment."""

    def size(self) -> int:
        """The bytes of all bodies and parts."""

    def rows(self) -> Iterator[Row]: ...

    def chunks(self, part: Part) -> Iterator[bytes]:
        """The content of a part piece by piece. Raises: Corrupt: at its end at the latest, if it was altered."""


def backup_of_rows(
    store_id: bytes, rows: Iterable[Row], path: str, check: Check, progress: Progress | None, timeout: float
) -> Copied:
    """The contract `Care.backup`, for a store with that id and those rows, none of which has files."""
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        source = os.path.join(folder, "store.db")
        with rebuilt(source, store_id, os.stat(folder)) as made:
            for row in rows:
                made.add(row)
        return _backup(source, path, check, progress, timeout)


def backup_of_snapshot(
    store_id: bytes, snapshot: Snapshot, path: str, check: Check, progress: Progress | None, timeout: float
) -> Copied:
    """The same for a store on a server, large values included. The temporary store is beside the backup."""
    above = os.path.dirname(path)
    with tempfile.TemporaryDirectory(prefix=".store-", dir=above if os.path.isdir(above) else None) as folder:
        source = os.path.join(folder, "store.db")
        halves = _Halves(progress, snapshot.size())
        with rebuilt(source, store_id, os.stat(folder)) as made:
            for row in snapshot.rows():
                halves.fetched(len(row.body))
                _add(made, store_id, snapshot, row, halves)
        return _backup(source, path, check, None if progress is None else halves.copied, timeout)


def _add(made: Rebuild, store_id: bytes, snapshot: Snapshot, row: Row, halves: _Halves) -> None:
    try:
        if row.spill is not None:
            for part in spilled.parts_of(row.spill, spilled.prefix_of(store_id, row.namespace, row.name)):
                made.add_chunks(part, halves.counted(snapshot.chunks(part)))
    except Corrupt as exc:
        raise exc.about(row.name, row.namespace) from None
    made.add(row)


def _backup(source: str, path: str, check: Check, progress: Progress | None, timeout: float) -> Copied:
    lease = attach(source, mode="w", timeout=timeout)
    try:
        lease.engine.identity(timeout)  # compared with that of the existing backup
        return backup(lease.engine, path, check, progress, timeout)
    finally:
        detach(lease)


class _Halves:
    """Reports fetching and copying as one: the bytes of the first, and then those of the second."""

    def __init__(self, tell: Progress | None, size: int) -> None:
        self._tell, self._size, self._done = tell, size, 0

    def fetched(self, size: int) -> None:
        self._done += size
        if self._tell is not None:
            self._tell(self._done, max(self._done, 2 * self._size))

    def counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            self.fetched(len(chunk))

    def copied(self, done: int, total: int) -> None:
        assert self._tell is not None
        self._tell(self._done + done, self._done + total)
