"""Reading a backup, an SQLite file, for engines that it is restored to."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from store.engines.contract import Engine, every_row
from store.engines.registry import engines
from store.errors import Corrupt, RecordError, StoreNotFound
from store.rows import spilled
from store.rows.row import Row
from store.rows.spilled import Part

BATCH_BYTES = 16 * 1024 * 1024  # of the bodies that are written at once
BATCH_ROWS = 200

Check = Callable[[Row], bool]
Progress = Callable[[int, int], object]


class Restored(NamedTuple):
    """The contract `Copy`."""

    records: int
    database_bytes: int
    parts: dict[str, Part]

    @property
    def file_bytes(self) -> int:
        return sum(part.bytes for part in self.parts.values())


def opened_backup(backup: str, timeout: float) -> Engine:
    """The engine of a backup. Raises: StoreNotFound."""
    try:
        engine: Engine = engines.load("sqlite")(backup, mode="r", timeout=timeout, durability="normal")
    except StoreNotFound as exc:
        raise StoreNotFound(f"there is no backup at {backup}", errno=errno.ENOENT, path=backup) from exc
    return engine


def checked(source: Engine, check: Check) -> Restored:
    """What is in the backup. Raises: RecordError: some of it is damaged."""
    records = size = 0
    parts: dict[str, Part] = {}
    for row in every_row(source):
        try:
            check(row)
            for part in parts_of(source, row):
                assert source.blobs is not None
                problem = source.blobs.problem(part, content=True)
                if problem is not None:
                    raise Corrupt(problem, file=part.file)
                parts[part.file] = part
        except RecordError as exc:
            raise exc.about(row.name, row.namespace) from None
        records, size = records + 1, size + len(row.body)
    return Restored(records, size, parts)


def parts_of(source: Engine, row: Row) -> list[Part]:
    """The large parts of a row of the backup."""
    if row.spill is None:
        return []
    return spilled.parts_of(row.spill, spilled.prefix_of(source.id, row.namespace, row.name))


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in lists that are written at once."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row.body)
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class Report:
    """Tells the program how many bytes are done."""

    def __init__(self, tell: Progress | None, total: int) -> None:
        self._tell, self._total, self._done = tell, total, 0
        self.add(0)

    def add(self, size: int) -> None:
        """So many bytes more are done."""
        self._done += size
        if self._tell is not None:
            self._tell(self._done, self._total)
