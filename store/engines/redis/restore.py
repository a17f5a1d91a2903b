"""Restores a backup, an SQLite file, into a location: as a new store, or over the store of the same id."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing

from store.engines.contract import Engine, every_row
from store.engines.redis.engine import RedisEngine
from store.engines.redis.location import parse
from store.engines.redis.opening import make_store, open_redis
from store.engines.redis.server import server_at
from store.engines.restoring import Check, Progress, Report, Restored, batches, checked_backup, require_same_store
from store.errors import Unsupported


def restore(
    backup: str,
    location: str,
    *,
    check_of: Callable[[bytes], Check],
    progress: Progress | None,
    timeout: float,
) -> tuple[Restored, bool]:
    """The contract of `store.engines.registry.restorers`, in steps: run it again if it was interrupted."""
    with checked_backup(backup, timeout, check_of) as (source, found):
        if found.parts:
            raise Unsupported(
                f"{backup} has large values in files, which the engine 'redis' does not have; copy it instead, which "
                f"seals them again: store copy {backup} {parse(location).shown}",
                engine="redis",
                feature="files of large values",
            )
        was_there = not make_store(server_at(parse(location)), source.id)
        with closing(open_redis(location, mode="w", timeout=timeout, durability="normal")) as target:
            require_same_store(source.id, target, "a prefix")
            _replace(source, target, Report(progress, found.database_bytes))
    return found, was_there


def _replace(source: Engine, target: RedisEngine, report: Report) -> None:
    for namespace in {*source.namespaces(-math.inf), *target.namespaces(-math.inf)}:
        target.clear(namespace)
    for key_id in source.sealers():
        target.add_sealer(key_id)
    for rows in batches(every_row(source)):
        target.load(rows)
        report.add(sum(len(row.body) for row in rows))
