"""The first read of records that this store has just written, beside a read of those that it has read before."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice

from .operations import opened
from .outcome import Outcome
from .peers import Pairs, Peer
from .peers.roster import present
from .peers.store import LABEL as STORE
from .plan import Plan
from .runner import Contestant, race
from .session import pairs

TITLE = "`s[k]`, the first read after a write of one's own"
CACHED = "store, read before"
UPDATED, IN_TRANSACTION, SET = "store, after an update", "store, after a transaction", "store, after a set"


def measure(plan: Plan) -> Outcome:
    """Each section reads every record once; writing them is not timed."""
    (kind,) = [kind for kind in present("get") if kind.label == STORE]
    stock = pairs(plan.records)
    with ExitStack() as stack:
        contestants = []
        for label, write in _WRITES.items():
            peer = stack.enter_context(opened(kind))
            peer.bulk(stock)
            contestants.append(_reading(label, peer, write, stock))
        series = race(contestants, plan.rounds, 0.0)
    return Outcome("own", TITLE, series, CACHED)


def _reading(label: str, peer: Peer, write: Callable[[Peer, Pairs], None], stock: Pairs) -> Contestant:
    names = [name for name, _ in stock]

    def run(count: int) -> None:
        get = peer.get
        for name in islice(names, count):
            get(name)

    return Contestant(label, run, before=lambda: write(peer, stock), count=len(stock))


def _read(peer: Peer, stock: Pairs) -> None:
    for name, _ in stock:
        peer.get(name)


def _set(peer: Peer, stock: Pairs) -> None:
    for name, value in stock:
        peer.set(name, value)


_WRITES: dict[str, Callable[[Peer, Pairs], None]] = {
    CACHED: _read, SET: _set, UPDATED: lambda peer, stock: peer.bulk(stock),
    IN_TRANSACTION: lambda peer, stock: peer.transaction(stock),
}  # fmt: skip
