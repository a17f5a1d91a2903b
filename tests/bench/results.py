"""Runs the measures one after the other, and keeps what they found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import arrays, cold_start, contention, mixed, noise, operations, own_writes, scale, synced
from .outcome import Outcome
from .plan import Plan
from .tables import table

MEASURES = (*operations.TITLES, "own", "mixed", "contention", "synced", "cold", "arrays", "scale")


@dataclass
class Results:
    """What ran; `text` has the tables of each measure as Markdown."""

    plan: Plan
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    arrays: arrays.Found | None = None
    mixed: mixed.Found | None = None
    contention: contention.Trials | None = None
    synced: synced.Found | None = None
    scale: scale.Found | None = None
    text: dict[str, list[str]] = field(default_factory=dict)
    noise: noise.Noise | None = None  # before the run
    stolen: float | None = None  # share of the processors' time that a hypervisor gave to others during the run


def run(plan: Plan, measures: tuple[str, ...], tell: Callable[[list[str]], None]) -> Results:
    """`tell` hears whether the machine is quiet, and the tables of a measure as soon as it is done."""
    results = Results(plan, noise=noise.listen(plan.listening_seconds))
    tell([noise.line(results.noise)])
    start = noise.ticks()
    for name in measures:
        results.text[name] = _measure(name, results)
        tell(results.text[name])
    end = noise.ticks()
    if start is not None and end is not None:
        _, results.stolen = noise.shares(start, end)
    return results


def _measure(name: str, results: Results) -> list[str]:
    plan = results.plan
    if name == "arrays":
        results.arrays = arrays.measure(plan)
        return arrays.lines(results.arrays) if results.arrays else ["### arrays", "", "NumPy is absent."]
    if name in _TRIALS:
        setattr(results, name, _TRIALS[name].measure(plan))
        return list(_TRIALS[name].lines(getattr(results, name)))
    outcome = _OUTCOMES[name](plan) if name in _OUTCOMES else operations.measure(name, plan)
    results.outcomes[name] = outcome
    return [f"### {outcome.title}", "", *table(outcome)]


_TRIALS: dict[str, Any] = {"mixed": mixed, "contention": contention, "synced": synced, "scale": scale}
_OUTCOMES: dict[str, Callable[[Plan], Outcome]] = {"own": own_writes.measure, "cold": cold_start.measure}
