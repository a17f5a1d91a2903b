"""Markdown tables, for the screen and for the report."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

from .figures import Spread, spread
from .outcome import Outcome
from .peers import GUARANTEES, POWER_CUT, Guarantee
from .peers.raw import FULL_LABEL as FULL_LIMIT
from .peers.raw import LABEL as LIMIT
from .peers.roster import durability_of, guarantee_of


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]], text_columns: frozenset[int] = frozenset({0})) -> list[str]:
    """A table whose columns hold figures, but for those in `text_columns`."""
    rule = "|".join("---" if column in text_columns else "---:" for column in range(len(heads)))
    return [f"| {' | '.join(heads)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)]


def table(outcome: Outcome) -> list[str]:
    """The classes in their order, the fastest of each first."""
    rows = []
    for label in outcome.fastest_first():
        figures, ratio = spread(outcome.series[label]), outcome.ratio(label, limit_of(label, outcome.series, outcome.limit))
        around = f"{duration(figures.least)} – {duration(figures.largest)}"
        cells = duration(figures.median), around, times(ratio), durability_of(label), outcome.remarks.get(label, "")
        rows.append((label, cells))
    rows += [(label, ("has none", "", "", durability_of(label), "")) for label in outcome.lacking]
    heads = ("class", "", "median", "least – most", limit_head(outcome.series, outcome.limit), "survives", "")
    return grid(heads, by_class(rows), frozenset({0, 1, 5, 6}))


def by_class(
    rows: Iterable[tuple[str, Sequence[str]]], class_of: Callable[[str], Guarantee] = guarantee_of
) -> list[tuple[str, ...]]:
    """Rows of (label, cells), grouped by what their systems promise; a class is named before the first of it."""
    found: list[tuple[str, ...]] = []
    waiting = list(rows)
    for guarantee in GUARANTEES:
        of_class = [(shown(label), *cells) for label, cells in waiting if class_of(label) is guarantee]
        found += [(guarantee.name if number == 0 else "", *row) for number, row in enumerate(of_class)]
    return found


def limit_of(label: str, measured: Container[str], limit: str | None) -> str | None:
    """What a label's ratio refers to: where a power cut is survived, raw SQLite that survives it too."""
    synced = limit == LIMIT and guarantee_of(label) is POWER_CUT and FULL_LIMIT in measured
    return FULL_LIMIT if synced else limit


def limit_head(measured: Container[str], limit: str | None) -> str:
    if limit is None:
        return ""
    return f"÷ {limit} of the class" if limit == LIMIT and FULL_LIMIT in measured else f"÷ {limit}"


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= size:
            return f"{rounded(seconds / size)} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def rounded(figure: float) -> str:
    """Three digits, without an exponent."""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def times(ratio: Spread | None) -> str:
    return "" if ratio is None else f"{ratio.median:.2f} ({ratio.least:.2f} – {ratio.largest:.2f})"


def shown(label: str) -> str:
    """As it stands in a table: this store is the one to look for."""
    return f"**{label}**" if label.startswith("store") else label
