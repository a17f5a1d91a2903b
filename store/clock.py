"""The clock that a store reads where it is given none."""

from __future__ import annotations

import time


def wall_clock() -> float:
    """The time in Unix seconds.

    `time.time` is looked up at each call: programs that test their lifetimes put another one there (freezegun,
    unittest.mock), which a function that was bound before would not see.
    """
    return time.time()
