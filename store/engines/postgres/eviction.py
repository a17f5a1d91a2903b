"""Eviction from a database on a server: the contract `Eviction`."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from store.engines.capabilities import Candidate
from store.engines.postgres.accesses import PostgresAccesses
from store.engines.postgres.eviction_statements import EvictionStatements
from store.engines.postgres.handle import Handle
from store.engines.postgres.reading import LARGEST_ID
from store.engines.ranks import Block, RanksOf
from store.rows.row import stamp_of
from store.rows.spilled import size_of


class PostgresEviction:
    """Of one handle. Safe across threads and after a fork."""

    counts_together = False

    def __init__(self, handle: Handle) -> None:
        self.random: Any = random
        self._handle = handle
        self._statements = EvictionStatements(handle.sessions.location)
        self._ranks = RanksOf()

    def live_bytes(self, namespace: str) -> int:
        """Of the names, bodies and parts of the namespace. The server adds up the rows, but reads no body."""
        return int(self._handle.one(self._statements.live_bytes, (namespace,))[0])

    def sample(self, namespace: str, number: int) -> list[Candidate]:
        records = _Records(self._handle, self._statements, namespace)
        return self._ranks.of(namespace).sample(records, number, self.random)

    def accesses(
        self, namespace: str, records: int, *, now: Callable[[], float] | None = None, frequencies: bool = True
    ) -> PostgresAccesses:
        """The number of records does not matter here, and counting uses costs nothing."""
        self._handle.check_open()
        return PostgresAccesses(self._handle, self._statements, namespace, now or self._handle.server.now)


class _Records:
    """The contract `Ordered` for one namespace."""

    def __init__(self, handle: Handle, statements: EvictionStatements, namespace: str) -> None:
        self._handle = handle
        self._statements = statements
        self._namespace = namespace

    def bounds(self, after: int, step: int) -> list[int]:
        return [id_ for (id_,) in self._handle.all(self._statements.bounds, (self._namespace, after, step - 1))]

    def tail(self, after: int, limit: int) -> tuple[int, int]:
        count, last = self._handle.one(self._statements.tail, (self._namespace, after, limit))
        return count, last or 0

    def read(self, blocks: Sequence[Block], number: int) -> list[tuple[int, Candidate]]:
        columns = [
            [block.after for block in blocks],
            [LARGEST_ID if block.until is None else block.until for block in blocks],
            [block.passed for block in blocks],
        ]
        rows = self._handle.all(self._statements.candidates, (self._namespace, *columns, number))
        return [
            (id_, Candidate(name, stamp_of(revision, seal), size + size_of(spill), modified, expires))
            for id_, name, revision, seal, size, spill, modified, expires in rows
        ]
