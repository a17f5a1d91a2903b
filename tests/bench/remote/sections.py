"""Timed sections of one client: single operations, bulks, and all records."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import count, cycle, islice

from ..outcome import Outcome
from ..runner import Contestant, race
from ..session import name as name_of
from ..session import pairs, session
from .peers import BATCH, Peer, Roster
from .plan import Plan

MANY = 10_000
DELETED = 50  # records that are deleted in one section
LARGE_BYTES = (4096, 65536, 1024 * 1024)


def measure(
    url: str, size: int, plan: Plan, roster: Roster, titles: Mapping[str, str], settle: Callable[[str], None]
) -> Iterator[Outcome]:
    """An outcome for each operation of `titles`, with so many records; `settle` runs once they are filled in."""
    present = roster.present(plan.peers)
    with ExitStack() as stack:
        peers = {}
        for kind in present:
            kind.fill(url, pairs(size))
            peers[kind.label] = kind.open(url)
            stack.callback(peers[kind.label].close)
        settle(url)
        for operation, title in titles.items():
            able = [kind.label for kind in present if operation not in kind.lacks]
            contestants = [_SECTIONS[operation](label, peers[label], size) for label in able]
            lacking = tuple(kind.label for kind in present if kind.label not in able)
            series = race(contestants, _rounds(operation, size, plan), plan.seconds)
            yield Outcome(operation, title, series, roster.bare, lacking=lacking)


def measure_large(peers: Mapping[str, Peer], plan: Plan, bare: str) -> Iterator[Outcome]:
    """Reads of one large value that has not changed."""
    for size in LARGE_BYTES:
        value = os.urandom(size)
        for label, peer in peers.items():
            peer.set(label, value)
        contestants = [Contestant(label, calling(peer.get, [label])) for label, peer in peers.items()]
        title = f"`s[k]` of {size // 1024:,} KiB, unchanged"
        yield Outcome(f"large {size}", title, race(contestants, plan.rounds, plan.seconds), bare)
        for label, peer in peers.items():
            peer.delete(label)


def _rounds(operation: str, size: int, plan: Plan) -> int:
    """Fewer where a section reads all of a large table."""
    return plan.bulk_rounds if operation == "items" and size > MANY else plan.rounds


def names_of(size: int) -> list[str]:
    """Names all over the table, in an order that jumps: those that single operations read and write."""
    return [name_of(number * 7919 % size) for number in range(min(size, 5000))]


def calling(operation: Callable[[str], object], names: list[str]) -> Callable[[int], None]:
    """A section that calls an operation with these names in turn."""
    turns = cycle(names)

    def run(count_: int) -> None:
        for name in islice(turns, count_):
            operation(name)

    return run


def _get(label: str, peer: Peer, size: int) -> Contestant:
    return Contestant(label, calling(peer.get, names_of(size)))


def _edit(label: str, peer: Peer, size: int) -> Contestant:
    return Contestant(label, calling(peer.edit, names_of(size)))


def _set(label: str, peer: Peer, size: int) -> Contestant:
    turns = cycle([(name, session(number)) for number, name in enumerate(names_of(size))])

    def run(count_: int) -> None:
        for name, value in islice(turns, count_):
            peer.set(name, value)

    return Contestant(label, run)


def _delete(label: str, peer: Peer, size: int) -> Contestant:
    names = [name_of(size + number) for number in range(DELETED)]

    def before() -> None:
        for number, name in enumerate(names):
            peer.set(name, session(number))

    def run(count_: int) -> None:
        for name in names:
            peer.delete(name)

    return Contestant(label, run, before, count=DELETED)


def _update(label: str, peer: Peer, size: int) -> Contestant:
    starts = count()

    def run(count_: int) -> None:
        start = next(starts) * BATCH % size
        peer.update(pairs(min(BATCH, size - start), start))

    return Contestant(label, run, count=BATCH)


def _get_many(label: str, peer: Peer, size: int) -> Contestant:
    starts = count()

    def run(count_: int) -> None:
        start = next(starts) * BATCH % size
        peer.get_many([name_of(number) for number in range(start, min(start + BATCH, size))])

    return Contestant(label, run, count=BATCH)


def _items(label: str, peer: Peer, size: int) -> Contestant:
    def run(count_: int) -> None:
        for _ in peer.items():
            pass

    return Contestant(label, run, count=size)


_SECTIONS: dict[str, Callable[[str, Peer, int], Contestant]] = {
    "get": _get, "set": _set, "delete": _delete, "edit": _edit, "update": _update, "get_many": _get_many,
    "items": _items,
}  # fmt: skip
