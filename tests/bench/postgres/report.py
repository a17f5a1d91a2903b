"""`report-postgres.md`: what was measured, beside its budgets."""

from __future__ import annotations

from typing import NamedTuple

from .. import machine
from ..outcome import Outcome
from ..remote import tables
from ..remote.plan import Plan
from .measures import ROSTER
from .peers import BARE

DISTRIBUTIONS = ("psycopg", "psycopg-pool", "SQLAlchemy", "Django")


class Results(NamedTuple):
    plan: Plan
    server: str
    load: float
    by_size: dict[int, list[Outcome]]
    large: list[Outcome]
    by_clients: dict[int, dict[str, dict[str, list[float]]]]


def lines(results: Results, took: str, *, quick: bool) -> list[str]:
    text = [
        "# PostgreSQL: this store beside the driver alone, SQLAlchemy and Django", "",
        f"Made by `python -m tests.bench --engine postgres` on {took}. Only ratios count: each is taken within one round, "
        f"against *{BARE}*, the driver alone with the same tables and statements and `pickle`, in one connection.",
        "*At best* is the ratio of the fastest rounds, which other programs on the machine disturb the least. The server runs on the same machine, with fsync; so a round trip is as short as it gets, and what the store "
        "adds to it is seen best.",
        f"The load of the machine was {results.load:.1f} when it began.", "",
        *(["**Quick: less precise.**", ""] if quick else []),
        "## Budgets", "", *tables.budgets({f"{size:,}": found for size, found in results.by_size.items()}), "",
    ]  # fmt: skip
    for size, outcomes in results.by_size.items():
        text += [f"## One client, {size:,} records", ""]
        for outcome in outcomes:
            text += [f"### {outcome.title}", "", *tables.table(outcome, ROSTER), ""]
    text += ["## Large values", "", "A body that has not changed is not sent again.", ""]
    for outcome in results.large:
        text += [f"### {outcome.title}", "", *tables.table(outcome, ROSTER), ""]
    for clients, found in results.by_clients.items():
        text += [f"## {clients} {'client' if clients == 1 else 'clients'} at once, each a process", ""]
        text += [*tables.clients_table(found, BARE), ""]
    return [*text, "## Measured on", "", *_machine(results)]


def _machine(results: Results) -> list[str]:
    text = [*machine.without_peers(), f"- {results.server}, {tables.versions(DISTRIBUTIONS)}"]
    return [*text, f"- absent: {'; '.join(ROSTER.absent())}"] if ROSTER.absent() else text
