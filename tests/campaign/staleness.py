"""Reads at memory speed are as new as any: readers with a cache beside writers of all kinds."""

from __future__ import annotations

from pathlib import Path
from random import Random

from stale_reads import prove

from .trial import Promise, Round

COMMITS = 1_000


def stale_reads(rng: Random, folder: Path) -> Round:
    readers = rng.choice([1, 2, 4])
    total = prove(folder / "app.db", folder / "board", readers=readers, reads=10_000, commits=COMMITS)
    found = [f"{total['stale']} of {total['reads']} reads were stale with {readers} readers"] if total["stale"] else []
    if not total["cached"] or total["commits"] < COMMITS:
        found.append(f"nothing was shown: {total}")
    return Round(total["reads"], found)


STALENESS = Promise(
    "stale-reads",
    "A read is never older than a write of any process that had returned before it began.",
    "Threads of several processes read through the cache while others commit (`Store`, plain `sqlite3`, `sqlite-utils`, "
    "VACUUM, all kinds of checkpoint, TTL, deletes, rollbacks) and publish what they have committed; a read that is "
    "older than what was published before it began is a failure.",
    "reads",
    stale_reads,
)
