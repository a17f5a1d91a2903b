"""How SQLite uses a database where it lies: chosen once, as the file is opened, for all connections of an engine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from store.engines.sqlite.spill.folder import LOCKS_FOLDERS

Connect = Callable[[], sqlite3.Connection]


@dataclass(frozen=True, slots=True)
class Strategy:
    """What the place of the file allows."""

    journal: str | None
    """The journal mode; None: the one that the file has."""
    shares_log: bool = False
    """All users share a write-ahead log and its index in memory, which tells of each commit: reads can be cached."""
    locks_reads: bool = False
    """Reads are made under the writer's lock too, and the journal is looked at before each transaction."""
    syncs_commits: bool = False
    """Each commit is on the disk when it returns, whatever the durability."""
    maps_files: bool = True
    """Large values can be mapped: nobody cuts their files short."""
    knows_writers: bool = LOCKS_FOLDERS
    """The lock on the folder of large values tells of every writer, on whatever machine."""
    is_frozen: bool = False
    """No change is ever seen: it is a private copy, or the file system is read-only."""


LOCAL = Strategy("WAL", shares_log=True)
"""One machine uses the file."""
NETWORK = Strategy("PERSIST", locks_reads=True, syncs_commits=True, maps_files=False, knows_writers=False)
"""Several machines may have it open; see `store.engines.sqlite.opening.network`."""
FROZEN = Strategy(None, is_frozen=True)
"""Its connections read what was there when it was opened."""


class Opening(NamedTuple):
    """What opens connections to a file, and how they use it."""

    connect: Connect
    strategy: Strategy
