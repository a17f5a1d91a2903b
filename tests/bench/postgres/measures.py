"""Single operations of one client, interleaved, at several numbers of records."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import count, cycle, islice
from typing import Any, NamedTuple

from ..outcome import Outcome
from ..runner import Contestant, race
from ..session import name as name_of
from ..session import pairs, session
from .libraries import KINDS as LIBRARIES
from .peers import BARE, BATCH, KINDS, Bare, Kind, Peer, ThisStore

EVERYBODY = (*KINDS, *LIBRARIES)
TITLES = {
    "get": "`s[k]`",
    "set": "`s[k] = v`, over an existing record",
    "delete": "`del s[k]`",
    "edit": "`with s.edit(k)`: read, change, write back",
    "update": f"`s.update(…)` of {BATCH} records, for each record",
    "get_many": f"`s.get_many(…)` of {BATCH} records, for each record",
    "items": "`items()`, for each record",
}
MANY = 10_000
DELETED = 50  # records that are deleted in one section
LARGE_BYTES = (4096, 65536, 1024 * 1024)


class Plan(NamedTuple):
    """How long it takes."""

    sizes: tuple[int, ...] = (1000, 100_000)
    clients: tuple[int, ...] = (1, 8, 32)
    rounds: int = 21  # many short ones: another program that runs for a while disturbs few of them
    seconds: float = 0.05
    bulk_rounds: int = 5
    client_rounds: int = 3
    client_seconds: float = 1.0
    peers: tuple[str, ...] = ()


FULL = Plan()
QUICK = Plan(sizes=(1000,), clients=(1, 8), rounds=11, seconds=0.03, bulk_rounds=3, client_seconds=0.5)
TINY = Plan(sizes=(1000,), clients=(2,), rounds=1, seconds=0.01, bulk_rounds=1, client_rounds=1, client_seconds=0.1)


def present(plan: Plan) -> list[Kind]:
    """The peers that are installed and chosen."""
    chosen = [kind for kind in EVERYBODY if not plan.peers or kind.label.lower().startswith(plan.peers)]
    return [kind for kind in chosen if not missing(kind)]


def missing(kind: Kind) -> list[str]:
    return [module for module in kind.modules if find_spec(module) is None]


def measure(url: str, size: int, plan: Plan) -> Iterator[Outcome]:
    """An outcome for each operation, on tables of so many records."""
    with ExitStack() as stack:
        peers = {}
        for kind in present(plan):
            kind.fill(url, pairs(size))
            peers[kind.label] = kind.open(url)
            stack.callback(peers[kind.label].close)
        _settle(url)
        for operation, title in TITLES.items():
            contestants = [
                _SECTIONS[operation](kind.label, peers[kind.label], size)
                for kind in present(plan)
                if operation not in kind.lacks
            ]
            yield Outcome(
                operation, title, race(contestants, _rounds(operation, size, plan), plan.seconds), BARE,
                lacking=tuple(kind.label for kind in present(plan) if operation in kind.lacks),
            )  # fmt: skip


def _rounds(operation: str, size: int, plan: Plan) -> int:
    """Fewer where a section reads all of a large table."""
    return plan.bulk_rounds if operation == "items" and size > MANY else plan.rounds


def measure_large(url: str, plan: Plan) -> Iterator[Outcome]:
    """Reads of one large value that has not changed: kept by the handle, not kept, and by the driver alone."""
    for size in LARGE_BYTES:
        peers: dict[str, Any] = {BARE: Bare(url), "store": ThisStore(url), "store, no cache": ThisStore(url, cache_bytes=0)}
        value = os.urandom(size)
        for label, peer in peers.items():
            peer.set(label, value)
        contestants = [Contestant(label, _getting(peer, [label])) for label, peer in peers.items()]
        yield Outcome(f"large {size}", f"`s[k]` of {size // 1024:,} KiB, unchanged", race(contestants, plan.rounds, plan.seconds), BARE)
        for label, peer in peers.items():
            peer.delete(label)
            peer.close()


def _settle(url: str) -> None:
    """Analyse and write out what was filled in, so that the server does not do so in a timed section."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")
        conn.execute("CHECKPOINT")


def _names(size: int) -> list[str]:
    """Names all over the table, in an order that jumps."""
    return [name_of(number * 7919 % size) for number in range(min(size, 5000))]


def _getting(peer: Peer, names: list[str]) -> Callable[[int], None]:
    turns = cycle(names)

    def run(count_: int) -> None:
        get = peer.get
        for name in islice(turns, count_):
            get(name)

    return run


def _get(label: str, peer: Peer, size: int) -> Contestant:
    return Contestant(label, _getting(peer, _names(size)))


def _set(label: str, peer: Peer, size: int) -> Contestant:
    turns = cycle([(name, session(number)) for number, name in enumerate(_names(size))])

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


def _edit(label: str, peer: Peer, size: int) -> Contestant:
    turns = cycle(_names(size))

    def run(count_: int) -> None:
        for name in islice(turns, count_):
            peer.edit(name)

    return Contestant(label, run)


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


_SECTIONS = {
    "get": _get, "set": _set, "delete": _delete, "edit": _edit, "update": _update, "get_many": _get_many,
    "items": _items,
}  # fmt: skip
