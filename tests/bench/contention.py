"""Several processes that write one file at once, with readers beside them: throughput, waits, fairness, losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from .figures import Spread, ratios, spread
from .peers import GUARANTEES, Kind
from .peers.raw import LABEL as LIMIT
from .peers.roster import durability_of, present
from .plan import Plan
from .tables import by_class, duration, grid, times
from .team import Trial, trial, writers

Trials = dict[int, dict[str, list[Trial]]]  # writers → label → one trial a round


def measure(plan: Plan) -> Trials:
    """All kinds in turn, round by round."""
    return race("contention", plan.writers, plan.readers, plan.contention_rounds, plan.contention_seconds, plan.peers)


def race(
    measure: str, counts: Sequence[int], readers: int, rounds: int, seconds: float, wanted: tuple[str, ...]
) -> Trials:
    """Those who take part in a measure, each with every number of writers, in every round."""
    kinds = present(measure, wanted)
    found: Trials = {count: {kind.label: [] for kind in kinds} for count in counts}
    for number in range(rounds):
        for count in counts:
            loads, records = writers(count, readers)
            for kind in in_turn(kinds, number):
                found[count][kind.label].append(trial(kind, loads, records, seconds))
    return found


def in_turn(kinds: list[Kind], number: int) -> list[Kind]:
    """The order of a round: those of one class after each other, every second round from the last to the first."""
    order = sorted(kinds, key=lambda kind: GUARANTEES.index(kind.guarantee))
    return order if number % 2 == 0 else order[::-1]


def lines(found: Trials) -> list[str]:
    """A table for each number of writers."""
    heads = ("class", "", "writes/s", "÷ " + LIMIT, "p50", "p99", "p99.9", "longest wait", "slowest ÷ fastest", "reads/s",
             "p99 of reads", "lost", "errors", "survives")  # fmt: skip
    text = []
    for count, trials in found.items():
        rows = [(label, _row(label, trials[label], trials.get(LIMIT))) for label in fastest_first(trials)]
        text += [f"### {count} processes write one file", "", *grid(heads, by_class(rows), frozenset({0, 1, 12, 13})), ""]
    return text[:-1]


def fastest_first(trials: dict[str, list[Trial]]) -> list[str]:
    return sorted(trials, key=lambda label: -median(trial.throughput for trial in trials[label]))


def _row(label: str, trials: list[Trial], limit: list[Trial] | None) -> tuple[str, ...]:
    waits = [trial.writes for trial in trials]
    return (
        around([trial.written for trial in trials]), times(ratio_of(written, trials, limit)) if limit else "",
        *(duration(median(wait[field] for wait in waits)) for field in range(3)),
        duration(max(wait.longest for wait in waits)), f"{median(trial.fairness for trial in trials):.2f}",
        f"{median(trial.read for trial in trials):,.0f}", duration(median(trial.reads.p99 for trial in trials)),
        losses(trials), errors(trials), durability_of(label),
    )  # fmt: skip


def ratio_of(figure: Callable[[Trial], float], trials: list[Trial], limit: list[Trial]) -> Spread:
    """Of a figure of each round's trial to that of the limit's in the same round."""
    return spread(ratios([figure(trial) for trial in trials], [max(figure(trial), 1e-9) for trial in limit]))


def written(trial: Trial) -> float:
    return trial.written


def longest_wait(trial: Trial) -> float:
    return trial.writes.longest


def around(figures: list[float]) -> str:
    """Operations a second."""
    found = spread(figures)
    return f"{found.median:,.0f}" + (f" ({found.least:,.0f} – {found.largest:,.0f})" if len(figures) > 1 else "")


def losses(trials: list[Trial]) -> str:
    """Records without their last acknowledged write, and reads that went back."""
    if any(trial.lost is None for trial in trials):
        return "file broken"
    lost, kept = sum(trial.lost or 0 for trial in trials), sum(trial.kept for trial in trials)
    stale = sum(trial.stale for trial in trials)
    return (f"{lost:,} of {kept:,}" if lost else "0") + (f", {stale:,} stale reads" if stale else "")


def errors(trials: list[Trial]) -> str:
    found = [error for trial in trials for error in trial.errors]
    return ", ".join(f"{found.count(error)} × {error}" for error in sorted(set(found)))
