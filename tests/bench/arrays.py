"""One large array: written by everybody into a new place, and read by processes that have not seen it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from .figures import spread
from .outcome import Outcome
from .peers import FRAGILE, KEPT, SYNCED, Durability, Guarantee, guarantee_of
from .plan import Plan
from .processes import MEMORY, told
from .runner import Contestant, race
from .tables import by_class, duration, grid

LIMIT = "np.save + fsync"
READS = 3  # of one process; the median counts, memory from the first on

_STORE = "from store import Store\ns = Store('app.db'{})\n"
_READERS = {  # label → what opens it, what reads it; the file is that of the writer in _WRITTEN_BY
    "np.load": ("import numpy\n", "numpy.load('array.npy')"),
    "np.load, mapped": ("import numpy\n", "numpy.load('array.npy', mmap_mode='r')"),
    "joblib.load": ("import joblib\n", "joblib.load('array.joblib')"),
    "joblib.load, mapped": ("import joblib\n", "joblib.load('array.joblib', mmap_mode='r')"),
    "diskcache Cache": ("import diskcache\ns = diskcache.Cache('cache')\n", "s['array']"),
    "store": (_STORE.format(""), "s['array']"),
    "store, codec numpy": (_STORE.format(", codec='numpy'"), "s['array']"),
}
_WRITTEN_BY = {
    "np.load": LIMIT, "np.load, mapped": LIMIT, "joblib.load": "joblib.dump", "joblib.load, mapped": "joblib.dump",
}  # fmt: skip
_SURVIVES: dict[str, Durability] = {
    LIMIT: SYNCED, "np.save": FRAGILE, "joblib.dump": FRAGILE,
    "diskcache Cache": FRAGILE,  # the value is a file of its own, which nobody syncs
    "store": KEPT, "store, codec numpy": KEPT,
}  # fmt: skip
_PROGRAM = MEMORY + """
from time import perf_counter
import numpy
{open}
before, seconds = memory("VmRSS"), []
for _ in range({reads}):
    start = perf_counter()
    array = {read}
    seconds.append(perf_counter() - start)
    growth = memory("VmHWM") - before
    assert array.nbytes == {size}
    del array
print(json.dumps([seconds, growth]))
"""


@dataclass
class Found:
    size_mib: int
    write: Outcome
    read: Outcome
    growth: dict[str, list[int]]  # label → bytes of memory that reading took, by round


def measure(plan: Plan) -> Found | None:
    """None where there is no NumPy."""
    if find_spec("numpy") is None:
        return None
    import numpy

    array = numpy.random.default_rng(7).random(plan.array_mib * 1024 * 1024 // 8)
    writers = _writers()
    with tempfile.TemporaryDirectory(prefix="store-bench-") as folder:
        contestants = [_writing(label, write, array, Path(folder, label)) for label, write in writers.items()]
        write = race(contestants, plan.array_rounds, 0.0)
        read, growth = _read(plan, Path(folder), array.nbytes, writers)
    title = f"an array of {plan.array_mib} MiB"
    return Found(
        plan.array_mib, Outcome("array_write", f"{title}, written", write, LIMIT),
        Outcome("array_read", f"{title}, read", read, "np.load"), growth,
    )  # fmt: skip


def lines(found: Found) -> list[str]:
    """Both tables."""
    rows = [_row(found.write, label, _SURVIVES[label].name) for label in found.write.fastest_first()]
    heads = ("class", "", "median", "least – most", f"÷ {LIMIT}", "survives")
    text = [f"### {found.write.title}", "", *grid(heads, by_class(rows, _class_of), frozenset({0, 1, 5})), ""]
    rows = [_row(found.read, label, _megabytes(found.growth[label])) for label in found.read.fastest_first()]
    heads = ("class", "", "median", "least – most", "÷ np.load", "memory it took")
    return [*text, f"### {found.read.title}", "", *grid(heads, by_class(rows, _class_of), frozenset({0, 1}))]


def _class_of(label: str) -> Guarantee:
    """Of a way to write, or of the way that wrote what is read."""
    return guarantee_of(_SURVIVES[_WRITTEN_BY.get(label, label)])


def _row(outcome: Outcome, label: str, last: str) -> tuple[str, tuple[str, ...]]:
    figures, ratio = spread(outcome.series[label]), outcome.ratio(label)
    around = f"{duration(figures.least)} – {duration(figures.largest)}"
    return label, (duration(figures.median), around, f"{ratio.median:.2g}" if ratio else "", last)


def _megabytes(sizes: list[int]) -> str:
    return f"{median(sizes) / 1024**2:.1f} MiB"


def _writing(label: str, write: Callable[[Path, Any], None], array: Any, folder: Path) -> Contestant:
    def before() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()

    return Contestant(label, lambda count: write(folder, array), before, count=1)


def _read(plan: Plan, folder: Path, size: int, writers: dict[str, Any]) -> tuple[dict[str, list[float]], dict[str, list[int]]]:
    wanted = {label: reader for label, reader in _READERS.items() if _WRITTEN_BY.get(label, label) in writers}
    seconds: dict[str, list[float]] = {label: [] for label in wanted}
    growth: dict[str, list[int]] = {label: [] for label in wanted}
    for _ in range(plan.array_rounds):
        for label, (open_, read) in wanted.items():
            program = _PROGRAM.format(open=open_, read=read, reads=READS, size=size)
            took, grown = told(program, cwd=folder / _WRITTEN_BY.get(label, label))
            seconds[label].append(median(took))
            growth[label].append(grown)
    return seconds, growth


def _writers() -> dict[str, Callable[[Path, Any], None]]:
    writers = {LIMIT: _save_synced, "np.save": _save, "store": _store(), "store, codec numpy": _store(codec="numpy")}
    if find_spec("joblib"):
        writers["joblib.dump"] = _dump
    if find_spec("diskcache"):
        writers["diskcache Cache"] = _cache
    return writers


def _save(folder: Path, array: Any) -> None:
    import numpy

    numpy.save(folder / "array.npy", array)


def _save_synced(folder: Path, array: Any) -> None:
    import numpy

    with open(folder / "array.npy", "wb") as file:
        numpy.save(file, array)
        file.flush()
        os.fsync(file.fileno())


def _dump(folder: Path, array: Any) -> None:
    import joblib

    joblib.dump(array, folder / "array.joblib")


def _cache(folder: Path, array: Any) -> None:
    import diskcache

    with diskcache.Cache(str(folder / "cache"), size_limit=2**40) as cache:
        cache["array"] = array


def _store(**options: Any) -> Callable[[Path, Any], None]:
    from store import Store

    def write(folder: Path, array: Any) -> None:
        with closing(Store(folder / "app.db", **options)) as store:
            store["array"] = array

    return write
