"""Ctrl-C at a random moment of each operation: nothing is half-written, nobody is locked out, nothing leaks.

A process that lives on does the operations, and is interrupted by real signals, or at the n-th moment at which CPython
looks for one. Its parent then writes to the store at once, before the process does anything that could heal it.
"""

from __future__ import annotations

import fcntl
import gc
import multiprocessing
import os
import sqlite3
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from interrupting import Alarm, Interrupter, struck

from store import Store
from store.engines.sqlite.engine import wal_index

from .trial import Promise, Round

TRIALS = 150  # of a round
TIMEOUT = 60.0  # seconds; a trial takes some milliseconds
SPILL_BYTES = 1_000
BIG, BIGGER = bytes(3_000), bytes(5_000)
LOST_SECONDS = 3600.0  # how long the records that are purged have been expired

RECORDS: dict[str, Any] = {"a": {"x": "old"}, "b": "old", "big": BIG, **{f"n{i}": i for i in range(5)}}


class Stage:
    """What the operations work on: a store, another on the same file with `writeback`, and a clock."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.now = 0.0  # seconds that the clock was put on
        self.store = Store[Any](path, timeout=TIMEOUT, spill_bytes=SPILL_BYTES, clock=self.clock)
        self.live = Store[Any](path, timeout=TIMEOUT, writeback=True, spill_bytes=SPILL_BYTES, clock=self.clock)
        self.made = 0

    def clock(self) -> float:
        return time.time() + self.now

    def prepare(self) -> None:
        """The records as they were."""
        self.live.close()  # as whoever was interrupted there would do
        self.live = Store[Any](self.path, timeout=TIMEOUT, writeback=True, spill_bytes=SPILL_BYTES, clock=self.clock)
        self.store.clear()
        self.store.update(RECORDS)
        for i in range(3):
            self.store.put(f"old{i}", bytes(2_000), ttl=1)
        self.now += LOST_SECONDS
        self.made += 1

    def close(self) -> None:
        self.live.close()
        self.store.close()


class Operation(NamedTuple):
    """What is done; and what the records are when it is through, as a change of those before."""

    call: Callable[[Stage], object]
    changes: dict[str, Any]  # None: deleted
    ready: Callable[[Stage], object] | None = None  # what comes before it, uninterrupted


def _edit(stage: Stage) -> None:
    with stage.store.edit("a") as value:
        value["x"] = "new"


def _edit_big(stage: Stage) -> None:
    with stage.store.edit("list", [BIG]) as value:
        value.append("new")


def _transaction(stage: Stage) -> None:
    with stage.store.transaction():
        stage.store["a"] = "new"
        stage.store["b"] = BIGGER
        with stage.store.transaction():
            del stage.store["n0"]


def _rolled_back(stage: Stage) -> None:
    with suppress(ZeroDivisionError), stage.store.transaction():
        stage.store["a"] = BIGGER
        1 / 0


def _lock(stage: Stage) -> None:
    with stage.store.lock("job"):
        stage.store["a"] = "new"


def _watch(stage: Stage) -> None:
    with stage.store.watch(timeout=0) as changes:
        list(changes)


def _open(stage: Stage) -> None:
    with Store[Any](stage.path, timeout=TIMEOUT) as other:
        other["a"] = "new"


def _make(stage: Stage) -> None:
    with Store[Any](f"{stage.path}-made-{stage.made}.db", timeout=TIMEOUT) as other:
        other["a"] = "new"


def _within(stage: Stage) -> None:
    with stage.store.within("another") as other:
        other["a"] = 1


def _live(stage: Stage) -> None:
    stage.live["a"]["x"] = "new"


def _ior(stage: Stage) -> None:
    stage.store |= {"a": "new", "big": BIGGER}


def _backup(stage: Stage) -> None:
    stage.store.backup(f"{stage.path}-backup-{stage.made}.db")  # type: ignore[attr-defined]


OPERATIONS: dict[str, Operation] = {
    "get": Operation(lambda t: t.store["a"], {}),
    "get cached": Operation(lambda t: t.store["a"], {}, lambda t: t.store["a"]),
    "get large": Operation(lambda t: t.store["big"], {}),
    "get_many": Operation(lambda t: t.store.get_many(["a", "b", "big"]), {}),
    "in": Operation(lambda t: ("a" in t.store, "z" in t.store), {}),
    "set": Operation(lambda t: t.store.__setitem__("a", "new"), {"a": "new"}),
    "set large": Operation(lambda t: t.store.__setitem__("big", BIGGER), {"big": BIGGER}),
    "put": Operation(lambda t: t.store.put("b", 1, if_version=t.store.record("b")), {"b": 1}),
    "delete": Operation(lambda t: t.store.__delitem__("a"), {"a": None}),
    "delete large": Operation(lambda t: t.store.__delitem__("big"), {"big": None}),
    "pop": Operation(lambda t: t.store.pop("big"), {"big": None}),
    "popitem": Operation(lambda t: t.store.popitem(), {"n4": None}),
    "setdefault": Operation(lambda t: t.store.setdefault("new", BIG), {"new": BIG}),
    "modify": Operation(lambda t: t.store.modify("b", lambda _: BIGGER), {"b": BIGGER}),
    "edit": Operation(_edit, {"a": {"x": "new"}}),
    "edit large": Operation(_edit_big, {"list": [BIG, "new"]}),
    "transaction": Operation(_transaction, {"a": "new", "b": BIGGER, "n0": None}),
    "transaction undone": Operation(_rolled_back, {}),
    "update": Operation(lambda t: t.store.update(a="new", b=BIGGER, c=1), {"a": "new", "b": BIGGER, "c": 1}),
    "|=": Operation(_ior, {"a": "new", "big": BIGGER}),
    "clear": Operation(lambda t: t.store.clear(), dict.fromkeys(RECORDS)),
    "iteration": Operation(lambda t: (list(t.store), list(reversed(t.store))), {}),
    "items": Operation(lambda t: (list(t.store.items()), list(t.store.values())), {}),
    "comparison": Operation(lambda t: (len(t.store), t.store == {}, t.store | {}), {}),
    "names": Operation(lambda t: (t.store.names("n"), list(t.store.records())), {}),
    "lock": Operation(_lock, {"a": "new"}),
    "watch": Operation(_watch, {}),
    "touch": Operation(lambda t: t.store.touch("big", None), {}),
    "purge": Operation(lambda t: t.store.purge(), {}),
    "compact": Operation(lambda t: t.store.compact(), {}),
    "verify": Operation(lambda t: t.store.verify(), {}),
    "stats": Operation(lambda t: (t.store.stats(), t.store.namespaces(), t.store.inspect("a")), {}),
    "open": Operation(_open, {"a": "new"}),
    "make": Operation(_make, {}),
    "within": Operation(_within, {}),
    "sync": Operation(lambda t: t.live.sync(), {"a": {"x": "new"}}, _live),
    "close": Operation(lambda t: t.live.close(), {"a": {"x": "new"}}, _live),
}  # fmt: skip
if hasattr(Store, "backup"):
    OPERATIONS["backup"] = Operation(_backup, {})


def after(changes: dict[str, Any]) -> dict[str, Any]:
    """All records, once an operation is through."""
    return {name: value for name, value in {**RECORDS, **changes}.items() if value is not None}


class Trial(NamedTuple):
    """One interrupt, as the process is told of it: when, as a share of how long the operation takes."""

    operation: str
    how: str  # "timer", "thread" or "moment"
    share: float


# -- the process that is interrupted


def work(pipe: Connection, path: str) -> None:
    """Does the trials it is told of: says where it was interrupted, then what it sees; until it is told None."""
    try:
        before = _open_now()
        stage = Stage(path)
        lengths: dict[tuple[str, bool], float] = {}
        while (trial := pipe.recv()) is not None:
            operation = OPERATIONS[trial.operation]
            by_moment = trial.how == "moment"
            if (trial.operation, by_moment) not in lengths:
                lengths[trial.operation, by_moment] = _length(stage, operation, by_moment)
            length = lengths[trial.operation, by_moment] * trial.share
            interrupter: Interrupter | Alarm
            if by_moment:
                interrupter = Interrupter(1 + int(length), __name__)
            else:
                interrupter = Alarm(length, by_thread=trial.how == "thread")
            _ready(stage, operation)
            hit = struck(interrupter, partial(operation.call, stage))
            pipe.send((hit, interrupter.where))
            probe = pipe.recv()  # the parent has written it
            pipe.send(_seen(stage, probe))
        stage.close()
        pipe.send(sorted(_open_now() - before))
    except BaseException:
        pipe.send(traceback.format_exc())


def _ready(stage: Stage, operation: Operation) -> None:
    stage.prepare()
    if operation.ready is not None:
        operation.ready(stage)


def _length(stage: Stage, operation: Operation, by_moment: bool) -> float:
    """How long it takes: seconds, or moments."""
    _ready(stage, operation)
    operation.call(stage)  # what is imported late is imported then
    _ready(stage, operation)
    if by_moment:
        counter = Interrupter(10**9, __name__)
        struck(counter, lambda: operation.call(stage))
        return float(10**9 - counter.left)
    began = time.perf_counter()
    operation.call(stage)
    return time.perf_counter() - began


def _seen(stage: Stage, probe: int) -> dict[str, Any]:
    """The records as this process sees them, through its cache and beside it."""
    cached = {name: stage.store.get(name) for name in stage.store}
    cached.update(probe=stage.store.get("probe"))
    with Store[Any](stage.path, cache_bytes=0, clock=stage.clock) as other:
        if dict(other) != cached:
            raise AssertionError(f"the cache says {cached}, the file {dict(other)}")
    assert cached.pop("probe") == probe, "the cache is stale"
    assert stage.store == {**cached, "probe": probe}
    with stage.store.lock("job", timeout=0):
        pass
    stage.store["mine"] = probe
    return cached


def _open_now() -> set[str]:
    """Descriptors and threads of this process."""
    gc.collect()
    wal_index.release_unused(keep=0)
    found = {thread.name for thread in threading.enumerate()}
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the listing
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    return found


# -- its parent


class Interrupted:
    """The process, and what is checked after each trial."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "app.db")
        self.done = 0
        self.hits = 0
        mine, its = multiprocessing.Pipe()
        self.pipe = mine
        self.process = multiprocessing.get_context("fork").Process(target=work, args=(its, self.path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, of whoever runs this
            self.process.start()
        its.close()
        self.store = Store[Any](self.path, timeout=5, spill_bytes=SPILL_BYTES)  # which the process does not inherit

    def __enter__(self) -> Interrupted:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.join()
        self.process.close()
        self.pipe.close()
        self.store.close()

    def try_(self, trial: Trial) -> list[str]:
        """One interrupt; what was wrong after it."""
        self.pipe.send(trial)
        hit, where = self._hear(trial)
        try:
            self._check_free()
            self.done += 1
            self.hits += hit
            self.store["probe"] = self.done
            if trial.operation == "make":
                self._check_made()
        except Exception as exc:
            return [f"{trial}, {where}: {type(exc).__name__}: {exc}"]
        self.pipe.send(self.done)
        found = self._hear(trial, where)
        through = after(OPERATIONS[trial.operation].changes)
        if found not in ([through, RECORDS] if hit else [through]):
            return [f"{trial}, {where}: half done: {found!r:.1000}"]
        return []

    def end(self) -> list[str]:
        """Let it close the store; what leaked, and what is not sound."""
        self.pipe.send(None)
        left = self._hear(Trial("close", "", 0))
        failures = [f"left open: {left}"] if left else []
        report = self.store.verify()
        with closing(sqlite3.connect(self.path)) as conn:
            sound = conn.execute("PRAGMA integrity_check").fetchall()
        if not report.ok or sound != [("ok",)]:
            failures.append(f"the store is not sound: {report} {sound}")
        return failures

    def _hear(self, *about: object) -> Any:
        if not self.pipe.poll(TIMEOUT):
            raise AssertionError(f"hangs: {about}")
        said = self.pipe.recv()
        if isinstance(said, str):
            raise AssertionError(f"{about}: {said}")
        return said

    def _check_free(self) -> None:
        """Neither the writer's lock nor one of SQLite's is kept; before anything could heal that."""
        with open(f"{self.path}.lock", "rb+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with closing(sqlite3.connect(self.path, timeout=0, isolation_level=None)) as conn:
            conn.execute("BEGIN IMMEDIATE").close()
            conn.execute("ROLLBACK")

    def _check_made(self) -> None:
        """The store that it was making can be opened, and written."""
        for file in Path(self.path).parent.glob("*-made-*.db"):
            with Store[Any](file, timeout=5) as s:
                assert s.get("a") in (None, "new")
                s["b"] = 1
            for one in file.parent.glob(f"{file.name}*"):
                if one.is_file():
                    one.unlink()


def interrupt(rng: Random, folder: Path, trials: int) -> Round:
    """So many interrupts, each operation in its turn."""
    failures: list[str] = []
    names = list(OPERATIONS)
    rng.shuffle(names)
    with Interrupted(folder) as interrupted:
        for number in range(trials):
            how = rng.choice(["timer", "timer", "thread", "moment", "moment"])
            trial = Trial(names[number % len(names)], how, rng.uniform(0, 1.1))
            try:
                found = interrupted.try_(trial)
            except (AssertionError, EOFError, OSError) as exc:
                return Round(number + 1, [*failures, f"{trial}: {type(exc).__name__}: {exc}"])
            if found:  # the process waits for an answer
                return Round(number + 1, [*failures, *found])
        failures += interrupted.end()
        if interrupted.hits < trials / 4:
            failures.append(f"nothing was shown: {interrupted.hits} of {trials} were interrupted")
    return Round(trials, failures)


def interrupts(rng: Random, folder: Path) -> Round:
    return interrupt(rng, folder, TRIALS)


INTERRUPTS = Promise(
    "interrupts",
    "Ctrl-C at any moment leaves nothing half-written, nobody locked out, nothing open and no stale cache.",
    f"A process that lives on does each of {len(OPERATIONS)} operations and is interrupted at a random moment (a timer, "
    "SIGINT from a thread, the n-th moment at which CPython looks for signals); another process must then be able to "
    "write at once, the records must be those before or those after, in the cache as in the file; descriptors and "
    "threads are counted in the end.",
    "interrupts",
    interrupts,
)
