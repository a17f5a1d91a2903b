"""The limit: the same tables, statements and settings, by `sqlite3` and `pickle` alone.

It seals nothing, checks nothing, takes no lock of its own, and reads no clock: whatever lies between it and the
store is what the store costs.
"""

from __future__ import annotations

import pickle
import platform
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from store.engines.sqlite import schema as schema
from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.checkpoints import LOG_FRAMES
from store.engines.sqlite.opening.local import LOG_LIMIT_BYTES

from ..session import PROTOCOL
from . import KEPT, SYNCED, Defaults, Kind, Pairs

LABEL, FULL_LABEL = "raw sqlite3", "raw sqlite3, full"
FILE = "raw.sqlite3"
NOW = 1_700_000_000.0
PYTHON = platform.python_version()
SEAL, CRC = bytes(24), 123_456_789

_BODY = 7  # the column of the value
_SETTINGS = (
    "auto_vacuum = INCREMENTAL", "journal_mode = WAL", f"wal_autocheckpoint = {LOG_FRAMES}",
    f"journal_size_limit = {LOG_LIMIT_BYTES}", "trusted_schema = OFF", "cell_size_check = ON",
)  # fmt: skip
_TABLES = (
    schema.IDENTITY, schema.SEALERS, schema.RECORDS, schema.RECORDS_BY_NAMESPACE, schema.RECORDS_BY_EXPIRY,
    schema.GARBAGE,
)  # fmt: skip


def connect(folder: Path, *, synchronous: str = "NORMAL", timeout: float = 60.0) -> sqlite3.Connection:
    """A connection to the limit's file, which is made where there is none."""
    file = folder / FILE
    new = not file.exists()
    conn = sqlite3.connect(file, isolation_level=None, timeout=timeout)
    for setting in (*_SETTINGS, f"synchronous = {synchronous}"):
        conn.execute(f"PRAGMA {setting}").fetchall()
    for table in _TABLES if new else ():
        conn.execute(table)
    return conn


def row(name: str, value: Any) -> tuple[Any, ...]:
    """The columns of a record, as the store fills them."""
    return (
        None, "", name, "pickle", PROTOCOL, "builtins.dict", PYTHON, pickle.dumps(value, PROTOCOL), None,
        SEAL, CRC, 1, NOW, NOW, None,
    )  # fmt: skip


class Raw(Defaults):
    def __init__(self, folder: Path, synchronous: str = "NORMAL") -> None:
        self.conn = connect(folder, synchronous=synchronous)
        execute, loads = self.conn.execute, pickle.loads

        def get(name: str) -> Any:
            return loads(execute(sql.FIND, ("", name)).fetchone()[_BODY])

        def set_(name: str, value: Any) -> None:
            execute(sql.PUT, row(name, value))

        self.get, self.set = get, set_

    def items(self) -> Iterator[tuple[str, Any]]:
        loads = pickle.loads
        for found in self.conn.execute(sql.PAGE, ("", 0, sql.LARGEST_ID)):
            yield found[2], loads(found[_BODY])

    def bulk(self, pairs: Pairs) -> None:
        self._in_transaction(pairs)

    def transaction(self, pairs: Pairs) -> None:
        self._in_transaction(pairs)  # the budget is against executemany for both

    def close(self) -> None:
        self.conn.close()

    def _in_transaction(self, pairs: Iterable[tuple[str, Any]]) -> None:
        self.conn.execute("BEGIN IMMEDIATE")
        self.conn.executemany(sql.PUT, (row(name, value) for name, value in pairs))
        self.conn.execute("COMMIT")


KINDS = (
    Kind(LABEL, KEPT, Raw, together=frozenset({"contention", "mixed"}), opened_by_each_thread=True, note="the limit"),
    Kind(FULL_LABEL, SYNCED, lambda folder: Raw(folder, "FULL"), together=frozenset({"synced", "mixed"}),
         opened_by_each_thread=True, note="`synchronous=FULL`: the limit of its class"),
)  # fmt: skip
