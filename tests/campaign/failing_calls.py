"""System calls that fail, by the shim: which, with what, how often; and a sweep over the calls of operations.

Run as a program, with the shim preloaded, it does the trials that its arguments name, and says what came of them as
JSON (`python -m tests.campaign.failing_calls FOLDER < TASKS`).
"""

from __future__ import annotations

import errno
import faulthandler
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from . import shim
from .fault_trial import attempt, in_child
from .operations import OPERATIONS, THREADED, Operation, Place, operation_called
from .trial import Round

HOW = ("once", "always", "short", "short and then full")
"""As `enum how` of shim/faults.c numbers them."""
NUMBERS = {name: getattr(errno, name) for name in ("ENOSPC", "EIO", "EDQUOT", "EINTR", "EWOULDBLOCK", "EACCES", "ELOOP", "EMFILE", "EAGAIN")}
CALLS = "open read write sync truncate unlink mkdir link rename mmap flock allocate close copy stat fstat list thread".split()
LOOKS = {"stat": ["EIO", "EACCES", "ELOOP"], "fstat": ["EIO"], "list": ["EIO", "EACCES", "EMFILE"], "thread": ["EAGAIN"]}
"""Of the calls that only look, or make a thread: what the system says then."""
_counted: dict[tuple[str, str], dict[str, int]] = {}

HANG_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Task:
    """A sweep: an operation once for each call that it makes of a kind, or for `most` of them, drawn by `seed`."""

    operation: str
    call: str
    number: str
    how: str
    durability: str = "normal"
    most: int = 1_000_000
    seed: int = 0


class CallFails:
    """A `Fault`: the k-th call of a kind."""

    memory = False

    def __init__(self, functions: Any, task: Task, k: int) -> None:
        self._functions, self._task, self._k = functions, task, k

    def arm(self, place: Place) -> None:
        task = self._task
        self._functions.shim_arm(shim.OPS.index(task.call), self._k, NUMBERS[task.number], HOW.index(task.how))

    def disarm(self) -> None:
        self._functions.shim_disarm()

    def has_struck(self) -> bool:
        return bool(self._functions.shim_failed())

    def may_be(self, number: int | None) -> bool:
        """SQLite tells a full disk (ENOSPC) from other errors, and not these from each other: all are EIO."""
        return number in (NUMBERS[self._task.number], errno.EIO)

    def looks_like_damage(self) -> bool:
        """EIO from a read of the database is SQLITE_CORRUPT (SQLITE_IOERR_CORRUPTFS in sqlite3VdbeExec), and to its
        own check any error is."""
        return self._task.call == "read"

    def __str__(self) -> str:
        task = self._task
        return f"{task.call} number {self._k} fails {task.how} with {task.number}"


def tasks(operations: Iterable[Operation] = OPERATIONS + THREADED, calls: Sequence[str] = CALLS) -> list[Task]:
    """Every sweep there is, over every call.

    EINTR fails once: a call that a signal interrupts each time is nothing that a kernel does, and is made again.
    """
    found = []
    for operation in operations:
        for durability in ("normal", "full"):
            for call in calls:
                numbers = LOOKS.get(call, ["ENOSPC", "EIO", "EDQUOT", "EINTR"])
                numbers = numbers + ["EWOULDBLOCK"] * (call == "flock") + ["EMFILE", "EACCES"] * (call == "open")
                for number in numbers:
                    hows = ["once"] if number == "EINTR" else ["once", "always"]
                    hows += ["short", "short and then full"] if call in ("write", "copy") and number != "EINTR" else []
                    found += [Task(operation.name, call, number, how, durability) for how in hows]
    return found


def some(task: Task, most: int, seed: int) -> Task:
    """The same sweep over some of the calls only."""
    return replace(task, most=most, seed=seed)


def sweep(task: Task, place: Place, functions: Any, round_: Round, seen: Counter[str]) -> None:
    """The operation with each of its calls failing: until one fails it makes those that it makes without."""
    operation = operation_called(task.operation)
    place.durability = task.durability
    calls = range(1, _calls_of(operation, place, functions)[task.call] + 1)
    for k in sorted(Random(task.seed).sample(calls, min(task.most, len(calls)))):
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        fault = CallFails(functions, task, k)
        print(f"{task.operation}, {task.durability}, {fault}", file=sys.stderr, flush=True)
        outcome = attempt(operation, place, fault)
        faulthandler.cancel_dump_traceback_later()
        if outcome.failure:
            round_.failures.append(outcome.failure)
        if outcome.struck:
            round_.trials += 1
            seen[f"{task.call}: {outcome.error or 'no error'}"] += 1


def _calls_of(operation: Operation, place: Place, functions: Any) -> dict[str, int]:
    """How many calls of each kind the operation makes where nothing fails."""
    key = operation.name, place.durability
    if key not in _counted:
        with operation.started(place):
            for number in range(len(shim.OPS)):
                functions.shim_calls(number)
            operation.run(place)
            _counted[key] = {name: functions.shim_calls(number) for number, name in enumerate(shim.OPS)}
        place.close()
    return _counted[key]


def run(work: Sequence[Task], folder: Path, timeout: float) -> tuple[Round, Counter[str]]:
    """Do the sweeps in one child that the shim is loaded in; what came of them, and which errors there were."""
    library = shim.library()
    if library is None:
        return Round(skipped=shim.MISSING), Counter()
    return in_child("failing_calls", work, folder, timeout, environment={"LD_PRELOAD": str(library)})


def main() -> None:
    """The child's work."""
    functions = shim.loaded()
    sys.modules["pandas"] = None  # type: ignore[assignment]  # sqlite-utils would load it where it is, for half a second
    folder = Path(sys.argv[1]).resolve() / "place"
    place = Place(folder)
    functions.shim_watch(os.fsencode(folder))
    place.prepare()
    round_, seen = Round(), Counter[str]()
    for fields in json.load(sys.stdin):
        sweep(Task(*fields), place, functions, round_, seen)
    json.dump((round_.trials, round_.failures, seen), sys.stdout)


if __name__ == "__main__":
    main()
