"""Single operations of one process, interleaved, at several numbers of entries."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, cycle, islice
from pathlib import Path
from typing import NamedTuple

from ..outcome import Outcome
from ..runner import Contestant, race
from ..session import name as name_of
from ..session import pairs, session
from .peers import BASE, CachePeer, Kind, Place, present
from .redis_server import redis_server

OPERATIONS = {
    "hit": "`get` of an entry that is there",
    "miss": "`get` of one that is not",
    "set": "`set` over one that is there",
    "evict": "`set` of a new one, at the bound",
}
PICKED = 5_000  # names that are read and written over and over
BATCH = 50_000  # entries that are filled in at once


class Plan(NamedTuple):
    """How long it takes."""

    sizes: tuple[int, ...] = (100_000,)
    rounds: int = 15
    seconds: float = 0.1  # of one timed section
    turnover: float = 1.0  # at the bound, so many times the entries are set before the first timed section
    processes: int = 8  # that ask for one missing entry
    computing: float = 0.05  # seconds that computing it takes
    stampedes: int = 15
    peers: tuple[str, ...] = ()

    def is_whole(self) -> bool:
        """Whether it measures all that a full run does, and perhaps more entries."""
        return self._replace(sizes=FULL.sizes) == FULL and set(self.sizes) >= set(FULL.sizes)


FULL = Plan()
QUICK = Plan(sizes=(10_000,), rounds=5, seconds=0.03, stampedes=5)
TINY = Plan(sizes=(100,), rounds=1, seconds=0.001, processes=2, computing=0.001, stampedes=1)


class Found(NamedTuple):
    """The outcome of an operation; after `evict` also how many entries each cache has."""

    outcome: Outcome
    entries: dict[str, int]


def measure(size: int, plan: Plan) -> Iterator[Found]:
    """What was found of each operation, on caches that have so many entries."""
    with new_places(plan) as places:
        limits = {kind.label: _fill(kind, places[kind.label], size) for kind in present(plan.peers)}
        for operation in OPERATIONS:
            is_bounded = operation == "evict"
            chosen = [kind for kind in present(plan.peers) if kind.takes_part(operation)]
            with ExitStack() as opened:
                peers: dict[str, CachePeer] = {}
                for kind in chosen:
                    limit = limits[kind.label] if is_bounded else None
                    peers[kind.label] = kind.open(places[kind.label], limit)
                    opened.callback(peers[kind.label].close)
                contestants = [_SECTIONS[operation](label, peer, size) for label, peer in peers.items()]
                if operation == "hit":  # a cache in memory, ours or the system's, has been filled by then
                    for contestant in contestants:
                        contestant.run(min(size, PICKED))
                if is_bounded:
                    _turn_over(chosen, contestants, int(size * plan.turnover))
                series = race(contestants, plan.rounds, plan.seconds)
                entries = {label: peer.entries() for label, peer in peers.items()} if is_bounded else {}
            yield Found(Outcome(operation, OPERATIONS[operation], series, BASE), entries)


@contextmanager
def new_places(plan: Plan) -> Iterator[dict[str, Place]]:
    """By label: an empty folder for each peer, and an empty server where one asks for it."""
    with ExitStack() as stack:
        port = stack.enter_context(redis_server())
        yield {
            kind.label: Place(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="store-bench-"))), port)
            for kind in present(plan.peers)
        }


def _fill(kind: Kind, place: Place, size: int) -> int:
    """Fills a cache without a bound; returns how large it is then, which is its bound from now on."""
    peer = kind.open(place, None)
    try:
        for start in range(0, size, BATCH):
            peer.fill(pairs(min(BATCH, size - start), start))
        return peer.size()
    finally:
        peer.close()


def _turn_over(kinds: list[Kind], contestants: list[Contestant], number: int) -> None:
    """Sets so many new entries, so that each cache is as it is after a long time at its bound."""
    for kind, contestant in zip(kinds, contestants, strict=True):
        if kind.turns_over:
            contestant.run(number)


def _picked(size: int) -> list[int]:
    """Numbers of entries all over the cache, in an order that jumps."""
    return [number * 7919 % size for number in range(min(size, PICKED))]


def _getting(label: str, peer: CachePeer, names: list[str]) -> Contestant:
    turns = cycle(names)

    def run(number: int) -> None:
        get = peer.get
        for name in islice(turns, number):
            get(name)

    return Contestant(label, run)


def _hit(label: str, peer: CachePeer, size: int) -> Contestant:
    return _getting(label, peer, [name_of(number) for number in _picked(size)])


def _miss(label: str, peer: CachePeer, size: int) -> Contestant:
    return _getting(label, peer, [f"missing:{number}" for number in _picked(size)])


def _set(label: str, peer: CachePeer, size: int) -> Contestant:
    turns = cycle([(name_of(number), session(number)) for number in _picked(size)])

    def run(number: int) -> None:
        for name, value in islice(turns, number):
            peer.set(name, value)

    return Contestant(label, run)


def _evict(label: str, peer: CachePeer, size: int) -> Contestant:
    """Names that were never there, one after the other."""
    numbers = count(size)

    def run(number: int) -> None:
        for new in islice(numbers, number):
            peer.set(name_of(new), session(new))

    return Contestant(label, run)


_SECTIONS: dict[str, Callable[[str, CachePeer, int], Contestant]] = {
    "hit": _hit, "miss": _miss, "set": _set, "evict": _evict,
}  # fmt: skip
