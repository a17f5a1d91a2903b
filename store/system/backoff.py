"""When a process tries again to lock a file that another process has locked, and when it lets others go first.

No process can wake another one when it releases the lock, so a waiter polls:

1. It spins: it makes `SPINS` attempts, and lets other threads and processes run in between. A write keeps the lock
   for less time than that, and the shortest sleep takes longer.
2. It sleeps before each attempt, each time twice as long, up to `LAST_DELAY`.
3. After `ASK_AFTER_SECONDS` it also asks for a turn, by a mark in the lock file. A process that releases the lock
   looks for the mark every `CHECK_SECONDS`, and then stays away from the lock for `AWAY_SECONDS`. Without it a waiter
   missed the short gaps between the transactions of another process for more than a second.

A process that took the lock several times in a row does not spin when another one has it, but sleeps at once. Two
processes that spin take turns at each write, and after each turn SQLite reads its pages again: that costs a third of
a write. If one of them sleeps, the other makes many writes in a row. The length of that sleep is learnt. It is
doubled if the lock was taken at its end, since others write all the time, and halved if it was free.

While another process keeps the lock for long, a waiter needs about 0.1 ms of processor time for step 1, and then
40 µs for each attempt: 0.5 % of a processor in step 2, and 2 % in step 3.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

# With nine reads to each write and two processes, 0 gave 0.62 × the throughput of raw SQLite, 30 gave 0.95 ×, and 100
# less than that.
SPINS = 30

# Seconds. filelock's own waiting sleeps 50 ms, and lost 17,284 to 1 against a process that never slept. With 8
# writers on 2 cores a write took 55 µs of processor time with delays up to 2 ms, and 40 with delays up to 8 ms.
FIRST_DELAY = 0.0001
LAST_DELAY = 0.008

TURN = 8
"""How often in a row a process takes the free lock until it does not spin for the next time."""
SPUN_TURN = 4
"""The same, for taking it by spinning."""

ASK_AFTER_SECONDS = 0.05
ASK_DELAY = 0.002  # so that some attempts are made within AWAY_SECONDS
AWAY_SECONDS = 0.005
# Not for every eight writes: reading a byte lets other threads run, and cost 15 % of the writes of eight threads.
CHECK_SECONDS = 0.005

yield_processor: Callable[[], object] = getattr(os, "sched_yield", None) or (lambda: time.sleep(0))
"""Let other threads and processes run. Windows has no `sched_yield`."""


class Backoff:
    """What a process remembers from one wait to the next. Its fields are changed by the thread that gets the lock."""

    def __init__(self, last_delay: float = LAST_DELAY) -> None:
        self.last_delay = last_delay
        self.in_a_row = 0
        """How often this process has taken the lock since it had to wait for another one."""
        self.spun = 0
        """How often in a row it has taken the lock by spinning."""
        self.turn_delay = FIRST_DELAY
        """How long it sleeps after its turn."""
        self.check_at = 0.0
        """When to look next for the mark of a waiter."""

    def begin(self, now: float) -> Wait:
        """Begin to wait for another process; `now`: the lock's clock."""
        return Wait(self, now)

    def had_turn(self) -> bool:
        """Whether it is the turn of another process."""
        return self.in_a_row > TURN or self.spun >= SPUN_TURN


class Wait:
    """One wait of one thread for another process."""

    def __init__(self, backoff: Backoff, now: float) -> None:
        had_turn = backoff.had_turn()
        self._backoff = backoff
        self._spins = 0 if had_turn else SPINS
        self._delay = backoff.turn_delay if had_turn else FIRST_DELAY
        self._begun = now
        self._sleeps = 0
        self.asks = False
        """Whether to ask for a turn before the next attempt."""
        backoff.in_a_row = 0

    def next(self, now: float) -> float:
        """Seconds to sleep before the next attempt; 0: only let others run."""
        if self._spins:
            self._spins -= 1
            return 0.0
        self._sleeps += 1
        self.asks = now - self._begun >= ASK_AFTER_SECONDS
        if self.asks:
            return ASK_DELAY
        delay, self._delay = self._delay, min(self._delay * 2, self._backoff.last_delay)
        return delay

    def end(self) -> None:
        """Learn from this wait, after the last attempt has taken the lock."""
        backoff = self._backoff
        if not self._sleeps:
            backoff.spun += 1
            return
        backoff.spun = 0
        factor = 0.5 if self._sleeps == 1 else 2
        backoff.turn_delay = min(max(backoff.turn_delay * factor, FIRST_DELAY), backoff.last_delay)
