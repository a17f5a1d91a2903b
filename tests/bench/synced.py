"""Processes that write one file at once, where each write that returned survives a power cut.

One process alone syncs its writes one by one. What several of them do more than it is the gain of commits that share a
sync (group commit).
"""

from __future__ import annotations

from statistics import median

from .contention import Trials, around, errors, fastest_first, losses, race, ratio_of, written
from .peers.raw import FULL_LABEL as LIMIT
from .plan import Plan
from .tables import duration, grid, shown, times

Found = Trials


def measure(plan: Plan) -> Found:
    return race("synced", plan.synced_writers, 0, plan.synced_rounds, plan.synced_seconds, plan.peers)


def lines(found: Found) -> list[str]:
    """A row for each kind and number of writers: beside raw SQLite, and beside the same kind with the fewest."""
    alone = min(found)
    heads = ("processes", "", "writes/s", f"÷ {LIMIT}", f"÷ its own, {alone} process", "p50", "p99", "longest wait",
             "slowest ÷ fastest", "lost", "errors")  # fmt: skip
    rows = []
    for count, trials in found.items():
        for number, label in enumerate(fastest_first(trials)):
            done = trials[label]
            waits = [trial.writes for trial in done]
            rows.append((
                str(count) if number == 0 else "", shown(label), around([trial.written for trial in done]),
                times(ratio_of(written, done, trials[LIMIT])) if LIMIT in trials else "", times(ratio_of(written, done, found[alone][label])),
                duration(median(wait.p50 for wait in waits)), duration(median(wait.p99 for wait in waits)),
                duration(max(wait.longest for wait in waits)), f"{median(trial.fairness for trial in done):.2f}",
                losses(done), errors(done),
            ))  # fmt: skip
    return ["### Processes write one file, every commit synced", "", *grid(heads, rows, frozenset({1, 10}))]
