"""Eviction from a store in memory: the contract `Eviction`."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from store.engines.access_table import AccessTable, size_for, slots_for
from store.engines.capabilities import Candidate
from store.engines.memory.handle import Handle
from store.system.clock import wall_clock


class MemoryEviction:
    """Safe across threads. All handles on the store share the notes; a forked child has a copy of its own."""

    counts_together = False

    def __init__(self, handle: Handle) -> None:
        self.random: Any = random
        self._handle = handle

    def live_bytes(self, namespace: str) -> int:
        """Of the names, bodies and large parts of the namespace."""
        self._handle.check_open()
        return self._handle.shared.rows.bytes_of(namespace)

    def sample(self, namespace: str, number: int) -> list[Candidate]:
        self._handle.check_open()
        return self._handle.shared.rows.sample(namespace, number, self.random)

    def accesses(
        self, namespace: str, records: int, *, now: Callable[[], float] | None = None, frequencies: bool = True
    ) -> AccessTable:
        self._handle.check_open()
        notes = self._handle.shared.notes
        buffer = notes.get(namespace) or notes.setdefault(namespace, bytearray(size_for(slots_for(records))))
        return AccessTable(
            buffer, namespace, now or wall_clock, frequencies=frequencies, writable=not self._handle.read_only
        )
