"""Eviction from a file: the contract `Eviction`."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from store.engines.access_table import AccessTable
from store.engines.capabilities import Candidate
from store.engines.ranks import Block, RanksOf
from store.engines.sqlite import statements as sql
from store.engines.sqlite.engine.access_file import accesses_of
from store.engines.sqlite.handle import Handle
from store.rows.row import stamp_of
from store.rows.spilled import size_of
from store.system.clock import wall_clock


class SqliteEviction:
    """Of one handle. Safe across threads and after a fork."""

    counts_together = True

    def __init__(self, handle: Handle) -> None:
        self.random: Any = random
        self._handle = handle
        self._ranks = RanksOf()

    def live_bytes(self, namespace: str) -> int:
        """Of the whole file: its pages in use, and the files of large values."""
        return sum(map(int, self._handle.one(sql.LIVE_BYTES, ())))

    def sample(self, namespace: str, number: int) -> list[Candidate]:
        return self._ranks.of(namespace).sample(_Records(self._handle, namespace), number, self.random)

    def accesses(
        self, namespace: str, records: int, *, now: Callable[[], float] | None = None, frequencies: bool = True
    ) -> AccessTable:
        handle = self._handle
        engine = handle.engine
        return accesses_of(
            engine.path,
            namespace,
            records,
            now or wall_clock,
            frequencies=frequencies,
            writes=not handle.read_only,
            shared=engine.strategy.shares_log,  # of a network file system the memory is not shared
        )


class _Records:
    """The contract `Ordered` for one namespace."""

    def __init__(self, handle: Handle, namespace: str) -> None:
        self._handle = handle
        self._namespace = namespace

    def bounds(self, after: int, step: int) -> list[int]:
        values = self._namespace, after, step - 1, self._namespace, step - 1
        return [id_ for (id_,) in self._handle.all(sql.EVERY_FEW_IDS, values)]

    def tail(self, after: int, limit: int) -> tuple[int, int]:
        count, last = self._handle.one(sql.COUNT_AFTER, (self._namespace, after, limit, self._namespace))
        return count, last or 0

    def read(self, blocks: Sequence[Block], number: int) -> list[tuple[int, Candidate]]:
        statements = [
            (sql.CANDIDATES, (self._namespace, after, sql.LARGEST_ID if until is None else until, number, passed))
            for after, until, passed in blocks
        ]
        rows = self._handle.engine.read_together(statements, 0.0, self._handle.timeout)
        return [
            (
                id_,
                Candidate(name, stamp_of(revision, seal), size + (size_of(spill) if spill else 0), modified, expires),
            )
            for id_, name, revision, seal, size, spill, modified, expires in rows
            if type(name) is str  # no other one can be looked up
        ]
