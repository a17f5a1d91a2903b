"""How much is done: the full run, the quick one, and what a single option changes of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Sizes and times of one run; `seconds` are those of one timed section, or of one contention trial."""

    rounds: int = 15
    seconds: float = 0.2
    records: int = 1000  # that are read and written over and over
    bulk_records: int = 10_000
    bulk_rounds: int = 7
    peers: tuple[str, ...] = ()  # beginnings of labels; none = everybody


FULL = Plan()
QUICK = Plan(rounds=7, seconds=0.05, bulk_rounds=3)
