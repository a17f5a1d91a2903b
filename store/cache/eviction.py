"""Eviction: the writer that takes a cache over its bounds deletes records, in small batches, after its own commit.

Nothing is ordered on disk. As in Redis (https://redis.io/docs/latest/develop/reference/eviction/), some random
records are compared and the worst of them go: one in SAMPLE of those that were looked at. When they were used last,
and how often, is in the engine's notes of accesses; a record without a note counts by when it was written.

A process looks at the size before it has written more than 1/SHARE of a bound, or after one record that is larger, so
that eight processes stay within 5 % of it; and after its first write, so that many short processes do too.

One file because when it looks, which records go, and how they are deleted share what they know of the last attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from math import inf
from typing import NamedTuple

from store.cache.notes import Notes
from store.cache.options import Bounds
from store.engines.capabilities import Accesses, Candidate, Eviction, Scope, Use
from store.engines.contract import Delete, Fields, Order
from store.errors import Conflict, StoreError
from store.opened import reading
from store.opened.namespace import Namespace
from store.rows.row import Header, Row
from store.rows.spilled import size_of

SAMPLE = 16
BATCH = 32  # records that one transaction evicts
FEW = 4096  # records that are counted while others wait
EXPIRED = 256  # expired records that one transaction deletes
ROUNDS = 64  # batches after one write; the next write goes on
SHARE = 256
UNSEEN = (
    1024  # this share of the records is deleted before they are counted again, which takes as long as they are many
)
AHEAD_SECONDS = 3600.0  # by which the clocks of two hosts may differ
WAIT_SECONDS = 1.0  # for other writers: the caller has its answer already
NEW_FREQUENCY = 5  # of a record without a note, so that it is not the first to go (Redis: LFU_INIT_VAL)
USE_SECONDS = 1 / 16  # to which the time of a use is known
FIRST_SIZE = 1024.0  # bytes of a record, before any was looked at


class Excess(NamedTuple):
    """By how much a cache is over its bounds; 0 or less: it is not."""

    bytes: int
    records: int

    def is_any(self) -> bool:
        return self.bytes > 0 or self.records > 0


class Evictor:
    """Keeps one cache within its bounds. Safe across threads and processes.

    All writers evict, each after its own writes: if one did for all, the others would soon be ahead of it.
    """

    def __init__(
        self, records: Namespace, notes: Notes, eviction: Eviction, accesses: Accesses, bounds: Bounds,
        shards: int = 1,
    ) -> None:  # fmt: skip
        """`shards`: how many evictors of this process share the bound of bytes, which are counted together."""
        self.bounds = bounds
        self.error: StoreError | None = None
        """Why the last attempt failed, if it did."""
        self.evicted = 0
        """Records that this object evicted."""
        self.eviction = eviction
        self._records, self._notes, self._accesses = records, notes, accesses
        self._bytes_step = inf if bounds.max_bytes is None else bounds.max_bytes // SHARE // shards
        self._records_step = inf if bounds.max_records is None else max(1, bounds.max_records // SHARE)
        self._most_unseen = 0 if bounds.max_records is None else bounds.max_records // UNSEEN
        self._bytes_left = self._records_left = 0.0  # until the next look
        # Evicted beyond the excess, since a page of a file is free only when the records in it are gone.
        self._slack = 0 if bounds.max_bytes is None else bounds.max_bytes // SHARE // 2
        self._too_large: set[str] = set()  # names of records that the bound has no room for
        self._size = FIRST_SIZE  # of a record, as the last sample had it

    # -- what the cache reports

    def wrote(self, row: Row) -> None:
        """A record was written, perhaps in a transaction that is open."""
        size = len(row.body) + (0 if row.spill is None else size_of(row.spill))
        if self.bounds.max_bytes is not None and size > self.bounds.max_bytes:
            self._too_large.add(row.name)
        self._wrote(size)

    def wrote_one(self) -> None:
        """A record was written, of a size that is not known."""
        self._wrote(self._size)

    def wrote_many(self) -> None:
        """Records were written, perhaps very many: the cache is within its bounds again before this returns."""
        self._look_afterwards(inf)

    # -- evicting

    def shrink(self, rounds: float = inf) -> bool:
        """Evicts until the cache is within its bounds, in so many batches; returns whether it is.

        Raises: StoreError: others kept the store locked, or it failed.
        """
        most = self._records_to_keep()
        idle, unseen, excess = 0, 0, self._excess(most)
        while excess.is_any():
            deleted = self._evict(excess, most) if rounds > 0 else None
            idle = 0 if deleted else idle + 1
            if deleted is None or idle > ROUNDS:
                return False
            rounds -= 1
            unseen = 0 if unseen + deleted > self._most_unseen else unseen + deleted
            excess = self._excess(most, excess.records - deleted if unseen else None)
        return True

    def purge(self) -> int:
        """Deletes the expired records, with their notes; returns how many records."""
        deleted = self._records.expired().delete_all(self._records.name)
        self._notes.purge()
        return deleted

    def cull(self) -> int:
        """Deletes what has expired, notes without a record, and records until the bounds hold; returns how many."""
        deleted = self.purge()
        self._notes.sweep()
        before = self.evicted
        self.shrink()
        return deleted + self.evicted - before

    # -- parts of the above

    def _wrote(self, size: float) -> None:
        self._bytes_left -= size
        self._records_left -= 1
        # Before another record of this size takes it over its share: it may be as large as the share itself.
        if self._bytes_left < size or self._records_left <= 0:
            self._look_afterwards()

    def _look_afterwards(self, rounds: float = ROUNDS) -> None:
        self._bytes_left, self._records_left = self._bytes_step, self._records_step
        transactions = self._records.engine.transactions
        if transactions is None:
            self._look(rounds)
        else:
            transactions.afterwards(partial(self._look, rounds))

    def _look(self, rounds: float) -> None:
        """Evicts after a write. Raises no StoreError: the write is there; the next one tries again."""
        is_within = False
        try:
            is_within = self.shrink(rounds) or self.bounds.policy == "none"
            self.error = None
        except StoreError as exc:
            self.error = exc
        if not is_within:  # nothing to evict, others in the way, or still too much: the next write looks again
            self._bytes_left = min(self._bytes_left, 0)
            self._records_left = min(self._records_left, 0)

    def _records_to_keep(self) -> int | None:
        """How many records may stay: `cull_records` fewer than there are, where there are too many."""
        most, culled = self.bounds.max_records, self.bounds.cull_records
        if most is None or culled == 0:
            return most
        there = reading.count(self._records)
        return most if there <= most else min(most, there - culled)

    def _excess(self, most: int | None, known: int | None = None) -> Excess:
        """What is over the bounds. `known`: how many records are, without counting again; None: not known."""
        ns, bounds = self._records, self.bounds
        over_bytes = 0 if bounds.max_bytes is None else self.eviction.live_bytes(ns.name) - bounds.max_bytes
        if most is None:
            known = 0
        elif known is None or (known <= 0 and over_bytes <= 0):  # before it is said that nothing is over
            known = reading.count(ns) - most
        return Excess(over_bytes, known)

    def _evict(self, excess: Excess, most: int | None) -> int | None:
        """Deletes one batch, the expired ones first; returns how many. None: there is nothing to delete."""
        deleted = self._delete_expired(with_notes=excess.bytes > 0)
        if deleted:
            return deleted
        victims: Sequence[Candidate] = self._oversized()
        if victims:
            deleted = self._delete(victims)
        else:
            victims = self._victims(excess)
            if not victims:
                return None
            deleted = self._delete(victims, most=most if excess.bytes <= 0 else None)
        self.evicted += deleted
        self._accesses.count(evictions=deleted)
        return deleted

    def _delete_expired(self, *, with_notes: bool) -> int:
        """Deletes some expired records, or `with_notes` those of such, which take room too; returns how many."""
        expired, now = self._records.expired(), self._records.clock()
        notes = (self._notes.notes, self._notes.tags) if with_notes and self._notes.in_use() else ()
        for ns in (self._records, *notes):
            if expired.page(ns.name, None, 1, now).items:
                deleted = expired.delete_page(ns.name, None, EXPIRED, now, WAIT_SECONDS).deleted
                if deleted:
                    return deleted
        return 0

    def _victims(self, excess: Excess) -> Sequence[Candidate]:
        """The records to delete next, at most BATCH."""
        if self.bounds.policy == "none":
            return ()
        if excess.bytes > 0:
            excess = excess._replace(bytes=excess.bytes + self._slack)
        wanted = min(BATCH, max(1, excess.records, int(excess.bytes / self._size) + 1))
        if self.bounds.policy == "fifo":
            return _enough(self._oldest(wanted), excess)
        found = self.eviction.sample(self._records.name, wanted * SAMPLE)
        if found:
            self._size = max(1.0, sum(one.bytes for one in found) / len(found))
        return _enough(self._worst(found)[:wanted], excess)

    def _worst(self, found: Sequence[Candidate]) -> list[Candidate]:
        """Candidates in the order in which they go.

        Times that are yet to come are of a clock that was set back since: they count as long ago, or the records that
        have them would stay, and new ones go, until it gets there again.
        """
        latest = self._records.clock() + AHEAD_SECONDS
        found = [one if one.modified <= latest else one._replace(modified=0.0) for one in found]
        uses: Sequence[Use | None] = [None] * len(found)  # "lrw": only when they were written counts
        if self.bounds.policy != "lrw":
            noted = self._accesses.uses([one.name for one in found])
            uses = [use if use is None or use.last <= latest else None for use in noted]
        order = by_frequency if self.bounds.policy == "lfu" else by_last_use
        ranked = sorted(range(len(found)), key=lambda index: order(found[index], uses[index]))
        return [found[index] for index in ranked]

    def _oldest(self, number: int) -> list[Candidate]:
        ns = self._records
        page = ns.engine.scan(ns.name, Order.INSERTED, limit=number, fields=Fields.HEADER)
        return [_candidate(header) for header in page.items]

    def _oversized(self) -> list[Candidate]:
        """Records that were just written and are larger than the bound alone: all others would go for them."""
        ns, names = self._records, list(self._too_large)
        if not names:
            return []
        self._too_large.difference_update(names)
        found: dict[str, Header] = ns.engine.get(ns.name, names, Fields.HEADER)
        most = self.bounds.max_bytes or inf
        return [_candidate(header) for header in found.values() if header.size > most]

    def _delete(self, victims: Sequence[Candidate], most: int | None = None) -> int:
        """Deletes those that did not change since, as one short transaction; 0: others were in the way.

        Only as many as leave `most` records, if that is few: else writers that evict at once would leave too few.
        """
        try:
            return self._delete_together(victims, most)
        except Conflict:  # of a transaction that is optimistic
            return 0

    def _delete_together(self, victims: Sequence[Candidate], most: int | None) -> int:
        ns, names = self._records, [one.name for one in victims]
        has_notes = self._notes.in_use()
        transactions = ns.engine.transactions
        # Others go on; a record that one of them changes meanwhile is a Conflict, which needs no lease on each.
        scope: Scope = (ns.name, () if ns.is_optimistic else names)
        with nullcontext() if transactions is None else transactions.begin(WAIT_SECONDS, scope=scope):
            if most is not None and most <= FEW:
                victims = victims[: max(0, reading.count(ns) - most)]
            now: dict[str, Header] = ns.engine.get(ns.name, names, Fields.HEADER)
            same = [one for one in victims if one.name in now and now[one.name].stamp == one.stamp]
            if not same:
                return 0
            if has_notes:
                self._notes.forget([one.name for one in same])
            return ns.engine.apply(ns.name, [Delete(one.name, one.stamp) for one in same]).deleted


def by_last_use(one: Candidate, use: Use | None) -> float:
    """The rank of a record under "lru": when it was used last, or written.

    Of a use the time is known to 1/16 s, and the end of that counts: so a record that is used now is not older than
    one that was written just before.
    """
    return one.modified if use is None else max(use.last + USE_SECONDS, one.modified)


def by_frequency(one: Candidate, use: Use | None) -> tuple[float, float]:
    """The rank of a record under "lfu": how often it was used; among equals when it was used last."""
    return NEW_FREQUENCY if use is None else use.frequency, by_last_use(one, use)


def _enough(victims: Sequence[Candidate], excess: Excess) -> list[Candidate]:
    """As many of them as it takes, from the first on."""
    chosen: list[Candidate] = []
    freed = 0
    for one in victims:
        if freed >= excess.bytes and len(chosen) >= excess.records:
            break
        chosen.append(one)
        freed += one.bytes
    return chosen


def _candidate(header: Header) -> Candidate:
    return Candidate(header.name, header.stamp, header.size, header.modified, header.expires)
