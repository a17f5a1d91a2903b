"""What an application does: many reads and few writes at once, by processes and by threads, over 10,000 sessions.

Few sessions are asked for often. Each party writes its own part of them, reads all, and looks at each read: it must not be
older than one that came before it, nor than the party's own last write (`load.py`). The operations are the same for each
peer, in the same order, and each record was read once before the time begins.
"""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

from .contention import around, errors, fastest_first, in_turn, losses, ratio_of
from .load import SESSIONS, Load
from .outcome import Outcome
from .peers.raw import LABEL as LIMIT
from .peers.roster import present
from .plan import Plan
from .tables import by_class, duration, grid, limit_head, limit_of, times
from .team import Trial, Waits, trial


class Shape(NamedTuple):
    """Who works at once, and how many of 100 operations are writes."""

    processes: int
    threads: int
    writes: int

    def loads(self) -> list[list[Load]]:
        parties = self.processes * self.threads
        numbers = iter(range(parties))
        return [[Load("mix", next(numbers), parties, self.writes) for _ in range(self.threads)] for _ in range(self.processes)]

    def title(self) -> str:
        many = f"{self.processes} processes" if self.threads == 1 else f"{self.processes} process, {self.threads} threads"
        return f"{many}, {100 - self.writes} % reads and {self.writes} % writes"


Found = dict[Shape, dict[str, list[Trial]]]  # label → one trial a round


def measure(plan: Plan) -> Found:
    """All kinds in turn, round by round."""
    kinds = present("mixed", plan.peers)
    shapes = [Shape(processes, threads, writes) for processes, threads in plan.mixed_parties for writes in plan.mixed_writes]
    found: Found = {shape: {kind.label: [] for kind in kinds} for shape in shapes}
    for number in range(plan.mixed_rounds):
        for shape in shapes:
            for kind in in_turn(kinds, number):
                found[shape][kind.label].append(trial(kind, shape.loads(), SESSIONS, plan.mixed_seconds))
    return found


def lines(found: Found) -> list[str]:
    """A table for each shape."""
    text = []
    for shape, trials in found.items():
        heads = ("class", "", "operations/s", limit_head(trials, LIMIT), "p50 of reads", "p99 of reads", "p50 of writes",
                 "p99 of writes", "slowest ÷ fastest", "lost", "errors")  # fmt: skip
        rows = [(label, _row(trials[label], trials.get(limit_of(label, trials, LIMIT) or ""))) for label in fastest_first(trials)]
        text += [f"### {shape.title()}", "", *grid(heads, by_class(rows), frozenset({0, 1, 10})), ""]
    return text[:-1]


def outcome(found: Found, shape: Shape) -> Outcome | None:
    """One shape as seconds per operation of all parties together, for the chart; None where it did not run."""
    if shape not in found:
        return None
    series = {
        label: [1 / max(trial.throughput, 1e-9) for trial in trials] for label, trials in found[shape].items()
    }  # fmt: skip
    return Outcome("mixed", shape.title(), series, LIMIT)


def _row(trials: list[Trial], limit: list[Trial] | None) -> tuple[str, ...]:
    waits = [figure for kind in ("reads", "writes") for figure in _waits([getattr(trial, kind) for trial in trials])]
    return (
        around([trial.throughput for trial in trials]), times(ratio_of(throughput, trials, limit)) if limit else "", *waits,
        f"{median(trial.fairness for trial in trials):.2f}", losses(trials), errors(trials),
    )  # fmt: skip


def _waits(waits: list[Waits]) -> tuple[str, str]:
    return duration(median(wait.p50 for wait in waits)), duration(median(wait.p99 for wait in waits))


def throughput(trial: Trial) -> float:
    return trial.throughput


def p99_of_reads(trial: Trial) -> float:
    return trial.reads.p99
