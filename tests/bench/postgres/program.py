"""The program: a server of its own, all measures, the report."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from time import perf_counter

from ..remote import clients, tables
from ..remote.plan import Plan
from . import report
from .measures import OPERATIONS, ROSTER, measure, measure_large

FILE = "report-postgres.md"
Say = Callable[[list[str]], None]


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server that syncs every commit."""
    from tests.samples.postgres_server import PostgresServer, free_port, new_folder, programs

    found = programs()
    if found is None:
        raise SystemExit("no PostgreSQL server is installed here; Debian's package is postgresql")
    folder = new_folder()
    settings = {
        "fsync": "on", "full_page_writes": "on", "shared_buffers": "512MB", "max_connections": "300",
        "max_wal_size": "4GB",
    }  # fmt: skip
    running = PostgresServer(folder, free_port(), found, **settings)
    try:
        running.initialise()
        running.start()
        yield running.url
    finally:
        running.stop(signal.SIGINT)
        shutil.rmtree(folder, ignore_errors=True)


def bench(plan: Plan, output: Path, say: Say, *, quick: bool = False) -> None:
    """Measure, print, and write the report."""
    start = perf_counter()
    for kind in ROSTER.absent():
        say([f"ABSENT: {kind}"])
    with server() as url:
        results = run(url, plan, say)
    took = f"{date.today().isoformat()}, {(perf_counter() - start) / 60:.0f} minutes"
    output.mkdir(parents=True, exist_ok=True)
    (output / FILE).write_text("\n".join(report.lines(results, took, quick=quick)) + "\n", "utf-8")
    say([f"written to {output / FILE}"])


def run(url: str, plan: Plan, say: Say) -> report.Results:
    results = report.Results(plan, "", os.getloadavg()[0], {}, [], {})
    clients.check(url, plan, ROSTER)
    clients.fill(url, plan, ROSTER)
    for number in plan.clients:  # first, while nothing is open in this process
        results.by_clients[number] = clients.measure(url, number, plan, ROSTER, OPERATIONS)
        say([f"{number} clients", *tables.clients_table(results.by_clients[number], ROSTER.bare)])
    for size in plan.sizes:
        results.by_size[size] = []
        for outcome in measure(url, size, plan):
            results.by_size[size].append(outcome)
            say([f"{size:,} records: {outcome.title}", *tables.table(outcome, ROSTER)])
    if len(ROSTER.present()) >= 2:
        for outcome in measure_large(url, plan):
            results.large.append(outcome)
            say([outcome.title, *tables.table(outcome, ROSTER)])
    return results._replace(server=_version(url))


def _version(url: str) -> str:
    import psycopg

    with psycopg.connect(url) as conn:
        return f"PostgreSQL {conn.info.server_version // 10000}.{conn.info.server_version % 10000}"
