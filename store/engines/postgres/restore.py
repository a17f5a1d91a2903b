"""Restores a backup, an SQLite file, into a database: as a new store, or over the store of the same id."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing

from store.engines.contract import Engine, every_row
from store.engines.postgres.engine import PostgresEngine, open_postgres
from store.engines.postgres.location import parse
from store.engines.postgres.server import server_at
from store.engines.restoring import (
    Check,
    Progress,
    Report,
    Restored,
    batches,
    checked_backup,
    parts_of,
    require_same_store,
)
from store.rows.row import Row


def restore(
    backup: str,
    location: str,
    *,
    check_of: Callable[[bytes], Check],
    progress: Progress | None,
    timeout: float,
) -> tuple[Restored, bool]:
    """The contract of `store.engines.registry.restorers`; the content changes in one commit."""
    with checked_backup(backup, timeout, check_of) as (source, found):
        was_there = server_at(parse(location)).prepare("c", timeout, source.id)
        with closing(open_postgres(location, mode="w", timeout=timeout, durability="full")) as target:
            require_same_store(source.id, target, "a schema or a prefix")
            _replace(source, target, Report(progress, found.database_bytes + found.file_bytes))
    return found, was_there


def _replace(source: Engine, target: PostgresEngine, report: Report) -> None:
    """Write everything in one transaction, in which all namespaces are locked against other writers."""
    names = sorted({*source.namespaces(-math.inf), *target.namespaces(-math.inf)})
    with target.transactions.begin(scope=(tuple(names), None)):
        for namespace in names:
            target.clear(namespace)
        for key_id in source.sealers():
            target.add_sealer(key_id)
        for rows in batches(every_row(source)):
            for row in rows:
                _write_parts(source, target, row, report)
                report.add(len(row.body))
            target.load(rows)


def _write_parts(source: Engine, target: PostgresEngine, row: Row, report: Report) -> None:
    parts = parts_of(source, row)
    if parts:
        assert source.blobs is not None
        contents = [source.blobs.buffer(part, mapped=True, verify=False) for part in parts]
        target.blobs.restore(row.namespace, row.name, parts, contents, target.handle.timeout)
        report.add(sum(part.bytes for part in parts))
