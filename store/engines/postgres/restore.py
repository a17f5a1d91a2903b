"""Restores a backup, an SQLite file, into a database: as a new store, or over the store of the same id."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from store.engines.contract import Engine, every_row
from store.engines.postgres.engine import PostgresEngine, open_postgres
from store.engines.postgres.location import parse
from store.engines.postgres.server import server_at
from store.engines.registry import engines, is_in_transaction
from store.errors import Corrupt, RecordError, StorageError, StoreError, StoreNotFound
from store.rows import spilled
from store.rows.row import Row
from store.rows.spilled import Part

BATCH_BYTES = 16 * 1024 * 1024  # of the bodies that one statement writes
BATCH_ROWS = 200
KEY_ID_BYTES = 8

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


def restore(
    backup: str,
    location: str,
    *,
    check_of: Callable[[bytes], Check],
    progress: Progress | None,
    timeout: float,
) -> tuple[Restored, bool]:
    """The contract of `store.engines.registry.restorers`; the content changes in one commit."""
    if is_in_transaction():
        raise StoreError("nothing can be restored inside a transaction; leave the block first")
    source = _opened(backup, timeout)
    try:
        found = _checked(source, check_of(source.id))
        target, was_there = _target(source, location, timeout)
        try:
            _replace(source, target, _Report(progress, found.database_bytes + found.file_bytes))
        finally:
            target.close()
    finally:
        source.close()
    return found, was_there


def _opened(backup: str, timeout: float) -> Engine:
    try:
        engine: Engine = engines.load("sqlite")(backup, mode="r", timeout=timeout, durability="normal")
    except StoreNotFound as exc:
        raise StoreNotFound(f"there is no backup at {backup}", errno=errno.ENOENT, path=backup) from exc
    return engine


def _checked(source: Engine, check: Check) -> Restored:
    """What is in the backup. Raises: RecordError: some of it is damaged."""
    records = size = 0
    parts: dict[str, Part] = {}
    for row in every_row(source):
        try:
            check(row)
            for part in _parts(source, row):
                assert source.blobs is not None
                problem = source.blobs.problem(part, content=True)
                if problem is not None:
                    raise Corrupt(problem, file=part.file)
                parts[part.file] = part
        except RecordError as exc:
            raise exc.about(row.name, row.namespace) from None
        records, size = records + 1, size + len(row.body)
    return Restored(records, size, parts)


def _parts(source: Engine, row: Row) -> list[Part]:
    if row.spill is None:
        return []
    return spilled.parts_of(row.spill, spilled.prefix_of(source.id, row.namespace, row.name))


def _target(source: Engine, location: str, timeout: float) -> tuple[PostgresEngine, bool]:
    """The store to write to, made with the id of the backup where there is none; and whether it was there."""
    place = parse(location)
    was_there = server_at(place).prepare("c", timeout, source.id)
    target = open_postgres(location, mode="w", timeout=timeout, durability="full")
    if target.id != source.id:
        target.close()
        raise StorageError(
            f"{place.shown} is another store, or one that a backup of another was restored to, and was not touched; "
            "restore to a schema or a prefix that has no store",
            path=place.shown,
        )
    return target, was_there


def _replace(source: Engine, target: PostgresEngine, report: _Report) -> None:
    """Write everything in one transaction, in which all namespaces are locked against other writers."""
    names = sorted({*source.namespaces(-math.inf), *target.namespaces(-math.inf)})
    with target.transactions.begin(scope=(tuple(names), None)):
        for namespace in names:
            target.clear(namespace)
        for key_id in source.sealers():
            target.add_sealer(key_id)
        for rows in _batches(every_row(source)):
            for row in rows:
                _write_parts(source, target, row, report)
                report.add(len(row.body))
            target.load(rows)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
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


def _write_parts(source: Engine, target: PostgresEngine, row: Row, report: _Report) -> None:
    parts = _parts(source, row)
    if parts:
        assert source.blobs is not None
        contents = [source.blobs.buffer(part, mapped=True, verify=False) for part in parts]
        target.blobs.restore(row.namespace, row.name, parts, contents, target.handle.timeout)
        report.add(sum(part.bytes for part in parts))


class _Report:
    """Tells the program how many bytes are done."""

    def __init__(self, tell: Progress | None, total: int) -> None:
        self._tell, self._total, self._done = tell, total, 0
        self.add(0)

    def add(self, size: int) -> None:
        self._done += size
        if self._tell is not None:
            self._tell(self._done, self._total)
