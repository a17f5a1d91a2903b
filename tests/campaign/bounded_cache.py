"""A bounded cache under processes that set, tag, read, evict, cull and compute, and are killed at any moment."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random

from .cache_checks import Checks, Life, read_log
from .cache_worker import FILLER, Setting, Worker
from .killer import ended, forked
from .trial import Promise, Round

PROCESSES = 5
OPERATIONS = 150
MOST_STEPS = 60_000  # an operation takes from 50 to some thousand
MOST_SECONDS = 0.6
STUCK_SECONDS = 90
STRIPES = 256  # two processes with the same number modulo this may lose counts of each other
FILLED_RECORDS, FILLED_BYTES = 400, 2**22
SETTINGS = {
    "wide": Setting("lru", 10**6, None, evicts=False),
    "none": Setting("none", 100, None, evicts=False),
    "lru": Setting("lru", FILLED_RECORDS),
    "lru, bytes": Setting("lru", None, FILLED_BYTES),
    "lrw": Setting("lrw", FILLED_RECORDS),
    "lfu": Setting("lfu", FILLED_RECORDS, scale=0.5),  # a campaign ends within the minute
    "fifo": Setting("fifo", FILLED_RECORDS),
    "fifo, bytes": Setting("fifo", None, FILLED_BYTES),
}


def nothing() -> None:
    """No fault."""


class CacheCampaign:
    """The processes of one cache, and what was found.

    `operations`: of a process that is not killed. `fault` is called in each process before it opens the cache.
    """

    def __init__(
        self, rng: Random, folder: Path, setting: Setting, *, operations: int = OPERATIONS, fault: Callable[[], None] = nothing
    ) -> None:
        self.rng, self.folder, self.operations, self.fault = rng, folder, operations, fault
        self.setting = setting._replace(began=time.monotonic())
        self.path = folder / "cache.db"
        self.living: dict[int, int] = {}  # process → its number
        self.born = self.kills = self.done = 0
        self.failures: list[str] = []

    def run(self, kills: int) -> list[str]:
        """Kill so many, each replaced by another one, and let the last ones end; returns the failures."""
        pid = self.fork(steps=0, fill=True)
        self.bury(pid, may_be_killed=False)
        for _ in range(PROCESSES):
            self.fork(steps=None if kills else 0)
        while self.kills < kills and not self.failures:
            pid = self.rng.choice(list(self.living))
            time.sleep(self.rng.random() * MOST_SECONDS / PROCESSES)
            os.kill(pid, signal.SIGKILL)
            self.bury(pid)
            self.bury_ended()
            while len(self.living) < PROCESSES:
                self.fork()
        for pid in list(self.living):
            self.bury(pid)
        self.bury(self.fork(steps=0), may_be_killed=False)  # what killed ones left over the bound goes
        return self.failures + self.check()

    def fork(self, steps: int | None = None, *, fill: bool = False) -> int:
        """A process; half of them end by themselves, at a counted step of what they do."""
        number, self.born = self.born, self.born + 1
        rng = Random(self.rng.random())
        if steps is None:
            steps = int(MOST_STEPS ** (0.3 + 0.7 * self.rng.random())) if self.rng.random() < 0.5 else 0
        while True:
            read, write = os.pipe()
            pid = forked(lambda read=read, write=write: self.work(read, write, number, rng, fill), steps)  # type: ignore[misc]
            os.close(read)
            if is_alone := all(pid % STRIPES != other % STRIPES for other in self.living):
                os.write(write, b"begin")
            os.close(write)
            if is_alone:
                self.living[pid] = number
                return pid
            ended(pid)

    def bury(self, pid: int, *, may_be_killed: bool = True) -> None:
        """Wait for the end of a process."""
        number, code = self.living.pop(pid), ended(pid)
        self.kills += code == -signal.SIGKILL
        if code not in ((0, -signal.SIGKILL) if may_be_killed else (0,)):
            file = self.folder / f"error {number}"
            told = file.read_text() if file.exists() else "it said nothing"
            self.failures.append(f"process {number} ended with {code}: {told}")

    def bury_ended(self) -> None:
        """Those that have ended by themselves."""
        for pid in list(self.living):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                self.bury(pid)

    def work(self, read: int, write: int, number: int, rng: Random, fill: bool) -> None:
        """What a process does, once its parent lets it begin."""
        os.close(write)
        if not os.read(read, 1):
            return
        signal.alarm(STUCK_SECONDS)
        try:
            self.fault()
            with self.setting.open(self.path) as cache:
                worker = Worker(cache, self.setting, number, rng, self.folder)
                if fill:
                    worker.fill(FILLED_RECORDS if self.setting.max_bytes is None else FILLED_BYTES // FILLER)
                else:
                    worker.run(self.operations)
        except BaseException:
            (self.folder / f"error {number}").write_text(traceback.format_exc())
            raise

    def check(self) -> list[str]:
        """What is wrong, now that all have ended."""
        files = [self.folder / f"log {number}" for number in range(self.born)]
        lives = [read_log(file) if file.exists() else Life() for file in files]
        self.done = sum(life.operations for life in lives)
        now = self.setting.clock()
        with self.setting.open(self.path, lambda: now) as cache:
            return list(Checks(self.setting, self.path, lives).run(cache))


def cache_round(rng: Random, folder: Path, name: str, kills: int) -> Round:
    """Processes on a cache with the bounds of that name, so many of which are killed."""
    folder.mkdir()
    campaign = CacheCampaign(rng, folder, SETTINGS[name])
    failures = campaign.run(kills)
    return Round(campaign.kills, [f"{name}, {campaign.born} processes: {failure}" for failure in failures])


def _round(rng: Random, folder: Path) -> Round:
    done = Round()
    for name in rng.sample(list(SETTINGS), 3):
        one = cache_round(rng, folder / name.replace(", ", "-"), name, kills=20)
        done.trials, done.failures = done.trials + one.trials, done.failures + one.failures
    return done


BOUNDED_CACHE = Promise(
    key="cache",
    promise="A bounded cache stays within 5 % of its bounds and loses no record that its policy did not choose, when "
    "processes are killed (SIGKILL) at any moment; its tags and figures are right.",
    how="Five processes set, tag, overwrite, read, touch, increment, delete, compute (`get_or_compute`), evict tags and cull "
    "in one cache, small values and files, and log each operation before and after it; one after the other is killed at a "
    "random time or counted step and replaced. Policies and bounds: LRU, LFU, LRW, FIFO and none, by records, by bytes, and so "
    "wide that nothing may go. A failure: a bound broken by more than 5 %, at any time; an acknowledged record that is gone "
    "although the policy may choose none, or went before records that had to go first; a wrong value or tag, `evict` of "
    "other records than those of the tag, a value computed by two at once, hits, misses, evictions or bytes that do not "
    "match a recount (but for what killed processes had not counted yet), damage, a process that is stuck.",
    unit="kills",
    run=_round,
)  # fmt: skip
