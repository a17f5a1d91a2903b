"""How SQLite uses a database in its place: chosen once, at open, for all connections of an engine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from store.engines.sqlite.spill.folder import LOCKS_FOLDERS

Connect = Callable[[], sqlite3.Connection]


class Strategy(NamedTuple):
    """The options that the place of the file allows."""

    journal: str | None
    """The journal mode; None: that of the file."""
    shares_log: bool = False
    """All processes share a write-ahead log and its index in memory, which shows each commit: reads can be cached."""
    locks_reads: bool = False
    """Reads run under the writer's lock too, and the journal is checked before each transaction."""
    syncs_commits: bool = False
    """Each commit is on the disk when it returns, whatever the durability."""
    maps_files: bool = True
    """Large values can be mapped, since no process truncates their files."""
    knows_writers: bool = LOCKS_FOLDERS
    """The lock on the folder of large values shows every writer, on every machine."""
    is_frozen: bool = False
    """No change is ever seen: it is a private copy, or the file system is read-only."""


LOCAL = Strategy("WAL", shares_log=True)
"""One machine uses the file."""
NETWORK = Strategy("PERSIST", locks_reads=True, syncs_commits=True, maps_files=False, knows_writers=False)
"""Several machines may have it open; see `store.engines.sqlite.opening.network`."""
FROZEN = Strategy(None, is_frozen=True)
"""Its connections read the state at open."""


class Opening(NamedTuple):
    """The function that opens connections to a file, and their strategy."""

    connect: Connect
    strategy: Strategy
