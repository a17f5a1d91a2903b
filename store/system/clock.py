"""The clocks of a store: the default one for lifetimes, and one for deadlines."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial


def wall_clock() -> float:
    """The time in Unix seconds.

    `time.time` is looked up at each call, because programs replace it to test lifetimes (freezegun, unittest.mock).
    """
    return time.time()


def _steady() -> Callable[[], float]:
    clock_gettime = getattr(time, "clock_gettime", None)
    return time.monotonic if clock_gettime is None else partial(clock_gettime, time.CLOCK_MONOTONIC)


steady_clock = _steady()
"""A monotonic clock in seconds, for deadlines.

If possible not `time.monotonic`, which freezegun and time-machine also stop: a wait for a lock would never reach its
deadline.
"""
