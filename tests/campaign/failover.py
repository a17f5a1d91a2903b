"""Four processes write to a cluster whose primary is killed again and again; each knows what must be there afterwards.

A writer notes what was acknowledged, and of a write whose outcome it was not told, both possibilities. In the end all
is compared record by record, and the counters show writes that were done twice.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from postgres_cluster import Cluster, replicating
from postgres_server import new_folder

from store import Store
from store.errors import Conflict, OutcomeUnknown, StorageError

from .trial import Promise, Round

WRITERS = 4
WRITES_BETWEEN = 40  # of each writer, at least, between two kills
NAMES = 12  # of each writer
STUCK_SECONDS = 60.0
KILLS_OF_A_ROUND = 3
ROOT = Path(__file__).parents[2]


# -- a writer, in a process of its own


@dataclass
class Writer:
    """Its records, each with all values that it may have; None: it may be missing."""

    store: Store[Any]
    number: int
    rng: Random
    possible: dict[str, list[Any]] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0  # seconds of one write
    make_final: Callable[[], object] = lambda: None
    """Called before records are read whose write had an unknown outcome: afterwards they stay as they are."""

    def step(self) -> None:
        """One write, and what is known of it then."""
        count = self.told.total()
        changes, write = getattr(self, self.rng.choice(["_set", "_delete", "_count", "_pair", "_edit", "_update"]))(count)
        before = {name: self.possible.get(name, [None]) for name in changes}
        begun = time.monotonic()
        try:
            write()
        except OutcomeUnknown as exc:
            self.told["unknown"] += 1
            self._note({name: [*before[name], value] for name, value in changes.items()}, exc)
        except (StorageError, Conflict) as exc:
            assert "nothing" in str(exc), exc
            self.told["not kept"] += 1
        else:
            self.told["acknowledged"] += 1
            self._note({name: [value] for name, value in changes.items()})
        self.longest = max(self.longest, time.monotonic() - begun)

    def _note(self, values: dict[str, list[Any]], error: Exception | None = None) -> None:
        self.possible.update(values)
        if error is not None:  # read the records, as the message says
            self.make_final()
            for name, allowed in values.items():
                found = self.store.get(name)
                assert found in allowed, (name, found, allowed)
                self.possible[name] = [found]

    def _name(self) -> str:
        return f"{self.number}:{self.rng.randrange(NAMES)}"

    def _known(self, name: str) -> Any:
        return self.possible.get(name, [None])[-1]

    def _set(self, count: int) -> Any:
        name = self._name()
        return {name: count}, lambda: self.store.__setitem__(name, count)

    def _delete(self, count: int) -> Any:
        name, known = self._name(), None

        def write() -> None:
            assert self.store.delete(name) == (known is not None), (name, known)

        known = self._known(name)
        return {name: None}, write

    def _count(self, count: int) -> Any:
        name = f"{self.number}:count"
        value = (self._known(name) or 0) + 1

        def write() -> None:
            assert self.store.incr(name) == value

        return {name: value}, write

    def _pair(self, count: int) -> Any:
        left, right = f"{self.number}:left", f"{self.number}:right"

        def write() -> None:
            with self.store.transaction():
                self.store[left] = count
                self.store[right] = count

        return {left: count, right: count}, write

    def _edit(self, count: int) -> Any:
        name = f"{self.number}:list"
        value = [*(self._known(name) or [])[-9:], count]

        def write() -> None:
            self.store.modify(name, lambda old: value, default=None)

        return {name: value}, write

    def _update(self, count: int) -> Any:
        values = {self._name(): count for _ in range(3)}
        return values, lambda: self.store.update(values)


def write_until_told(url: str, number: int, seed: int, folder: str) -> None:
    """A writer's process."""
    with Store[Any](url, timeout=STUCK_SECONDS) as store:
        until_told(Writer(store, number, Random(seed)), folder)


def until_told(writer: Any, folder: str) -> None:
    """Write until the file `stop` is there; the progress is a file, the result the last line of the output."""
    progress = Path(folder, f"progress-{writer.number}")
    while not Path(folder, "stop").exists():
        writer.step()
        progress.write_text(str(writer.told["acknowledged"]))
    print(json.dumps([writer.possible, writer.told, writer.longest]), flush=True)


# -- the one that kills


@dataclass
class Failovers:
    """What came of it."""

    kills: int = 0
    rewound: int = 0
    told: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    failures: list[str] = field(default_factory=list)
    lost: int = 0
    """Acknowledged writes, of writers that only count them."""


