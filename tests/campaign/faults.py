"""Promises of what happens where the system fails: calls that fail by the shim, disks and memory that are too small."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

from . import failing_calls, limits
from .operations import OPERATIONS
from .trial import Promise, Round

CHILD_SECONDS = 110.0
CALLS_OF_A_ROUND = 60  # sweeps
CALLS_OF_ONE = 4  # trials of each
LIMITS_OF_A_ROUND = 24
MOST_BYTES = 400_000  # what the largest operation but one writes to a file
MEMORY_BYTES = 60_000


def failing(rng: Random, folder: Path) -> Round:
    """Some sweeps over failing calls, drawn from all."""
    chosen = rng.sample(failing_calls.tasks(), CALLS_OF_A_ROUND)
    work = [failing_calls.some(task, CALLS_OF_ONE, rng.randrange(2**32)) for task in chosen]
    return failing_calls.run(work, folder, CHILD_SECONDS)[0]


def limited(rng: Random, folder: Path) -> Round:
    """Some operations under each kind of limit."""
    total = Round()
    for kind in limits.KINDS:
        work = [limits.Task(rng.choice(OPERATIONS).name, kind, amounts_of(kind, rng)) for _ in range(LIMITS_OF_A_ROUND)]
        run = limits.run_on_small_disk if kind == "full disk" else limits.run
        found, _ = run(work, folder / kind.replace(" ", "-"), CHILD_SECONDS)
        total.trials += found.trials
        total.failures += found.failures
        total.skipped = total.skipped or found.skipped
    if total.trials:
        total.skipped = ""  # something was tried; that one kind could not be is said by CI
    return total


def amounts_of(kind: str, rng: Random) -> list[int]:
    """A few limits, in ascending order; small ones more often."""
    most = MEMORY_BYTES if kind == "memory" else MOST_BYTES
    return sorted(int(most * rng.random() ** 2) for _ in range(4))


def said(seen: Counter[str]) -> str:
    """Which errors there were, for a test that fails."""
    return ", ".join(f"{count} {what}" for what, count in sorted(seen.items()))


FAILING_CALLS = Promise(
    key="failing-calls",
    promise="An I/O error or a full disk ends in a StorageError that says what to do; what was stored before stands, "
    "and the store works on when the fault is gone.",
    how="A library for LD_PRELOAD makes the k-th open, read, write, short write, fsync, truncate, unlink, mkdir, link, "
    "mmap, flock, close, stat, fstat, listing of a folder or start of a thread fail with ENOSPC, EIO, EDQUOT, EINTR, "
    "EACCES, ELOOP, EMFILE or EAGAIN, once or from then on, in every operation; afterwards "
    "the same handle, a new one and plain `sqlite3` look at the file. Another error, another value or a handle that does "
    "not work again is a failure.",
    unit="failing calls",
    run=failing,
)

LIMITS = Promise(
    key="limits",
    promise="So does a disk, a file or a memory that is too small.",
    how="The same operations on a file system of 2 MB with little left, under RLIMIT_FSIZE and under RLIMIT_AS with "
    "little memory free (there a `MemoryError` is an answer too), with the same looks afterwards.",
    unit="limits",
    run=limited,
)
