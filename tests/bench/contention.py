"""Several processes that write one file at once, with readers beside them: throughput, waits, fairness, losses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from array import array
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from .figures import percentile, spread
from .peers import Kind
from .peers.raw import LABEL as LIMIT
from .peers.roster import durability_of, present
from .plan import Plan
from .processes import ROOT
from .session import session
from .tables import duration, grid, shown
from .worker import NAMES, name_of

GRACE_SECONDS = 90  # for a process to start, or to end after its time is over


@dataclass
class Trial:
    """What one kind did in one trial. Waits are seconds of single writes, sorted, of all writers together."""

    writes: list[int]  # of each writer
    reads: int
    seconds: float
    waits: array[float]
    read_waits: array[float]
    errors: list[str] = field(default_factory=list)
    lost: int | None = 0  # names whose last acknowledged write is not there; None = the file cannot be read

    @property
    def throughput(self) -> float:
        return sum(self.writes) / self.seconds

    @property
    def fairness(self) -> float:
        """The slowest writer over the fastest."""
        return min(self.writes) / max(*self.writes, 1)

    @property
    def longest(self) -> float:
        return self.waits[-1] if self.waits else 0.0


Trials = dict[int, dict[str, list[Trial]]]  # writers → label → one trial a round


def measure(plan: Plan) -> Trials:
    """All kinds in turn, round by round."""
    kinds = present("contention", plan.peers)
    found: Trials = {writers: {kind.label: [] for kind in kinds} for writers in plan.writers}
    for _ in range(plan.contention_rounds):
        for writers in plan.writers:
            for kind in kinds:
                found[writers][kind.label].append(trial(kind, writers, plan.readers, plan.contention_seconds))
    return found


def trial(kind: Kind, writers: int, readers: int, seconds: float) -> Trial:
    folder = Path(tempfile.mkdtemp(prefix="store-bench-"))
    try:
        (folder / "data").mkdir()
        _fill(kind, folder / "data")
        roles = [("write", number) for number in range(writers)] + [("read", number) for number in range(readers)]
        answers = _run(kind, folder, roles, seconds)
        found = _gather(folder, roles, answers, seconds)
        found.lost = _lost(kind, folder / "data", found.writes)
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(kind: Kind, folder: Path) -> None:
    """Make the file, with something to read under the names of the first writer."""
    peer = kind.open(folder)
    peer.bulk([(name_of(0, number), session(-1 - number)) for number in range(NAMES)])  # which no writer ever writes
    peer.flush()
    peer.close()


def _run(kind: Kind, folder: Path, roles: list[tuple[str, int]], seconds: float) -> list[dict[str, object]]:
    """Start everybody, let them go at once, and hear what each has done."""
    with ExitStack() as stack:
        workers = []
        for role, number in roles:
            words = [kind.label, str(folder / "data"), role, str(number), str(seconds), str(folder / f"{role}-{number}")]
            worker = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.worker", *words], cwd=ROOT, text=True,
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
        return [_answer(worker, seconds) for worker in workers]


def _answer(worker: subprocess.Popen[str], seconds: float) -> dict[str, object]:
    try:
        output, _ = worker.communicate(timeout=seconds + GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        return {"done": 0, "error": "hangs"}
    except BrokenPipeError:
        output = ""
    found: dict[str, object] = json.loads(output) if output.strip() else {"done": 0, "error": "cannot open it"}
    return found


def _end(worker: subprocess.Popen[str]) -> None:
    if worker.poll() is None:
        worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def _gather(folder: Path, roles: list[tuple[str, int]], answers: list[dict[str, object]], seconds: float) -> Trial:
    waits = {"write": array("d"), "read": array("d")}
    done: dict[str, list[int]] = {"write": [], "read": []}
    for (role, number), _ in zip(roles, answers, strict=True):
        figures = _latencies(folder / f"{role}-{number}")
        done[role].append(len(figures))
        waits[role].extend(figures)
    return Trial(
        done["write"], sum(done["read"]), seconds, array("d", sorted(waits["write"])), array("d", sorted(waits["read"])),
        [str(answer["error"]) for answer in answers if answer["error"]],
    )  # fmt: skip


def _latencies(file: Path) -> array[float]:
    figures = array("d")
    if file.exists():
        figures.frombytes(file.read_bytes())
    return figures


def _lost(kind: Kind, folder: Path, writes: list[int]) -> int | None:
    """How many names do not hold the last value whose write had returned."""
    try:
        peer = kind.open(folder)
        try:
            return sum(
                _read(peer.get, name_of(writer, number)) != session(number)
                for writer, count in enumerate(writes) for number in range(max(0, count - NAMES), count)
            )  # fmt: skip
        finally:
            peer.close()
    except Exception:  # whatever a library raises over a file that its writers broke
        return None


def _read(get: object, name: str) -> object:
    try:
        return get(name)  # type: ignore[operator]
    except Exception:
        return None


def lines(found: Trials) -> list[str]:
    """A table for each number of writers."""
    heads = ("", "writes/s", "÷ " + LIMIT, "p50", "p99", "p99.9", "longest wait", "slowest ÷ fastest", "reads/s",
             "p99 of reads", "lost", "errors", "survives")  # fmt: skip
    text = []
    for writers, trials in found.items():
        order = sorted(trials, key=lambda label: -median(trial.throughput for trial in trials[label]))
        rows = [_row(label, trials[label], trials.get(LIMIT)) for label in order]
        text += [f"### {writers} processes write one file", "", *grid(heads, rows, frozenset({0, 11, 12})), ""]
    return text[:-1]


def _row(label: str, trials: list[Trial], limit: list[Trial] | None) -> tuple[str, ...]:
    writes = spread([trial.throughput for trial in trials])
    ratio = f"{median(throughput_ratios(trials, limit)):.2f}" if limit else ""
    waits = array("d", sorted(wait for trial in trials for wait in trial.waits))
    reads = array("d", sorted(wait for trial in trials for wait in trial.read_waits))
    around = f" ({writes.least:,.0f} – {writes.largest:,.0f})" if len(trials) > 1 else ""
    return (
        shown(label), f"{writes.median:,.0f}{around}", ratio,
        *(duration(percentile(waits, percent)) if waits else "" for percent in (50, 99, 99.9, 100)),
        f"{median(trial.fairness for trial in trials):.2f}",
        f"{median(trial.reads / trial.seconds for trial in trials):,.0f}", duration(percentile(reads, 99)) if reads else "",
        _losses(trials), ", ".join(_counted([error for trial in trials for error in trial.errors])),
        durability_of(label),
    )  # fmt: skip


def throughput_ratios(trials: list[Trial], limit: list[Trial]) -> list[float]:
    return [trial.throughput / max(other.throughput, 1e-9) for trial, other in zip(trials, limit, strict=True)]


def _losses(trials: list[Trial]) -> str:
    if any(trial.lost is None for trial in trials):
        return "file broken"
    lost = sum(trial.lost or 0 for trial in trials)
    kept = sum(min(count, NAMES) for trial in trials for count in trial.writes)
    return f"{lost} of {kept}" if lost else "0"


def _counted(errors: list[str]) -> list[str]:
    return [f"{errors.count(error)} × {error}" for error in sorted(set(errors))]