def fail_over(
    rng: Random,
    kills: int,
    folder: Path,
    make: Callable[[Path], Any],
    *,
    worker: str = "tests.campaign.failover:write_until_told",
    counts_losses: bool = False,
) -> Failovers:
    """Kill the primary of a cluster, made in a folder, so many times under load; compare all records in the end.

    `worker`: module and function of the writers' processes. `counts_losses`: what they lose is no failure.
    """
    place, result = new_folder(), Failovers()
    cluster, writers = make(place), []
    try:
        cluster.start()
        Store[Any](cluster.url, timeout=STUCK_SECONDS).close()
        writers = [_started(worker, cluster.url, number, rng.getrandbits(32), folder) for number in range(WRITERS)]
        for _ in range(kills):
            _wait_for_writes(folder, writers)
            behind: Any = rng.choice([None, *cluster.standbys()])
            if behind is not None:  # the other one alone confirms what is written now
                behind.stop()
                _wait_for_writes(folder, writers)
            time.sleep(rng.uniform(0, 0.1))  # any moment of the writers' steps
            cluster.fail_over(behind)
            result.kills += 1
        _wait_for_writes(folder, writers)
        (folder / "stop").touch()
        for writer in writers:
            _compare(writer, cluster, result, counts_losses)
        result.rewound = cluster.rewound
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
        cluster.stop()
        shutil.rmtree(place, ignore_errors=True)
    return result


def _started(worker: str, url: str, number: int, seed: int, folder: Path) -> subprocess.Popen[bytes]:
    module, _, function = worker.partition(":")
    command = [sys.executable, "-c", "import sys; sys.path[:0] = sys.argv[1:3]\n"
               f"from {module} import {function}\n"
               f"{function}(sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6])",
               str(ROOT), str(ROOT / "tests" / "samples"), url, str(number), str(seed), str(folder)]  # fmt: skip
    with (folder / f"errors-{number}").open("wb") as errors:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=os.environ.copy())


def _wait_for_writes(folder: Path, writers: list[subprocess.Popen[bytes]]) -> None:
    """Until each writer has had some more writes acknowledged."""
    begun = [_progress(folder, number) for number in range(WRITERS)]
    deadline = time.monotonic() + STUCK_SECONDS
    while any(_progress(folder, number) < begun[number] + WRITES_BETWEEN for number in range(WRITERS)):
        for number, writer in enumerate(writers):
            if writer.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"writer {number} ended or is stuck: {(folder / f'errors-{number}').read_text()[-3000:]}")
        time.sleep(0.01)


def _progress(folder: Path, number: int) -> int:
    try:
        return int((folder / f"progress-{number}").read_text() or 0)
    except FileNotFoundError:
        return 0


def _compare(writer: subprocess.Popen[bytes], cluster: Any, result: Failovers, counts_losses: bool) -> None:
    output, _ = writer.communicate(timeout=STUCK_SECONDS)
    if writer.returncode or not output:
        result.failures.append(f"a writer ended with {writer.returncode}")
        return
    possible, told, longest = json.loads(output.splitlines()[-1])
    result.told.update(told)
    result.longest = max(result.longest, longest)
    with Store[Any](cluster.url, timeout=STUCK_SECONDS) as store:
        for name, allowed in possible.items():
            value = store.get(name)
            if value not in allowed and counts_losses:
                result.lost += 1
            elif value not in allowed:
                result.failures.append(f"record {name!r} is {value!r}, and must be one of {allowed!r}")


def run(rng: Random, folder: Path) -> Round:
    found = replicating()
    if found is None:
        return Round(skipped="no PostgreSQL server, or no driver")
    done = fail_over(rng, KILLS_OF_A_ROUND, folder, lambda place: Cluster(place, found))
    return Round(done.kills, done.failures)


FAILOVER = Promise(
    "failover",
    "With two synchronous standbys, no acknowledged write is lost and none is done twice when the primary is killed.",
    "Four processes write through one URL of three servers (set, delete, incr, modify, update, transactions); the primary "
    "is killed with SIGKILL, the standby with the most of its log is promoted, the old one rejoins by pg_rewind or a new "
    "copy. A failure: an acknowledged write that is not there, one that was done twice or although its error said that "
    "nothing was kept, half a transaction, a writer that is stuck.",
    "kills",
    run,
)  # fmt: skip
