"""The long campaign: rounds of all promises, each getting the same time; what came of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from .rounds import run_apart
from .trial import Promise, Round

SEED_BITS = 48


@dataclass(slots=True)
class Tally:
    """What came of one promise so far."""

    key: str
    promise: str
    how: str
    unit: str
    rounds: int = 0
    trials: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    skipped: str = ""

    def add(self, result: Round, seed: int, seconds: float) -> None:
        self.rounds += 1
        self.trials += result.trials
        self.seconds += seconds
        self.skipped = result.skipped
        self.failures += [f"--round {self.key} --seed {seed}: {failure}" for failure in result.failures]


class Campaign:
    """Runs rounds, several at a time, until the time is over; always the promise that had the least time so far."""

    def __init__(
        self,
        promises: Sequence[Promise],
        seed: int,
        kept: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        run: Callable[[Promise, int, Path], Round] = run_apart,
    ) -> None:
        self.tallies = {p.key: Tally(p.key, p.promise, p.how, p.unit) for p in promises}
        self._promises = {p.key: p for p in promises}
        self._seeds, self._kept, self._clock, self._run = Random(seed), kept, clock, run
        self._running: dict[str, list[float]] = {key: [] for key in self._promises}  # when its rounds began
        self._lock = threading.Lock()
        self._ended = False

    def run(self, seconds: float, jobs: int, say: Callable[[str], None]) -> None:
        """No round begins after `seconds`; an interrupt ends it after the rounds that are running."""
        until = self._clock() + seconds
        with ThreadPoolExecutor(jobs) as pool:
            workers = [pool.submit(self._work, until, say) for _ in range(jobs)]
            try:
                for worker in workers:
                    worker.result()
            finally:
                self._ended = True

    def _work(self, until: float, say: Callable[[str], None]) -> None:
        while not self._ended and self._clock() < until:
            with self._lock:
                key = self._next()
                if key is None:
                    return
                seed, begun = self._seeds.getrandbits(SEED_BITS), self._clock()
                self._running[key].append(begun)
            result = self._run(self._promises[key], seed, self._kept)
            with self._lock:
                taken = self._clock() - begun
                self._running[key].remove(begun)
                self.tallies[key].add(result, seed, taken)
                say(_line(self.tallies[key], result, seed, taken))

    def _next(self) -> str | None:
        now = self._clock()

        def had(key: str) -> float:
            return self.tallies[key].seconds + sum(now - begun for begun in self._running[key])

        # Two rounds of one promise at the same time only where nothing else is left.
        able = [key for key, tally in self.tallies.items() if not tally.skipped]
        return min(able, key=lambda key: (had(key) > 0 and bool(self._running[key]), had(key)), default=None)


def _line(tally: Tally, result: Round, seed: int, seconds: float) -> str:
    found = f"{len(result.failures)} FAILED" if result.failures else result.skipped or "ok"
    line = f"{tally.key:<14} seed {seed:<16} {result.trials:>7} {tally.unit:<12} {seconds:6.1f} s  {found}"
    return "\n".join([line, *(f"    {failure}" for failure in result.failures)])
