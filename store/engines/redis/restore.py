"""Restores a backup, an SQLite file, into a location: as a new store, or over the store of the same id."""

from __future__ import annotations

import math
from collections.abc import Callable

from store.engines.contract import Engine, every_row
from store.engines.redis.engine import RedisEngine
from store.engines.redis.location import parse
from store.engines.redis.opening import make_store, open_redis
from store.engines.redis.server import server_at
from store.engines.registry import is_in_transaction
from store.engines.restoring import Check, Progress, Report, Restored, batches, checked, opened_backup
from store.errors import StorageError, StoreError, Unsupported


def restore(
    backup: str,
    location: str,
    *,
    check_of: Callable[[bytes], Check],
    progress: Progress | None,
    timeout: float,
) -> tuple[Restored, bool]:
    """The contract of `store.engines.registry.restorers`, in steps: run it again if it was interrupted."""
    if is_in_transaction():
        raise StoreError("nothing can be restored inside a transaction; leave the block first")
    source = opened_backup(backup, timeout)
    try:
        found = checked(source, check_of(source.id))
        if found.parts:
            raise Unsupported(
                f"{backup} has large values in files, which the engine 'redis' does not have; copy it instead, which "
                f"seals them again: store copy {backup} {parse(location).shown}",
                engine="redis",
                feature="files of large values",
            )
        target, was_there = _target(source, location, timeout)
        try:
            _replace(source, target, Report(progress, found.database_bytes))
        finally:
            target.close()
    finally:
        source.close()
    return found, was_there


def _target(source: Engine, location: str, timeout: float) -> tuple[RedisEngine, bool]:
    """The store to write to, made with the id of the backup where there is none; and whether it was there."""
    place = parse(location)
    was_there = not make_store(server_at(place), source.id)
    target = open_redis(location, mode="w", timeout=timeout, durability="normal")
    if target.id != source.id:
        target.close()
        raise StorageError(
            f"{place.shown} is another store, or one that a backup of another was restored to, and was not touched; "
            "restore to a prefix that has no store",
            path=place.shown,
        )
    return target, was_there


def _replace(source: Engine, target: RedisEngine, report: Report) -> None:
    for namespace in {*source.namespaces(-math.inf), *target.namespaces(-math.inf)}:
        target.clear(namespace)
    for key_id in source.sealers():
        target.add_sealer(key_id)
    for rows in batches(every_row(source)):
        target.load(rows)
        report.add(sum(len(row.body) for row in rows))
