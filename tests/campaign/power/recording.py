"""Recordings: a plan that was run once, and the many states in which a power cut may leave its disk."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from .disk import Base, Cut, Disk, Files
from .log import Entry, entries
from .plans import PLANS, States

ROOT = Path(__file__).parents[3]
TIMEOUT = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Moment:
    """A state of the disk: after an entry of the log, with what the power cut left."""

    entry: int
    cut: Cut
    files: Files
    done: int
    """The last step that had returned."""
    begun: int
    """The last step that had begun."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One plan with one durability."""

    plan: str
    durability: str
    root: str
    base: Base
    log: list[Entry]
    states: States
    backups: list[int]
    """The steps that make one."""
    upgrades: bool
    """Whether the release after this one is among those that open the store."""

    def moments(self, count: int, rng: Random) -> Iterator[Moment]:
        """So many states, spread over the log; half of them right before something is synced, where most is not."""
        return self.moments_at(list(self._spread(count, rng)), rng)

    def _spread(self, count: int, rng: Random) -> Iterator[int]:
        for number in range(count):
            until = int((number + rng.random()) / count * (len(self.log) + 1))
            if rng.random() < 0.5:
                until = next((later for later in range(until, len(self.log)) if self.log[later].kind == "sync"), until)
            yield until

    def moments_at(self, numbers: Sequence[int], rng: Random) -> Iterator[Moment]:
        """A state after so many entries, for each of these numbers; one that is less than that before it is as that."""
        disk, at, done, begun = Disk(self.root, self.base), 0, 0, 0
        for until in numbers:
            for entry in self.log[at:until]:
                disk.apply(entry)
                if entry.kind == "mark":
                    what, _, step = entry.path.partition(" ")
                    done, begun = (int(step), begun) if what == "done" else (done, int(step))
            at = max(at, until)
            cut = Cut.drawn(rng)
            yield Moment(at, cut, disk.after_cut(rng, cut), done, begun)


def record(
    folder: Path, shim: Path, seed: str, durability: str, plans: Sequence[str] = tuple(PLANS), defect: str = "none"
) -> list[Recording]:
    """Run plans in a program of their own, with the shim."""
    environment = {**os.environ, "LD_PRELOAD": str(shim)}
    folder = folder.resolve()
    subprocess.run(
        [sys.executable, "-m", "tests.campaign.power.recorded", str(folder), seed, durability, defect, *plans],
        cwd=ROOT, env=environment, check=True, timeout=TIMEOUT,
    )  # fmt: skip
    return [_read(folder / plan, seed, durability) for plan in plans]


def _read(folder: Path, seed: str, durability: str) -> Recording:
    root, base, final = pickle.loads((folder / "recorded.pickle").read_bytes())
    log = list(entries(folder / "log"))
    assert _without_index(_replayed(root, base, log)) == _without_index(final), "the log lacks something"
    plan = PLANS[folder.name](Random(f"{seed} {folder.name}"))
    backups = [number for number, step in enumerate(plan.steps, 1) if step.kind == "backup"]
    return Recording(folder.name, durability, root, base, log, plan.states(), backups, plan.upgrades())


def _replayed(root: str, base: Base, log: list[Entry]) -> Files:
    disk = Disk(root, base)
    for entry in log:
        disk.apply(entry)
    return disk.live()


def _without_index(files: Files) -> Files:
    """Less what is written through a map."""
    return {path: content for path, content in files.items() if not path.endswith(("-shm", ".changes"))}
