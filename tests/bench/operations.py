"""Single operations: get, set, add, update, a transaction of sets, items."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from .outcome import Outcome
from .peers import Kind, Pairs, Peer
from .peers.loads import Loads
from .peers.raw import LABEL as LIMIT
from .peers.roster import EVERYBODY, present
from .plan import Plan
from .runner import Contestant, race
from .session import pairs

TITLES = {
    "get": "`s[k]`, a read of one record",
    "set": "`s[k] = v`, over an existing record",
    "add": "`s[k] = v`, a new record",
    "update": "`s.update(…)`, many records at once in a new file",
    "transaction": "a transaction of many single sets in a new file",
    "items": "`items()`, all records decoded",
}


def measure(name: str, plan: Plan) -> Outcome:
    """Everybody who takes part in one of TITLES, interleaved."""
    kinds = present(name, plan.peers)
    if name in ("update", "transaction"):
        series = _race_in_new_files(name, kinds, plan)
    else:
        series = _race_on_open_files(name, kinds, plan)
    return Outcome(
        name, TITLES[name], series, LIMIT,
        remarks={kind.label: kind.note for kind in kinds if kind.note},
        lacking=tuple(kind.label for kind in EVERYBODY if name in kind.lacks and not kind.is_absent()),
    )  # fmt: skip


def _race_on_open_files(name: str, kinds: list[Kind], plan: Plan) -> dict[str, list[float]]:
    many = name == "items"
    stock = pairs(plan.bulk_records if many else plan.records)
    with ExitStack() as stack:
        contestants = []
        for kind in kinds:
            peer = stack.enter_context(opened(kind))
            peer.bulk(stock)
            peer.flush()
            section = _SECTIONS[name](peer, stock)
            contestants.append(Contestant(kind.label, section, count=len(stock) if many else 0))
        return race(contestants, plan.bulk_rounds if many else plan.rounds, plan.seconds)


def _race_in_new_files(name: str, kinds: list[Kind], plan: Plan) -> dict[str, list[float]]:
    stock = pairs(plan.bulk_records)
    few = stock[: len(stock) // plan.slow_share]
    contestants = [_NewFile(kind, name, few if kind.slow else stock).contestant() for kind in kinds]
    return race(contestants, plan.bulk_rounds, plan.seconds)


class _NewFile:
    """A peer that is opened anew, in a folder of its own, before each timed section."""

    def __init__(self, kind: Kind, name: str, stock: Pairs) -> None:
        self.kind, self.name, self.stock = kind, name, stock
        self.stack = ExitStack()
        self.write: Callable[[Pairs], None] = list.clear  # until `open`
        self.flush: Callable[[], None] = self.stack.close

    def contestant(self) -> Contestant:
        return Contestant(self.kind.label, self.run, self.open, self.stack.close, count=len(self.stock))

    def open(self) -> None:
        peer = self.stack.enter_context(opened(self.kind))
        self.write = peer.bulk if self.name == "update" else peer.transaction
        self.flush = peer.flush

    def run(self, count: int) -> None:
        self.write(self.stock)
        self.flush()


@contextmanager
def opened(kind: Kind) -> Iterator[Peer]:
    """A peer in a fresh folder, closed and removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="store-bench-"))
    try:
        peer = kind.open(folder)
        try:
            yield peer
        finally:
            peer.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _reading(peer: Peer, stock: Pairs) -> Callable[[int], None]:
    names: Any = peer.bodies if isinstance(peer, Loads) else [name for name, _ in stock]

    def run(count: int) -> None:
        get = peer.get
        for name in islice(cycle(names), count):
            get(name)

    return run


def _writing(peer: Peer, stock: Pairs) -> Callable[[int], None]:
    def run(count: int) -> None:
        set_ = peer.set
        for name, value in islice(cycle(stock), count):
            set_(name, value)
        peer.flush()

    return run


def _adding(peer: Peer, stock: Pairs) -> Callable[[int], None]:
    added = 0

    def run(count: int) -> None:
        nonlocal added
        set_ = peer.set
        for number, (_, value) in zip(range(added, added + count), cycle(stock), strict=False):
            set_(f"added:{number}", value)
        peer.flush()
        added += count

    return run


def _iterating(peer: Peer, stock: Pairs) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in peer.items():
            pass

    return run


_SECTIONS = {"get": _reading, "set": _writing, "add": _adding, "items": _iterating}
