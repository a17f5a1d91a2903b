"""Processes that work on one file at the same time: started, let go at once, and what each of them did."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from array import array
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .figures import percentile
from .load import COUNTER, OWN, Load, stock, value
from .peers import Kind, Peer
from .processes import ROOT
from .session import name
from .worker import Job

WORKER = "tests.bench.worker"  # as seen from ROOT: under pytest this package is called otherwise
GRACE_SECONDS = 90  # for a process to start, or to end after its time is over


class Waits(NamedTuple):
    """Seconds that single operations took, of all parties together."""

    p50: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    longest: float = 0.0


def waits_of(nanoseconds: array[int]) -> Waits:
    counts = Counter(nanoseconds)
    return Waits(*(percentile(counts, percent) / 1e9 for percent in (50, 99, 99.9, 100))) if counts else Waits()


class Done(NamedTuple):
    """Operations of one party, and the time that it worked."""

    reads: int
    writes: int
    seconds: float

    def per_second(self, operations: int) -> float:
        return operations / self.seconds if self.seconds else 0.0


@dataclass
class Trial:
    """What one kind did in one trial."""

    parties: list[Done]
    reads: Waits
    writes: Waits
    errors: list[str] = field(default_factory=list)
    stale: int = 0  # reads that went back
    kept: int = 0  # records whose last acknowledged write was looked for afterwards
    lost: int | None = 0  # those of them that do not have it; None = the file cannot be read

    @property
    def throughput(self) -> float:
        """Operations a second, of all parties."""
        return sum(done.per_second(done.reads + done.writes) for done in self.parties)

    @property
    def written(self) -> float:
        """Writes a second."""
        return sum(done.per_second(done.writes) for done in self.parties)

    @property
    def read(self) -> float:
        return sum(done.per_second(done.reads) for done in self.parties)

    @property
    def fairness(self) -> float:
        """The slowest over the fastest of the parties that write."""
        done = [party.reads + party.writes for party in self.parties if party.writes or not party.reads]
        return min(done, default=0) / max(*done, 1, 1)


def trial(kind: Kind, processes: Sequence[Sequence[Load]], records: int, seconds: float) -> Trial:
    """`processes` has the loads of the threads of each; `records` are there before they begin."""
    folder = Path(tempfile.mkdtemp(prefix="store-bench-"))
    try:
        data = folder / "data"
        data.mkdir()
        _fill(kind, data, records)
        jobs = [
            Job(kind.label, str(data), list(loads), seconds, str(folder / f"reads-{number}"), str(folder / f"writes-{number}"))
            for number, loads in enumerate(processes)
        ]
        answers = [answer for answers in _run(jobs) for answer in answers]
        return _found(kind, data, jobs, answers)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def writers(count: int, readers: int = 0) -> tuple[list[list[Load]], int]:
    """Processes that only write, others that only read, and how many records they need."""
    loads = [[Load("write", number, count)] for number in range(count)]
    return [*loads, *([Load("read", number, count)] for number in range(readers))], count * OWN


def _fill(kind: Kind, folder: Path, records: int) -> None:
    peer = kind.open(folder)
    peer.bulk(stock(records))
    peer.flush()
    peer.close()


def _run(jobs: list[Job]) -> list[list[dict[str, Any]]]:
    """Start all of them, let them go at once, and collect what each party of each process did."""
    with ExitStack() as stack:
        workers = []
        for job in jobs:
            worker = subprocess.Popen(
                [sys.executable, "-m", WORKER, json.dumps(asdict(job))], cwd=ROOT, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(_end, worker)
            workers.append(worker)
        for worker in workers:  # one that cannot even open ends, and its line is empty
            assert worker.stdout is not None
            worker.stdout.readline()
        for worker in workers:
            with suppress(BrokenPipeError):
                assert worker.stdin is not None
                worker.stdin.write("go\n")
                worker.stdin.flush()
        return [_answers(worker, job) for worker, job in zip(workers, jobs, strict=True)]


def _answers(worker: subprocess.Popen[str], job: Job) -> list[dict[str, Any]]:
    nothing = {"reads": 0, "writes": 0, "seconds": job.seconds, "stale": 0, "acknowledged": []}
    try:
        output, _ = worker.communicate(timeout=job.seconds + GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        return [{**nothing, "error": "hangs"}]
    except BrokenPipeError:
        output = ""
    found: list[dict[str, Any]] = json.loads(output) if output.strip() else [{**nothing, "error": "cannot open it"}]
    return found


def _end(worker: subprocess.Popen[str]) -> None:
    if worker.poll() is None:
        worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def _found(kind: Kind, folder: Path, jobs: list[Job], answers: list[dict[str, Any]]) -> Trial:
    acknowledged = {number: count for answer in answers for number, count in answer["acknowledged"] if count}
    return Trial(
        [Done(answer["reads"], answer["writes"], answer["seconds"]) for answer in answers],
        waits_of(_latencies([job.reads for job in jobs])), waits_of(_latencies([job.writes for job in jobs])),
        [answer["error"] for answer in answers if answer["error"]], sum(answer["stale"] for answer in answers),
        len(acknowledged), lost(kind, folder, acknowledged),
    )  # fmt: skip


def _latencies(files: list[str]) -> array[int]:
    figures = array("q")
    for file in map(Path, files):
        if file.exists():
            figures.frombytes(file.read_bytes())
    return figures


def lost(kind: Kind, folder: Path, acknowledged: dict[int, int]) -> int | None:
    """How many records hold neither the last value whose write had returned, nor one that was written after it."""
    try:
        peer = kind.open(folder)
        try:
            return sum(not _holds(peer, number, count) for number, count in acknowledged.items())
        finally:
            peer.close()
    except Exception:  # whatever a library raises over a file that its writers broke
        return None


def _holds(peer: Peer, number: int, count: int) -> bool:
    try:
        found = peer.get(name(number))
        return bool(found[COUNTER] >= count and found == value(number, found[COUNTER]))
    except Exception:
        return False
