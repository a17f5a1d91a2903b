"""Power cuts, simulated: a program is recorded once, and its disk rebuilt in many states that a power cut may leave.

    plans.py      what is done: steps on a store
    recorded.py   the program that does them, with the shim of `tests/campaign/shim` (defects.py: with a mistake in it)
    recording.py  its log, and the states of the disk that come of it
    disk.py       the model: what is certain to be on a disk, and what may be
    check.py      what must hold of each state
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

from ..shim import MISSING, library
from ..trial import Promise, Round
from .check import problem_of
from .plans import PLANS
from .recording import record

STATES = 150  # of each plan in a round
MEMORY = "/dev/shm"  # where states are laid out: what is read back from there costs no waiting for a disk


def states(
    rng: Random, folder: Path, shim: Path, durability: str, count: int, plans: Sequence[str] = tuple(PLANS), defect: str = "none"
) -> Iterator[str | None]:
    """What is wrong with each of `count` states of the disk for each plan; None where nothing is."""
    seed = f"{rng.getrandbits(64):x}"
    with scratch(folder) as memory:
        for recording in record(memory, shim, seed, durability, plans, defect):
            for moment in recording.moments(count, rng):
                problem = problem_of(recording, moment, memory / "state", rng)
                place = f"{recording.plan}, {durability}, seed {seed}, after entry {moment.entry} of the log, {moment.cut}"
                yield problem and f"{place}: {problem}"


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder in memory, where there is such a thing."""
    with tempfile.TemporaryDirectory(prefix="power-", dir=MEMORY if os.access(MEMORY, os.W_OK) else folder) as name:
        yield Path(name).resolve()


def _round(durability: str, rng: Random, folder: Path) -> Round:
    shim = library(folder)
    if shim is None:
        return Round(skipped=MISSING)
    found = list(states(rng, folder, shim, durability, STATES))
    return Round(len(found), [problem for problem in found if problem])


_HOW = (
    "A program is recorded by a library that stands between it and the file system; its disk is rebuilt at moments of "
    "the log with unsynced writes kept, dropped, reordered or torn at 512 bytes, names that were not synced kept or "
    "dropped too. Put, batch, delete, large values, compact, killed writers, creation, network mode, upgrade, backup and restore. "
)
FULL = Promise(
    "power-full",
    'With durability="full" no acknowledged write is lost to a power cut, and nothing is ever corrupt.',
    _HOW + "Failure: a store that does not open, check or verify, lacks a file, or is not as after the last step that "
    "had returned or one that had begun.",
    "states",
    partial(_round, "full"),
)
NORMAL = Promise(
    "power-normal",
    'With durability="normal" a power cut takes at most the newest commits, and nothing is ever corrupt.',
    _HOW + "Failure: a store that does not open, check or verify, lacks a file, or is as it never was.",
    "states",
    partial(_round, "normal"),
)
