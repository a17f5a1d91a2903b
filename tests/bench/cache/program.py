"""The program: all measures, report and chart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from time import perf_counter

from .. import noise
from . import report, stampede
from .measures import FULL, Plan, measure
from .peers import KINDS

FILE, CHART = "report-cache.md", "report-cache.svg"
Say = Callable[[list[str]], None]


def bench(plan: Plan, output: Path, say: Say, *, quick: bool = False) -> None:
    """Measure, print, and write report and chart."""
    start = perf_counter()
    for kind in KINDS:
        if kind.missing():
            say([f"ABSENT: {kind.label}, which needs {', '.join(kind.missing())}"])
    results = run(plan, say)
    took = f"{date.today().isoformat()}, {(perf_counter() - start) / 60:.0f} minutes"
    output.mkdir(parents=True, exist_ok=True)
    (output / FILE).write_text("\n".join(report.lines(results, took, quick=quick)) + "\n", "utf-8")
    (output / CHART).write_text(report.svg(results), "utf-8")
    say([f"written to {output / FILE} and {CHART}"])


def run(plan: Plan, say: Say) -> report.Results:
    heard = noise.listen(1.0 if plan == FULL else 0.1)
    say([noise.line(heard)])
    stampedes = stampede.measure(plan)  # first: its processes are forked while nothing is open
    say(report.stampede_table(stampedes, plan))
    results = report.Results(plan, heard, {}, stampedes)
    for size in plan.sizes:
        results.by_size[size] = []
        for found in measure(size, plan):
            results.by_size[size].append(found)
            say([f"{size:,} entries: {found.outcome.title}", *report.table(found)])
    return results
