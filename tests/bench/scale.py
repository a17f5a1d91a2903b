"""How it grows: the same operations on files of very different size, interleaved."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

from store import Store

from . import steps
from .figures import ratios, spread
from .peers.raw import Raw
from .peers.store import FILE, ThisStore, cache_off, without_cache
from .plan import Plan
from .processes import MEMORY, told
from .runner import Contestant, race
from .session import name, session
from .tables import duration, grid, rounded, times

BATCH = 50_000  # records that are written at once, to fill a file in bounded memory
PICKED = 10_000  # names that are read and written at random
PAGE = 100
ITERATED = 100_000  # records of the larger files that are iterated over

OPERATIONS = {  # → what its row says
    "open": "open and close",
    "get": "`s[k]`, cached where there is a cache",
    "get from disk": "`s[k]`, from disk",
    "raw get": "the same, raw sqlite3",
    "set": "`s[k] = v`",
    "raw set": "the same, raw sqlite3",
    "len": "`len(s)`",
    "page": f"`s.names(prefix, after=…, limit={PAGE})`",
    "items": "`items()`, a record",
}

_RESIDENT = MEMORY + """
from store import Store
store = Store("app.db", **{options})
store["session:0000001"]
before = memory("VmRSS")
for count, _ in enumerate(store.items(), 1):
    if count == {iterated}: break
for number in range(0, {size}, max(1, {size} // 10_000)):
    store[f"session:{{number:07d}}"]
len(store), store.names("session:", limit=100)
print(json.dumps([memory("VmHWM") - before, memory("VmHWM")]))
"""


@dataclass
class Found:
    """`series` has seconds per operation: operation → size → one figure a round."""

    sizes: tuple[int, ...]
    series: dict[str, dict[int, list[float]]]
    bytes_per_record: dict[int, float]
    growth: dict[int, int]  # size → bytes of memory that a process took to read all of that
    resident: dict[int, int]  # size → the most memory of that process, all in all
    steps: dict[int, dict[str, steps.Taken]]  # size → step → its time and memory

    def growth_of(self, operation: str, small: int, large: int) -> list[float]:
        """The ratio of two sizes, by round."""
        return ratios(self.series[operation][large], self.series[operation][small])


def measure(plan: Plan) -> Found:
    with ExitStack() as stack:
        folders = {size: Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="store-bench-"))) for size in plan.sizes}
        for size, folder in folders.items():
            _fill(folder, size)
        bytes_per_record = {size: os.stat(folder / FILE).st_size / size for size, folder in folders.items()}
        memory = {size: _memory(folder, size) for size, folder in folders.items()}
        taken = {size: steps.measure(folder, size) for size, folder in folders.items()}
        series = {"open": _race({size: _opening(folder) for size, folder in folders.items()}, plan)}
        series |= _operations(folders, plan)
    return Found(
        plan.sizes, series, bytes_per_record, {size: found[0] for size, found in memory.items()},
        {size: found[1] for size, found in memory.items()}, taken,
    )  # fmt: skip


def lines(found: Found) -> list[str]:
    """A row for each operation, a column for each size; the last one is the growth from the least to the largest.

    A second table has what is done with a whole file.
    """
    sizes, small, large = found.sizes, min(found.sizes), max(found.sizes)
    rows = []
    for operation, title in OPERATIONS.items():
        medians = [duration(median(found.series[operation][size])) for size in sizes]
        rows.append((title, *medians, times(spread(found.growth_of(operation, small, large)))))
    rows.append(("file, bytes a record", *(rounded(found.bytes_per_record[size]) for size in sizes), ""))
    rows.append(("memory, to read it without a cache", *(_mib(found.growth[size]) for size in sizes), ""))
    rows.append(("memory of the process", *(_mib(found.resident[size]) for size in sizes), ""))
    heads = ("records", *(f"{size:,}" for size in sizes), f"{large:,} ÷ {small:,}")
    return ["### How it grows", "", *grid(heads, rows), "", *steps.lines(found.steps)]


def _memory(folder: Path, size: int) -> list[int]:
    """Without the cache, whose size is the caller's choice."""
    found: list[int] = told(_RESIDENT.format(size=size, iterated=ITERATED, options=cache_off()), cwd=folder)
    return found


def _mib(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"


def _fill(folder: Path, size: int) -> None:
    """The same records in a store and in the limit's file."""
    raw = Raw(folder)
    for start in range(0, size, BATCH):
        numbers = range(start, min(start + BATCH, size))
        steps.fill(folder, numbers)
        raw.bulk((name(number), session(number)) for number in numbers)
    raw.close()


def _operations(folders: dict[int, Path], plan: Plan) -> dict[str, dict[int, list[float]]]:
    """One kind of handle after the other: two `Store`s on one file would share what they have read."""
    picked = {size: [name(number) for number in random.Random(7).choices(range(size), k=PICKED)] for size in folders}
    found = {}
    for kind, operations in _OF.items():
        with ExitStack() as stack:
            peers = {}
            for size, folder in folders.items():
                peers[size] = kind(folder)
                stack.callback(peers[size].close)
            for operation, section in operations.items():
                found[operation] = _race({size: section(peers[size], picked[size]) for size in folders}, plan)
    return found


def _race(sections: dict[int, Callable[[int], None]], plan: Plan) -> dict[int, list[float]]:
    found = race([Contestant(str(size), section) for size, section in sections.items()], plan.scale_rounds, plan.seconds)
    return {int(size): figures for size, figures in found.items()}


def _opening(folder: Path) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            Store(folder / FILE).close()

    return run


def _each(operation: Callable[[str], object], names: list[str]) -> Callable[[int], None]:
    """Goes on where the last section ended, so that a large file is really read all over."""
    endless = cycle(names)

    def run(count: int) -> None:
        for name_ in islice(endless, count):
            operation(name_)

    return run


def _getting(peer: Any, names: list[str]) -> Callable[[int], None]:
    return _each(peer.get, names)


def _setting(peer: Any, names: list[str]) -> Callable[[int], None]:
    value, set_ = session(7), peer.set
    return _each(lambda name_: set_(name_, value), names)


def _counting(peer: ThisStore, names: list[str]) -> Callable[[int], None]:
    return _each(lambda _: len(peer.store), names)


def _paging(peer: ThisStore, names: list[str]) -> Callable[[int], None]:
    store = peer.store
    return _each(lambda name_: store.names("session:", after=name_, limit=PAGE), names)


def _iterating(peer: ThisStore, names: list[str]) -> Callable[[int], None]:
    def run(count: int) -> None:
        """`count` records, from the start again where the file has fewer."""
        while count > 0:
            for _ in islice(peer.items(), min(count, ITERATED)):
                count -= 1

    return run


_OF: dict[Callable[[Path], Any], dict[str, Callable[[Any, list[str]], Callable[[int], None]]]] = {
    ThisStore: {"get": _getting, "set": _setting, "len": _counting, "page": _paging, "items": _iterating},
    without_cache: {"get from disk": _getting},
    Raw: {"raw get": _getting, "raw set": _setting},
}
