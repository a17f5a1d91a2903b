"""What CI's share and the long campaign have in common: a promise, and a round of trials of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random


@dataclass(slots=True)
class Round:
    """What came of some trials; a failure's text says all that is needed to see it again, beyond the round's seed.

    `skipped` says why there were no trials, where this machine cannot do them.
    """

    trials: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Promise:
    """One row of the table: what is promised, and how it is tried.

    `run` does a round of some seconds (under 30 on a busy machine) in an empty folder. All it does follows from the
    random numbers, as far as processes that race each other allow.
    """

    key: str
    """What the command line calls it."""
    promise: str
    """A sentence for whoever keeps data in a store."""
    how: str
    """How it is tested: what is done, and what would count as a failure."""
    unit: str
    """What a trial is, in the plural: kills, states, histories."""
    run: Callable[[Random, Path], Round]
