"""Timed sections that take turns: warm-up, the garbage collector in one state, medians of interleaved rounds."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

WARM_UP_COUNT = 3  # operations of the first, unmeasured section


def _nothing() -> None:
    pass


@dataclass
class Contestant:
    """`run(count)` is timed and does `count` operations; `before` and `after` it are not timed."""

    label: str
    run: Callable[[int], None]
    before: Callable[[], None] = _nothing
    after: Callable[[], None] = _nothing
    count: int = 0  # operations in a section; 0 = as many as fill the time


def race(contestants: Sequence[Contestant], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Seconds per operation of each contestant, one figure per round; a section lasts about `seconds`.

    In each round everybody has one section, in an order that changes from round to round: a machine that slows down
    for a second slows down everybody alike.
    """
    order = random.Random(7)
    figures: dict[str, list[float]] = {contestant.label: [] for contestant in contestants}
    gc.collect()
    gc.freeze()  # what was set up is not looked at again by the collection before each section
    try:
        for contestant in contestants:
            _warm_up(contestant, seconds)
        for _ in range(rounds):
            for contestant in order.sample(contestants, len(contestants)):
                figures[contestant.label].append(timed(contestant, contestant.count) / contestant.count)
    finally:
        gc.unfreeze()
    return figures


def timed(contestant: Contestant, count: int) -> float:
    """Seconds that `count` operations took, without collections: the garbage of others would be counted too."""
    contestant.before()
    try:
        gc.collect()
        gc.disable()
        try:
            start = perf_counter()
            contestant.run(count)
            return perf_counter() - start
        finally:
            gc.enable()
    finally:
        contestant.after()


def _warm_up(contestant: Contestant, seconds: float) -> None:
    if contestant.count:
        timed(contestant, contestant.count)
    else:
        contestant.count = _fitting_count(contestant, seconds)


def _fitting_count(contestant: Contestant, seconds: float) -> int:
    """How many operations fill a section; finding out warms everything up."""
    count = WARM_UP_COUNT
    while True:
        took = timed(contestant, count)
        if took >= seconds / 2:
            return max(1, round(count * seconds / took))
        count = count * 10 if took < seconds / 20 else max(count + 1, round(count * seconds / took))
