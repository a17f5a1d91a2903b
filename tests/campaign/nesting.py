"""Transactions of several stores inside one another, in every order at once: each works, or raises before long."""

from __future__ import annotations

import multiprocessing
import threading
import time
import traceback
import warnings
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from store import Store
from store.errors import LockTimeout

from .trial import Promise, Round

NAMES = ("a.db", "b.db", "c.db")
PROCESSES, THREADS, STEPS = 3, 2, 40
WAIT_SECONDS = 60.0  # the stores' timeout; nothing here may come near it


class Nester:
    """A thread that nests transactions of some stores in random orders, and begins again where it must give up."""

    def __init__(self, stores: list[Store[Any]], rng: Random) -> None:
        self.stores, self.rng = stores, rng
        self.counted = [0] * len(stores)
        self.gave_up = 0
        self.failure = ""

    def run(self) -> None:
        try:
            for _ in range(STEPS):
                order = self.rng.sample(range(len(self.stores)), self.rng.choice([1, 2, 2, 3]))
                began = time.monotonic()
                while not self._nested(order):
                    self.gave_up += 1
                if time.monotonic() - began > WAIT_SECONDS / 2:
                    self.failure = f"stores {order} took {time.monotonic() - began:.0f} seconds"
                for number in order:
                    self.counted[number] += 1
        except BaseException:
            self.failure = traceback.format_exc()

    def _nested(self, order: list[int]) -> bool:
        """Whether all of it was done; else it was nothing."""
        try:
            with ExitStack() as stack:
                for number in order:
                    stack.enter_context(self.stores[number].transaction())
                    self.stores[number].modify("count", lambda count: count + 1)
        except LockTimeout as exc:
            if "begin again" not in str(exc):
                raise
            return False
        return True


def work(pipe: Connection, folder: Path, seed: str) -> None:
    """What its threads counted, how often they gave up, and what went wrong."""
    with ExitStack() as stack:
        stores = [stack.enter_context(Store[Any](folder / name, timeout=WAIT_SECONDS)) for name in NAMES]
        nesters = [Nester(stores, Random(f"{seed} {i}")) for i in range(THREADS)]
        threads = [threading.Thread(target=nester.run) for nester in nesters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    pipe.send([(nester.counted, nester.gave_up, nester.failure) for nester in nesters])


def nest(rng: Random, folder: Path) -> Round:
    """Several processes at once; then every store has counted what was told to it, no more and no less."""
    for name in NAMES:
        with Store[Any](folder / name) as s:
            s["count"] = 0
    context = multiprocessing.get_context("fork")
    pipes, processes = [], []
    for _ in range(PROCESSES):
        mine, its = context.Pipe()
        process = context.Process(target=work, args=(its, folder, str(rng.random())))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, of whoever runs this
            process.start()
        its.close()
        pipes.append(mine)
        processes.append(process)
    try:
        told = [one for pipe in pipes for one in (pipe.recv() if pipe.poll(2 * WAIT_SECONDS) else [([], 0, "hangs")])]
    finally:
        for process, pipe in zip(processes, pipes, strict=True):
            process.join(5)  # it has said all, unless it hangs
            process.kill()
            process.join()
            process.close()
            pipe.close()
    failures = [failure for _, _, failure in told if failure]
    for number, name in enumerate(NAMES):
        with Store[Any](folder / name, mode="r") as s:
            expected = sum(counted[number] for counted, _, _ in told if counted)
            if not failures and s["count"] != expected:
                failures.append(f"{name} counts {s['count']}, and {expected} transactions returned")
    return Round(PROCESSES * THREADS * STEPS, failures)


NESTING = Promise(
    "nesting",
    "Transactions of several stores inside one another never wait for each other until the timeout.",
    f"{PROCESSES} processes of {THREADS} threads nest transactions of {len(NAMES)} stores in random orders, and begin "
    "again where one had to give up; a wait near the timeout, a count that is not exact or any other error is a failure.",
    "transactions",
    nest,
)
