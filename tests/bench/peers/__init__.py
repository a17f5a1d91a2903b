"""The contract of a peer: one way to keep Python objects on disk, used as its own documentation says.

Each module of this package has a `KINDS`: the ways of using one library that are measured.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

Pairs = list[tuple[str, Any]]


class Durability(NamedTuple):
    """What is left of a write that has returned: `name` stands in the tables, `meaning` under them."""

    name: str
    meaning: str


# Each kind names one, so that nobody is compared in silence with somebody who syncs less.
SYNCED = Durability("power cut", "every commit is synced: what returned survives a power cut")
KEPT = Durability("crash", "survives a crash of the process; a power cut may lose the newest commits, damages nothing")
FRAGILE = Durability("fragile", "survives a crash of the process; a power cut may damage what was there before")
QUEUED = Durability("weak", "a crash of the process may lose what returned, or damage the file")
IN_MEMORY = Durability("none", "reads memory only")


class Guarantee(NamedTuple):
    """The class that tables and chart group by: only systems of one class promise the same."""

    name: str
    meaning: str


POWER_CUT = Guarantee("power cut, processes", "many processes at once; each write that returned survives a power cut")
CRASH = Guarantee("crash, processes", "many processes at once; each write that returned survives a crash of a process")
ALONE = Guarantee("one process", "only one process at a time may have it open, whatever a write survives")
WEAKER = Guarantee("fragile or weak", "a power cut may damage what was there, or a crash lose what returned")
FLOOR = Guarantee("no storage", "the floor that the others are seen against")
GUARANTEES = (POWER_CUT, CRASH, ALONE, WEAKER, FLOOR)


class Peer(Protocol):
    """One open store. `get` and `set` are called as they are, without a wrapper that would cost time."""

    get: Callable[[str], Any]
    set: Callable[[str, Any], Any]

    def items(self) -> Iterable[tuple[str, Any]]:
        """All names with their decoded values."""

    def bulk(self, pairs: Pairs) -> None:
        """Writes all of them in the fastest way that the library documents; durable as a single write is."""

    def transaction(self, pairs: Pairs) -> None:
        """Writes them one by one as one transaction."""

    def flush(self) -> None:
        """Waits for writes that were only queued; timed with them."""

    def close(self) -> None: ...


class Defaults:
    """What most peers have nothing of their own for."""

    def flush(self) -> None:
        pass


TOGETHER = ("contention", "synced", "mixed")  # measures of several processes on one file


def guarantee_of(durability: Durability) -> Guarantee:
    """That of a file which many processes may open."""
    return {SYNCED: POWER_CUT, KEPT: CRASH, IN_MEMORY: FLOOR}.get(durability, WEAKER)


@dataclass(frozen=True)
class Kind:
    """One way of using a library.

    `modules` are what it needs to be imported, `distribution` what tells its version. Of the measures of one process,
    `only` names those it takes part in, where the others would say nothing new, and `lacks` those it has no way to
    do. `together` names those measures of TOGETHER that it takes part in.
    """

    label: str
    durability: Durability
    open: Callable[[Path], Peer]
    modules: tuple[str, ...] = ()
    distribution: str | None = None
    only: frozenset[str] | None = None
    lacks: frozenset[str] = frozenset()
    together: frozenset[str] = frozenset()
    shared: bool = True  # whether several processes may have it open
    opened_by_each_thread: bool = False  # where an open one belongs to one thread
    slow: bool = False  # so slow at many records that a quick run gives it fewer
    note: str = ""
    needs: str = ""  # what to install where it is absent, if not the distribution

    def is_absent(self) -> bool:
        return any(find_spec(module) is None for module in self.modules)

    def version(self) -> str:
        if self.distribution is None:
            return f"Python {sys.version.split()[0]}"
        return f"{self.distribution} {importlib.metadata.version(self.distribution)}"

    @property
    def guarantee(self) -> Guarantee:
        found = guarantee_of(self.durability)
        return found if self.shared or found is WEAKER else ALONE

    def takes_part(self, measure: str) -> bool:
        if measure in TOGETHER:
            return measure in self.together
        return (self.only is None or measure in self.only) and measure not in self.lacks
