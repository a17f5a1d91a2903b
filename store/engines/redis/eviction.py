"""Eviction from a namespace on Redis: the contract `Eviction`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from store.engines.capabilities import Candidate
from store.engines.contract import Fields, Order
from store.engines.redis.accesses import RedisAccesses
from store.engines.redis.handle import Handle
from store.engines.redis.packing import head_of
from store.engines.redis.reading import Reading
from store.engines.redis.scripts.eviction import SAMPLE
from store.engines.redis.scripts.script import MAX_RECORDS
from store.engines.redis.writing_steps import decoded
from store.rows.row import stamp_of

MOST_DRAWS = 4  # times as many as would do if each found other records


class RedisEviction:
    """Of one handle. Safe across threads and after a fork."""

    counts_together = False

    def __init__(self, handle: Handle) -> None:
        self.random: Any = random
        self._handle = handle
        self._server = handle.server
        self._reading = Reading(handle.server)

    def live_bytes(self, namespace: str) -> int:
        """Of the names and the rows of the namespace, at constant cost: each write keeps the sum.

        The server's own overhead is not in it: the tables and indexes that find a record.
        """
        self._handle.check_open()
        return self._server.number(namespace, "bytes")

    def sample(self, namespace: str, number: int) -> list[Candidate]:
        self._handle.check_open()
        found: dict[str, Candidate] = {}
        for _ in range(MOST_DRAWS * (1 + number // MAX_RECORDS)):  # an index may name records that are not there
            total, more = self._drawn(namespace, min(number, MAX_RECORDS))
            if number > MAX_RECORDS and number > total // 2:  # a draw would mostly find what it has
                more = {candidate.name: candidate for candidate in self._every(namespace)}
                total = len(more)
            found.update(more)
            if len(found) >= min(number, total):
                break
        chosen = list(found.values())
        return chosen if len(chosen) <= number else self.random.sample(chosen, number)

    def _drawn(self, namespace: str, number: int) -> tuple[int, dict[str, Candidate]]:
        """How many records there are, and that many random ones, by name."""
        keys, draw = self._server.keys(namespace), self.random.random
        total, *found = self._server.run(
            SAMPLE, (keys.rows, keys.order, keys.meta), (self._server.id, *(repr(draw()) for _ in range(number)))
        )
        candidates: dict[str, Candidate] = {}
        for place in range(0, len(found), 2):
            try:
                name = decoded(found[place])
            except UnicodeDecodeError:
                total -= 1  # no name of ours
                continue
            head = head_of(found[place + 1], namespace, name)
            stamp = stamp_of(head.revision, head.seal)
            candidates[name] = Candidate(name, stamp, head.size, head.modified, head.expires)
        return total, candidates

    def _every(self, namespace: str) -> Iterator[Candidate]:
        """All records, page by page."""
        after = None
        while True:
            page = self._reading.scan(
                namespace, Order.INSERTED, after=after, limit=MAX_RECORDS, fields=Fields.HEADER
            )  # fmt: skip
            for header in page.items:
                stamp = stamp_of(header.revision, header.seal)
                yield Candidate(header.name, stamp, header.size, header.modified, header.expires)
            after = page.next
            if after is None:
                return

    def accesses(
        self, namespace: str, records: int, *, now: Callable[[], float] | None = None, frequencies: bool = True
    ) -> RedisAccesses:
        self._handle.check_open()
        return RedisAccesses(self._handle, namespace, records, now or self._server.now, frequencies=frequencies)
