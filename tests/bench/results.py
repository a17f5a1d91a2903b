"""Runs the measures one after the other, and keeps what they found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from . import arrays, cold_start, contention, operations, scale
from .outcome import Outcome
from .plan import Plan
from .tables import table

MEASURES = (*operations.TITLES, "arrays", "contention", "scale", "cold")


@dataclass
class Results:
    """What ran; `text` has the tables of each measure as Markdown."""

    plan: Plan
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    arrays: arrays.Found | None = None
    contention: contention.Trials | None = None
    scale: scale.Found | None = None
    text: dict[str, list[str]] = field(default_factory=dict)


def run(plan: Plan, measures: tuple[str, ...], tell: Callable[[list[str]], None]) -> Results:
    """`tell` hears the tables of a measure as soon as it is done."""
    results = Results(plan)
    for name in measures:
        results.text[name] = _measure(name, results)
        tell(results.text[name])
    return results


def _measure(name: str, results: Results) -> list[str]:
    plan = results.plan
    if name == "arrays":
        results.arrays = arrays.measure(plan)
        return arrays.lines(results.arrays) if results.arrays else ["### arrays", "", "NumPy is absent."]
    if name == "contention":
        results.contention = contention.measure(plan)
        return contention.lines(results.contention)
    if name == "scale":
        results.scale = scale.measure(plan)
        return scale.lines(results.scale)
    outcome = cold_start.measure(plan) if name == "cold" else operations.measure(name, plan)
    results.outcomes[name] = outcome
    return [f"### {outcome.title}", "", *table(outcome)]
