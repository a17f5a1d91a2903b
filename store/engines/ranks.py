"""Random records of a namespace, each as likely as any other, from an engine that only finds records by their id.

A random id does not do: it leads to a record with the likelihood of the gap before it. In a cache the records that
are used often are old, and stand alone where their neighbours were evicted: they would be drawn all the time, and
evicted too.

So an index of ranks is kept in memory: the id of every `INTERVAL`-th record. A rank is drawn, which is an interval
and a number of records to pass over in it; the engine passes over a few dozen entries of its index. Where records
were deleted since, a rank leads to none, and another one is drawn: that keeps the likelihoods equal. Ids grow, so
that new records only come behind the last interval. The index is made anew when too many ranks lead nowhere, and now
and then, in case ids were used again.

Several records are read at each rank where many are asked for: neighbours cost nearly nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")

INTERVAL = 128  # records
NEIGHBOURS = 8  # that are read at one rank, if MANY or more are asked for
MANY = 128
MOST_NAMESPACES = 64  # whose ranks are kept
_RENEWED_AFTER = 4  # times as many records drawn as there are


class Block(NamedTuple):
    """The records after some passed ones, of those whose id is above `after`, and at most `until`."""

    after: int
    until: int | None
    """None: there is no bound."""
    passed: int


class Ordered(Protocol[T]):
    """Records in the order of their ids, which are greater than 0."""

    def bounds(self, after: int, step: int) -> list[int]:
        """The id of every `step`-th record after that id."""

    def tail(self, after: int, limit: int) -> tuple[int, int]:
        """How many records come after that id, at most `limit`; and the last id of all, 0 if there is none."""

    def read(self, blocks: Sequence[Block], number: int) -> list[tuple[int, T]]:
        """Up to that many records of each block, with their ids."""


class Ranks:
    """The index of ranks of one namespace. Two threads may use it at once, and then both renew it at worst."""

    def __init__(self) -> None:
        self._bounds: list[int] = []
        self._drawn = self._missed = 0

    def sample(self, records: Ordered[T], number: int, random: Any) -> list[T]:
        """See `Eviction.sample`."""
        bounds, tail = self._current(records)
        size = NEIGHBOURS if number >= MANY else 1
        total = len(bounds) * INTERVAL + tail
        if total <= max(number, INTERVAL):
            size = INTERVAL  # all of them, by few statements
        found: dict[int, T] = {}
        places = _shuffled(len(bounds) * (INTERVAL // size) + -(-tail // size), random)
        while len(found) < number:
            wanted = min(number, total) - len(found)
            blocks = [_block(bounds, place, size) for place in islice(places, max(1, -(-wanted // size)))]
            if not blocks:  # there are no more
                break
            read = records.read(blocks, size)
            found.update(read)
            self._drawn += len(read)
            self._missed += len(blocks) * size - len(read)
        chosen = list(found.values())
        return chosen if len(chosen) <= number else random.sample(chosen, number)

    def _current(self, records: Ordered[T]) -> tuple[list[int], int]:
        """The bounds of the intervals, and how many records come after the last one."""
        total = (len(self._bounds) + 1) * INTERVAL
        if self._drawn > total * _RENEWED_AFTER or self._missed > total // 2:
            self._renew()
        tail, last = self._extended(records)
        if self._bounds and last < self._bounds[-1]:  # the newest were deleted, and their ids are used again
            self._renew()
            tail, last = self._extended(records)
        return self._bounds, tail

    def _renew(self) -> None:
        self._bounds = []
        self._drawn = self._missed = 0

    def _extended(self, records: Ordered[T]) -> tuple[int, int]:
        """Adds what is new to the bounds; the records after them, and the last id."""
        bounds = self._bounds
        tail, last = records.tail(bounds[-1] if bounds else 0, INTERVAL)
        if tail >= INTERVAL:
            self._bounds = bounds = bounds + records.bounds(bounds[-1] if bounds else 0, INTERVAL)
            tail, last = records.tail(bounds[-1], INTERVAL)
        return min(tail, INTERVAL), last


class RanksOf:
    """The ranks of the namespaces of a store that were asked for."""

    def __init__(self) -> None:
        self._ranks: dict[str, Ranks] = {}

    def of(self, namespace: str) -> Ranks:
        """Those of a namespace; made anew if it was one of very many."""
        ranks = self._ranks.get(namespace)
        if ranks is None:
            if len(self._ranks) >= MOST_NAMESPACES:
                self._ranks.clear()
            ranks = self._ranks.setdefault(namespace, Ranks())
        return ranks


def _shuffled(count: int, random: Any) -> Iterator[int]:
    """The numbers below `count` in random order; cheap if only a few of many are taken."""
    seen: set[int] = set()
    while len(seen) < count // 2:
        place = random.randrange(count)
        if place not in seen:
            seen.add(place)
            yield place
    rest = [place for place in range(count) if place not in seen]
    random.shuffle(rest)
    yield from rest


def _block(bounds: list[int], place: int, size: int) -> Block:
    interval, number = divmod(place, INTERVAL // size)
    if interval >= len(bounds):
        return Block(bounds[-1] if bounds else 0, None, (place - len(bounds) * (INTERVAL // size)) * size)
    return Block(bounds[interval - 1] if interval else 0, bounds[interval], number * size)
