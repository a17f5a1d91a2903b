"""How fast this machine is now, so that a limit of processor time means the same work on each."""

from __future__ import annotations

import time

ROUNDS = 2_000_000
SECONDS = 0.15  # of the processor, that they take on the machine for which the limits were chosen


def slowness() -> float:
    """How many times as long as there the same work takes here; 1 on a faster machine."""
    began, total = time.process_time(), 0
    for number in range(ROUNDS):
        total += number & 3
    return max(1.0, (time.process_time() - began) / SECONDS)
