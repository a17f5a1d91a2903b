"""Backups and restores that are killed at any moment, while others write and read.

Everything in the store says one number, which each transaction counts up: several records, and a value in a file of
its own. So whatever is not one state of the store shows.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import store
from store import Store

from .killer import Killer, ended, forked
from .trial import Promise, Round

SPILL_BYTES = 2_000
FILLER = 300  # records, so that a copy has some steps
NAMES = [f"count {i}" for i in range(5)]
LAST_STEPS = 200
WRITERS = 2


def count_up(s: Store[Any], to: int | None = None) -> int:
    with s.transaction():
        number = s[NAMES[0]] + 1 if to is None else to
        s.update(dict.fromkeys(NAMES, number))
        s["large"] = large(number)
    return number


def large(number: int) -> bytes:
    return number.to_bytes(8, "big") * (SPILL_BYTES // 4)


def opened(path: Path, **options: Any) -> Store[Any]:
    return Store(path, spill_bytes=SPILL_BYTES, trust="own", **options)


def filled(rng: Random, path: Path) -> None:
    with opened(path) as s:
        s.update({f"filler {i}": rng.randbytes(rng.choice([100, 1_500])) for i in range(FILLER)})
        count_up(s, 0)


def number_of(path: Path) -> int:
    """What all in the store says. Raises: AssertionError: it does not say one thing, or is not whole."""
    with opened(path, mode="r") as s:
        found = s.verify()
        assert found.ok, found
        number: int = s[NAMES[0]]
        assert all(s[name] == number for name in NAMES), {name: s[name] for name in NAMES}
        assert s["large"] == large(number), f"the large value does not say {number}"
        assert len(s) == FILLER + len(NAMES) + 1, len(s)
    return number


# -- processes


class Kills:
    """Forks that do a work and are killed: at any of its steps, at one of the last, where files change places, or at
    any time, which also strikes inside of SQLite and of system calls.
    """

    def __init__(self, rng: Random, work: Callable[[], object]) -> None:
        self._rng, self._work = rng, work
        counter, start = Killer(-1), time.monotonic()
        sys.setprofile(counter)
        try:
            work()
        finally:
            sys.setprofile(None)
        self._steps, self._seconds = -1 - counter.left, time.monotonic() - start
        self.how = ""
        """What the last one was."""

    def one(self) -> str:
        """Whether it was "killed", or was "done" before; else what it ended with."""
        last = self._steps - self._rng.randrange(LAST_STEPS)
        step = self._rng.choice([last, last, self._rng.randrange(self._steps), 0])
        seconds = 0.0 if step else self._rng.uniform(0.001, self._seconds)
        code = ended(forked(lambda: self._timed(seconds), step))
        ways = {0: "done", -signal.SIGALRM: "killed", -signal.SIGKILL: "killed"}
        ending = ways.get(code, f"ended with {code}")
        self.how = f"step {step} of {self._steps}, or {seconds:.6f} of {self._seconds:.6f} s: {ending}"
        return ending

    def _timed(self, seconds: float) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        self._work()


@contextmanager
def beside(count: int, work: Callable[[], object]) -> Iterator[list[str]]:
    """So many forks that do the work until the block ends; the list then has those that ended before, in words."""
    pids, failures = [forked(work) for _ in range(count)], []
    try:
        yield failures
    finally:
        for pid in pids:
            if os.waitpid(pid, os.WNOHANG)[0]:
                failures.append("a process beside it ended: see its message on stderr")
            else:
                os.kill(pid, signal.SIGKILL)
                ended(pid)


# -- backup


def write_on(path: Path) -> None:
    rng = Random(os.getpid())
    with opened(path) as s:
        while True:
            count_up(s)
            if rng.random() < 0.05:
                s.compact()


def backup_once(path: Path, target: Path) -> None:
    with opened(path, mode="r") as s:
        s.backup(target)


def backups_killed(rng: Random, folder: Path, kills: int) -> Round:
    """Of a store that others write to. What is at the target is always one whole state, and never an older one."""
    path, target, result = folder / "app.db", folder / "backup.db", Round()
    filled(rng, path)
    with beside(WRITERS, lambda: write_on(path)) as failures:
        killed = Kills(rng, lambda: backup_once(path, target))
        number = number_of(target)
        while result.trials < kills:
            with opened(path, mode="r") as s:
                acknowledged = s[NAMES[0]]
            how = killed.one()
            result.trials += how == "killed"
            try:
                assert how in ("done", "killed"), how
                found = number_of(target)
                assert found >= number, f"{found} came in the place of {number}"
                assert how != "done" or found >= acknowledged, f"{found} was backed up, and {acknowledged} was there"
                number = found
            except (AssertionError, OSError, ValueError) as exc:
                result.failures.append(f"kill {result.trials}, {killed.how}: {type(exc).__name__}: {exc}")
                break
    result.failures += failures
    result.failures += left_over(path, target)
    return result


def left_over(path: Path, target: Path) -> list[str]:
    """What the next backup does not clear away, of those that were killed."""
    backup_once(path, target)
    names = sorted(name for name in os.listdir(target.parent) if name.startswith(target.name))
    files = os.listdir(f"{target}-spill")
    if names != [target.name, f"{target.name}-spill"] or len(files) != 1 or number_of(path) != number_of(target):
        return [f"left over: {names}, {len(files)} files"]
    return []


# -- restore

OLD, NEW = 1, 2


def read_on(path: Path) -> None:
    with opened(path) as s:
        while True:
            found = s.get_many(NAMES)  # as of one moment
            assert found in (dict.fromkeys(NAMES, OLD), dict.fromkeys(NAMES, NEW)), found
            assert s["large"] in (large(OLD), large(NEW))


def restores_killed(rng: Random, folder: Path, kills: int) -> Round:
    """Over a store that others read. It is all that it was or all that was backed up, and can be written to."""
    path, target, result = folder / "app.db", folder / "backup.db", Round()
    filled(rng, path)
    with opened(path) as s:
        count_up(s, OLD)
        s.backup(target)
        count_up(s, NEW)
    with beside(1, lambda: read_on(path)) as failures:
        killed = Kills(rng, lambda: store.restore(target, path))
        while result.trials < kills:
            with opened(path) as s:
                count_up(s, NEW)
            how = killed.one()
            result.trials += how == "killed"
            try:
                assert how in ("done", "killed"), how
                found = number_of(path)
                assert found == OLD or how == "killed", f"restored, and it is {found}"
            except (AssertionError, OSError, ValueError) as exc:
                result.failures.append(f"kill {result.trials}, {killed.how}: {type(exc).__name__}: {exc}")
                break
    result.failures += failures
    with opened(path) as s:
        s.compact()
    result.failures += [] if len(os.listdir(f"{path}-spill")) == 1 else ["orphans that compact() leaves"]
    return result


BACKUP = Promise(
    key="backup",
    promise="A backup is one whole state of the store, whoever writes meanwhile; killed at any moment it leaves the "
    "old one or the new one.",
    how=f"A process that backs up is killed at random moments while {WRITERS} others write, compact and replace large "
    "values; then all records of the backup, its seals and files must be of one transaction, none older than the last.",
    unit="kills",
    run=lambda rng, folder: backups_killed(rng, folder, 30),
)

RESTORE = Promise(
    key="restore",
    promise="A restore replaces all or nothing, for every process that has the store open.",
    how="A process that restores is killed at random moments while another reads; then the store must be all that it "
    "was or all that was backed up, and what the reader saw at one moment too.",
    unit="kills",
    run=lambda rng, folder: restores_killed(rng, folder, 30),
)
