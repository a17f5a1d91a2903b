"""The clocks of a store: the default one for lifetimes, and one for deadlines."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial


class WallClock:
    """A function that returns the time in Unix seconds; `help` shows it by its name, without an address.

    `time.time` is looked up at each call, because programs replace it to test lifetimes (freezegun, unittest.mock).
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


def _awake_or_not() -> Callable[[], float]:
    number = getattr(time, "CLOCK_BOOTTIME", None)
    return steady_clock if number is None else partial(time.clock_gettime, number)


steady_clock = _steady()
"""A monotonic clock in seconds, for deadlines.

If possible not `time.monotonic`, which freezegun and time-machine also stop: a wait for a lock would never reach its
deadline.
"""
awake_or_not = _awake_or_not()
"""Like `steady_clock`, but it counts the time that the machine was suspended too, where the system can (Linux).

For leases, which a server ends meanwhile.
"""
