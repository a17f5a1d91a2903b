"""Markdown tables, for the screen and for the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .figures import Spread, spread
from .outcome import Outcome
from .peers.roster import durability_of


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]], text_columns: frozenset[int] = frozenset({0})) -> list[str]:
    """A table whose columns hold figures, but for those in `text_columns`."""
    rule = "|".join("---" if column in text_columns else "---:" for column in range(len(heads)))
    return [f"| {' | '.join(heads)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)]


def table(outcome: Outcome) -> list[str]:
    """The fastest first: where somebody is faster than this store, that is what stands above it."""
    rows = []
    for label in outcome.fastest_first():
        figures, ratio = spread(outcome.series[label]), outcome.ratio(label)
        around = f"{duration(figures.least)} – {duration(figures.largest)}"
        rows.append((
            shown(label), duration(figures.median), around, times(ratio), durability_of(label),
            outcome.remarks.get(label, ""),
        ))  # fmt: skip
    rows += [(label, "has none", "", "", "", "") for label in outcome.lacking]
    heads = ("", "median", "least – most", f"÷ {outcome.limit}" if outcome.limit else "", "survives", "")
    return grid(heads, rows, frozenset({0, 4, 5}))


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
