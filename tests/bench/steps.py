"""What is done with a whole file: each step in a process of its own, its time, and the memory that it took at the most."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from store import Store

from .peers.store import FILE, cache_off
from .processes import MEMORY, told
from .session import name, session
from .tables import duration, grid

READS = 10_000
PAGES = 1_000
PAGE = 100
EXPIRING_SHARE = 10  # one record of so many has a ttl
TTL_SECONDS = 30 * 86_400.0
SECONDS = 3_600.0  # until a step counts as hanging

_PROGRAM = MEMORY + """
import random
from time import perf_counter, time
import store.care.verify, store.care.backup
from store import Store
{prepare}
before = memory("VmRSS")
start = perf_counter()
{step}
took = perf_counter() - start
print(json.dumps([took / {count}, memory("VmHWM") - before]))
"""
_OPEN = """
store = Store("app.db", **{options})
store["session:0000000"]
picked = [f"session:{{number:07d}}" for number in random.Random(7).choices(range({size}), k={reads})]
"""
_COPY = "copy.db"
_PURGE_LATER = """
store = Store("{copy}", clock=lambda: time() + 2 * {ttl})
"""


@dataclass(frozen=True)
class Step:
    """`count`: what the time is divided by."""

    title: str
    program: str
    prepare: str = _OPEN
    count: int = 1


STEPS = {
    "open": Step("open, and one read", 'store = Store("app.db")\nstore["session:0000000"]', prepare=""),
    "read": Step("`s[k]`, from disk, one of 10,000 all over the file", "for name in picked: store[name]", count=READS),
    "len": Step("`len(s)`, the first in a process", "len(store)"),
    "page": Step(
        f"`s.names(prefix, after=…, limit={PAGE})`, one of 1,000 all over the file",
        "for name in picked[:{pages}]: store.names('session:', after=name, limit={page})", count=PAGES,
    ),
    "walk": Step("`items()`, all", "for item in store.items(): pass"),
    "quick": Step("`verify(quick=True)`", "assert store.verify(quick=True).sealed == {size}"),
    "verify": Step("`verify()`", "assert store.verify().ok"),
    "backup": Step("`backup(path)`", 'assert store.backup("{copy}").records == {size}'),
    "purge": Step("`purge()` of a tenth, in the copy", "assert store.purge() == {size} // {share}", prepare=_PURGE_LATER),
}  # fmt: skip


@dataclass
class Taken:
    """One step on one file."""

    seconds: float
    memory: int  # bytes more than before it, at the most


def fill(folder: Path, numbers: range) -> None:
    """Records with those numbers, at once; a tenth of them expires in a month."""
    for ttl in (None, TTL_SECONDS):
        chosen = [number for number in numbers if (number % EXPIRING_SHARE == EXPIRING_SHARE - 1) is (ttl is not None)]
        with Store(folder / FILE, ttl=ttl) as store:
            store.update((name(number), session(number)) for number in chosen)


def measure(folder: Path, size: int) -> dict[str, Taken]:
    """Every step on that file, which stays as it is."""
    values = {
        "size": size, "reads": READS, "pages": PAGES, "page": PAGE, "options": cache_off(), "ttl": TTL_SECONDS,
        "share": EXPIRING_SHARE, "copy": _COPY,
    }  # fmt: skip
    found = {}
    for label, step in STEPS.items():
        program = _PROGRAM.format(
            prepare=step.prepare.format(**values), step=step.program.format(**values), count=step.count
        )
        found[label] = Taken(*told(program, cwd=folder, seconds=SECONDS))
    for file in folder.glob(f"{_COPY}*"):
        file.unlink()
    return found


def lines(found: dict[int, dict[str, Taken]]) -> list[str]:
    """A row for each step; a column for the time and one for the memory of each size."""
    rows = []
    for label, step in STEPS.items():
        taken = [each[label] for each in found.values()]
        times = [duration(each.seconds) for each in taken]
        rows.append((step.title, *times, *(f"{each.memory / 1024**2:.1f} MiB" for each in taken)))
    heads = ("step, in a process of its own", *(f"{size:,}" for size in found), *(f"memory, {size:,}" for size in found))
    return ["### What is done with a whole file", "", *grid(heads, rows)]
