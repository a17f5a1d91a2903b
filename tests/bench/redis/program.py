"""The program: a node and a cluster of its own, all measures, report and chart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from time import perf_counter

from .. import noise
from ..remote import clients, tables
from ..remote.peers import Roster
from ..remote.plan import Plan
from . import parsers, report, servers
from .measures import CLUSTER_ROSTER, FULL, HEADS, OPERATIONS, ROSTER, measure, measure_large

FILE, CHART = "report-redis.md", "report-redis.svg"
Say = Callable[[list[str]], None]


def bench(plan: Plan, output: Path, say: Say, *, quick: bool = False) -> None:
    """Measure, print, and write report and chart."""
    start = perf_counter()
    parsers.hide()
    for kind in ROSTER.absent():
        say([f"ABSENT: {kind}"])
    results = run(plan, say)
    took = f"{date.today().isoformat()}, {(perf_counter() - start) / 60:.0f} minutes"
    output.mkdir(parents=True, exist_ok=True)
    (output / FILE).write_text("\n".join(report.lines(results, took, quick=quick)) + "\n", "utf-8")
    (output / CHART).write_text(report.svg(results), "utf-8")
    say([f"written to {output / FILE} and {CHART}"])


def run(plan: Plan, say: Say) -> report.Results:
    heard = noise.listen(1.0 if plan == FULL else 0.1)
    say([noise.line(heard)])
    results = report.Results(plan, heard, [], [])
    with servers.node() as url:
        results.runs.append(_on(url, servers.NODE, plan.sizes, plan, ROSTER, say))
        version = servers.version(url)
        for outcome in measure_large(url, plan):
            results.large.append(outcome)
            say([outcome.title, *tables.table(outcome, ROSTER)])
        if parsers.is_installed():
            results.runs.append(_with_hiredis(url, plan.sizes[0], plan, say))
    with servers.cluster() as url:
        # Of one size: a namespace is on one primary, however many records it has.
        results.runs.append(_on(url, servers.CLUSTER, plan.sizes[:1], plan, CLUSTER_ROSTER, say))
    return results._replace(server=version)


def _with_hiredis(url: str, size: int, plan: Plan, say: Say) -> report.Run:
    found = report.Run(f"{servers.NODE}, with hiredis", CLUSTER_ROSTER, {size: []}, {})
    for outcome in parsers.measure_with_hiredis(url, size, plan):
        found.by_size[size].append(outcome)
        say([f"{found.title}, {size:,} records: {outcome.title}", *tables.table(outcome, found.roster)])
    return found


def _on(url: str, title: str, sizes: tuple[int, ...], plan: Plan, roster: Roster, say: Say) -> report.Run:
    found = report.Run(title, roster, {}, {})
    clients.check(url, plan, roster)
    clients.fill(url, plan, roster)
    for number in plan.clients:  # first, while nothing is open in this process
        series = clients.measure(url, number, plan, roster, OPERATIONS)
        found.by_clients[number] = {HEADS[operation]: figures for operation, figures in series.items()}
        say([f"{title}: {number} clients", *tables.clients_table(found.by_clients[number], roster.bare)])
    for size in sizes:
        found.by_size[size] = []
        for outcome in measure(url, size, plan, roster):
            found.by_size[size].append(outcome)
            say([f"{title}, {size:,} records: {outcome.title}", *tables.table(outcome, roster)])
    return found
