"""The tables of a report on a server's engine: operations, many clients, budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata

from ..figures import ratios, spread
from ..outcome import Outcome
from ..tables import duration, grid, rounded, shown, times
from .peers import STORE, Roster

BUDGETS = {"get": 1.3, "set": 1.5, "update": 2.0, "get_many": 2.0, "items": 2.0}


def table(outcome: Outcome, roster: Roster) -> list[str]:
    """The fastest first."""
    notes, rows = roster.notes(), []
    for label in outcome.fastest_first():
        figures = spread(outcome.series[label])
        around = f"{duration(figures.least)} – {duration(figures.largest)}"
        ratio = times(outcome.ratio(label))
        rows.append((shown(label), duration(figures.median), around, ratio, at_best(outcome, label), notes.get(label, "")))
    rows += [(shown(label), "has none", "", "", "", "") for label in outcome.lacking]
    return grid(("", "median", "least – most", f"÷ {roster.bare}", "at best", ""), rows, frozenset({0, 5}))


def at_best(outcome: Outcome, label: str) -> str:
    """The ratio of the least figures, which other programs on the machine disturb the least."""
    if outcome.limit not in outcome.series:
        return ""
    return f"{min(outcome.series[label]) / min(outcome.series[outcome.limit]):.2f}"


def clients_table(found: Mapping[str, Mapping[str, list[float]]], bare: str) -> list[str]:
    """Operations a second of all clients together, a row for each peer in the order in which they ran."""
    rows = []
    for label in dict.fromkeys(label for series in found.values() for label in series):
        cells = [shown(label)]
        for series in found.values():
            if label not in series:
                cells += ["has none", ""]
                continue
            ratio = spread(ratios(series[label], series[bare])) if bare in series else None
            cells += [f"{rounded(spread(series[label]).median)}/s", times(ratio)]
        rows.append(tuple(cells))
    heads = ("", *(head for operation in found for head in (operation, f"÷ {bare}")))
    return grid(heads, rows, frozenset({0}))


def budgets(by_size: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """Of each operation that has one, at each size; keys are what the column of sizes says."""
    heads = ("", "records", "budget", "measured", "at best", "")
    return grid(heads, _budget_rows(by_size), frozenset({0, 2, 5}))


def _budget_rows(by_size: Mapping[str, Sequence[Outcome]]) -> Iterator[tuple[str, ...]]:
    for size, outcomes in by_size.items():
        for outcome in outcomes:
            ratio, allowed = outcome.ratio(STORE), BUDGETS.get(outcome.measure)
            if ratio is not None and allowed is not None:
                verdict = "met" if ratio.median <= allowed else "**missed**"
                cells = size, f"≤ {allowed} ×", f"{rounded(ratio.median)} ×", at_best(outcome, STORE), verdict
                yield outcome.title, *cells


def versions(distributions: Sequence[str]) -> str:
    """Those that are installed, with their versions."""
    return ", ".join(f"{each} {metadata.version(each)}" for each in distributions if _is_there(each))


def _is_there(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
