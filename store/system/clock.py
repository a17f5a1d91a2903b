"""The clocks that a store reads: of lifetimes, where it is given none, and of deadlines."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial


class WallClock:
    """A function that returns the time in Unix seconds; `help` shows it by its name, without an address.

    `time.time` is looked up at each call: programs that test their lifetimes put another one there (freezegun,
    unittest.mock), which a function that was bound before would not see.
    """

    __slots__ = ()

    def __call__(self) -> float:
        return time.time()

    def __repr__(self) -> str:
        return "wall_clock"

    def __reduce__(self) -> str:
        return "wall_clock"  # pickled by its name, as functions are


wall_clock = WallClock()


def _steady() -> Callable[[], float]:
    clock_gettime = getattr(time, "clock_gettime", None)
    return time.monotonic if clock_gettime is None else partial(clock_gettime, time.CLOCK_MONOTONIC)


steady_clock = _steady()
"""Seconds that go on evenly, for deadlines.

Not `time.monotonic` where there is another way: freezegun and time-machine stop that as well, and a wait for a lock
would never come to its deadline.
"""
