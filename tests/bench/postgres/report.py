"""`report-postgres.md`: what was measured, beside its budgets."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from typing import NamedTuple

from .. import machine
from ..figures import ratios, spread
from ..outcome import Outcome
from ..tables import duration, grid, rounded, shown, times
from .measures import EVERYBODY, Plan, missing
from .peers import BARE, STORE

BUDGETS = {"get": 1.3, "set": 1.5, "update": 2.0, "get_many": 2.0, "items": 2.0}
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
        "## Budgets", "", *grid(("", "records", "budget", "measured", "at best", ""), _budgets(results), frozenset({0, 2, 5})), "",
    ]  # fmt: skip
    for size, outcomes in results.by_size.items():
        text += [f"## One client, {size:,} records", ""]
        for outcome in outcomes:
            text += [f"### {outcome.title}", "", *table(outcome), ""]
    text += ["## Large values", "", "A body that has not changed is not sent again.", ""]
    for outcome in results.large:
        text += [f"### {outcome.title}", "", *table(outcome), ""]
    for clients, found in results.by_clients.items():
        text += [f"## {clients} {'client' if clients == 1 else 'clients'} at once, each a process", ""]
        text += [*clients_table(found), ""]
    return [*text, "## Measured on", "", *_machine(results)]


def _budgets(results: Results) -> Iterator[tuple[str, ...]]:
    for size, outcomes in results.by_size.items():
        for outcome in outcomes:
            ratio, allowed = outcome.ratio(STORE), BUDGETS.get(outcome.measure)
            if ratio is not None and allowed is not None:
                verdict = "met" if ratio.median <= allowed else "**missed**"
                cells = f"{size:,}", f"≤ {allowed} ×", f"{rounded(ratio.median)} ×", _at_best(outcome, STORE), verdict
                yield outcome.title, *cells


def table(outcome: Outcome) -> list[str]:
    """The fastest first."""
    notes = {kind.label: kind.note for kind in EVERYBODY}
    rows = []
    for label in outcome.fastest_first():
        figures = spread(outcome.series[label])
        around = f"{duration(figures.least)} – {duration(figures.largest)}"
        ratio = times(outcome.ratio(label))
        rows.append((shown(label), duration(figures.median), around, ratio, _at_best(outcome, label), notes.get(label, "")))
    rows += [(label, "has none", "", "", "", "") for label in outcome.lacking]
    return grid(("", "median", "least – most", f"÷ {BARE}", "at best", ""), rows, frozenset({0, 5}))


def _at_best(outcome: Outcome, label: str) -> str:
    """The ratio of the least figures, which other programs on the machine disturb the least."""
    if BARE not in outcome.series:
        return ""
    return f"{min(outcome.series[label]) / min(outcome.series[BARE]):.2f}"


def clients_table(found: dict[str, dict[str, list[float]]]) -> list[str]:
    rows = []
    for label in next(iter(found.values())):
        cells = [shown(label)]
        for series in found.values():
            ratio = spread(ratios(series[label], series[BARE])) if BARE in series else None
            cells += [f"{rounded(spread(series[label]).median)}/s", times(ratio)]
        rows.append(tuple(cells))
    heads = ("", *(head for operation in found for head in (operation, f"÷ {BARE}")))
    return grid(heads, rows, frozenset({0}))


def _machine(results: Results) -> list[str]:
    versions = [f"{each} {metadata.version(each)}" for each in DISTRIBUTIONS if _is_there(each)]
    absent = [f"{kind.label} (needs {', '.join(missing(kind))})" for kind in EVERYBODY if missing(kind)]
    text = [*machine.without_peers(), f"- {results.server}, {', '.join(versions)}"]
    return [*text, f"- absent: {'; '.join(absent)}"] if absent else text


def _is_there(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
