"""Whether the machine had other work while it was measured: such figures mislead, so the report says so."""

from __future__ import annotations

import os
from pathlib import Path
from time import sleep
from typing import NamedTuple

STAT = Path("/proc/stat")
BUSY, LOAD, STOLEN = 0.1, 0.5, 0.02  # shares of the processors, and the load of each, that a quiet machine stays below
MISLEADS = "**not quiet**: figures mislead, even as ratios"


class Ticks(NamedTuple):
    """Time of all processors since the machine began. Stolen is what a hypervisor gave to its other guests."""

    total: int
    busy: int
    stolen: int


class Noise(NamedTuple):
    """Shares of the processors before a run; the load of the minute before it, for each processor."""

    load: float
    busy: float
    stolen: float

    @property
    def is_quiet(self) -> bool:
        return self.load < LOAD and self.busy < BUSY and self.stolen < STOLEN


def ticks(stat: Path = STAT) -> Ticks | None:
    """None where the system does not say."""
    if not stat.exists():
        return None
    user, nice, system, idle, waiting, hard, soft, stolen = map(int, stat.read_text().split("\n")[0].split()[1:9])
    busy = user + nice + system + hard + soft
    return Ticks(busy + idle + waiting + stolen, busy, stolen)


def shares(before: Ticks, after: Ticks) -> tuple[float, float]:
    """Of the processors' time between the two: busy, and stolen."""
    total = max(after.total - before.total, 1)
    return (after.busy - before.busy) / total, (after.stolen - before.stolen) / total


def listen(seconds: float) -> Noise | None:
    """How busy the machine is while this process does nothing; None where the system does not say."""
    before = ticks()
    sleep(seconds)
    after = ticks()
    if before is None or after is None:
        return None
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return Noise(load, *shares(before, after))


def line(noise: Noise | None, stolen: float | None = None) -> str:
    """A Markdown list item; `stolen` is the share of the whole run, once it is over."""
    if noise is None:
        return "- whether the machine was quiet is not known: the system has no /proc/stat"
    loud = not noise.is_quiet or (stolen or 0.0) >= STOLEN
    found = (
        f"- {MISLEADS if loud else 'a quiet machine'}: before the run, load {noise.load:.2f} for each core, "
        f"{noise.busy:.0%} busy with other work, {noise.stolen:.1%} stolen by the hypervisor"
    )
    return found if stolen is None else f"{found}; {stolen:.1%} stolen during the run"
