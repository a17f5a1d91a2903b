"""One process of a trial: its parties read and write until the time is over.

    python -m tests.bench.worker JOB

JOB is a `Job` as JSON. The process says `ready`, waits for a line, works, and prints a JSON list with what each party
did. How many nanoseconds each operation took is in the files `Job.reads` and `Job.writes`, as integers of 8 bytes.
"""

from __future__ import annotations

import json
import signal
import sys
from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from threading import Barrier, Thread
from time import perf_counter, perf_counter_ns
from typing import Any

from .load import COUNTER, Load, Step
from .peers import Kind, Peer
from .peers.roster import EVERYBODY

LIMIT_SECONDS = 60  # beyond its time: more than a fair wait for the file


@dataclass(frozen=True)
class Job:
    """What one process is given: `loads` has one entry for each of its threads."""

    label: str
    folder: str
    loads: list[Load]
    seconds: float
    reads: str
    writes: str


@dataclass
class Party:
    """What one thread does, how long each operation took, and what it found wrong."""

    steps: list[Step]
    reads: array[int] = field(default_factory=lambda: array("q"))
    writes: array[int] = field(default_factory=lambda: array("q"))
    seconds: float = 0.0
    stale: int = 0  # reads that went back behind an earlier read, or behind a write of this party that had returned
    error: str = ""

    def __post_init__(self) -> None:
        self.written = {number for number, _, base in self.steps if base is not None}
        self.seen = dict.fromkeys((number for number, _, _ in self.steps), 0)  # number → the newest counter

    def warm_up(self, peer: Peer) -> None:
        """Write once and read each record once, so that late imports and openings happen before the time begins."""
        with suppress(StopIteration):
            _, name, base = next(step for step in self.steps if step[2] is not None)
            peer.set(name, base | {COUNTER: 0})  # type: ignore[operator]
        for name in dict.fromkeys(name for _, name, base in self.steps if base is None):
            peer.get(name)

    def work(self, peer: Peer, seconds: float) -> None:
        """Only the peer's own time is taken; the look at each counter is between two operations, and the same for all."""
        get, set_, seen, now, read, wrote = peer.get, peer.set, self.seen, perf_counter_ns, self.reads.append, self.writes.append
        end = now() + int(seconds * 1e9)
        for number, name, base in cycle(self.steps):
            if base is None:
                before = now()
                count = get(name)[COUNTER]
                after = now()
                read(after - before)
                if count < seen[number]:
                    self.stale += 1
                else:
                    seen[number] = count
            else:
                value = base | {COUNTER: seen[number] + 1}
                before = now()
                set_(name, value)
                after = now()
                wrote(after - before)
                seen[number] = value[COUNTER]
            if after >= end:
                break

    def answer(self) -> dict[str, Any]:
        """`acknowledged` has the number and the counter of each record whose write by this party returned."""
        return {
            "reads": len(self.reads), "writes": len(self.writes), "seconds": self.seconds, "stale": self.stale,
            "error": self.error, "acknowledged": [(number, self.seen[number]) for number in self.written],
        }  # fmt: skip


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    signal.alarm(int(job.seconds) + LIMIT_SECONDS)  # one that hangs as it opens ends by itself
    (kind,) = (kind for kind in EVERYBODY if kind.label == job.label)
    parties = [Party(Load(*load).steps()) for load in job.loads]
    _run(kind, job, parties)
    for file, operation in ((job.reads, "reads"), (job.writes, "writes")):
        with open(file, "wb") as stream:
            for party in parties:
                getattr(party, operation).tofile(stream)
    print(json.dumps([party.answer() for party in parties]), flush=True)


def _run(kind: Kind, job: Job, parties: list[Party]) -> None:
    """The first party on this thread, each other one on a thread of its own; all begin at once."""
    shared = None if kind.opened_by_each_thread else kind.open(Path(job.folder))
    start = Barrier(len(parties), action=_wait_for_start)

    def take_part(party: Party) -> None:
        try:
            peer = kind.open(Path(job.folder)) if shared is None else shared
            party.warm_up(peer)
        except Exception:
            start.abort()  # nobody begins, and the trial says that the process ended
            raise
        start.wait()
        _noting_error(party, lambda: _work(party, peer, job.seconds))
        if shared is None:
            _noting_error(party, peer.close)

    threads = [Thread(target=take_part, args=(party,)) for party in parties[1:]]
    for thread in threads:
        thread.start()
    take_part(parties[0])
    for thread in threads:
        thread.join()
    if shared is not None:
        _noting_error(parties[0], shared.close)


def _work(party: Party, peer: Peer, seconds: float) -> None:
    """A party that fails early is counted for the time until then."""
    start = perf_counter()
    try:
        party.work(peer, seconds)
    finally:
        party.seconds = perf_counter() - start
    peer.flush()


def _noting_error(party: Party, action: Callable[[], None]) -> None:
    try:
        action()
    except Exception as exc:  # whatever a library raises when it cannot be shared is its result
        party.error = party.error or type(exc).__name__


def _wait_for_start() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
