"""Outcomes as Markdown tables, for the screen and for the report."""

from __future__ import annotations

from .figures import Spread, spread
from .outcome import Outcome
from .peers.roster import EVERYBODY


def table(outcome: Outcome) -> list[str]:
    """The fastest first: where somebody is faster than this store, that is what stands above it."""
    durability = {kind.label: kind.durability for kind in EVERYBODY}
    lines = [
        "| | median | least – most | ratio to the limit | | |",
        "|---|---:|---:|---:|---|---|",
    ]
    for label in outcome.fastest_first():
        figures = spread(outcome.series[label])
        ratio = outcome.ratio(label)
        lines.append(
            f"| {_shown(label)} | {duration(figures.median)} | {duration(figures.least)} – {duration(figures.largest)} "
            f"| {times(ratio)} | {durability.get(label, '')} | {outcome.remarks.get(label, '')} |"
        )
    lines += [f"| {label} | has none | | | | |" for label in outcome.lacking]
    return lines


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 100 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def times(ratio: Spread | None) -> str:
    return "" if ratio is None else f"{ratio.median:.2f} ({ratio.least:.2f} – {ratio.largest:.2f})"


def _shown(label: str) -> str:
    return f"**{label}**" if label.startswith("store") else label
