"""Histories of several threads in several processes on one store, recorded and checked for linearizability.

The processes live on from history to history, as their stores do, so that caches are warm and connections old; in some
histories one of them is killed, and another takes its place. Each operation is written to a file before it begins and
after it returned, which a killed process leaves behind: times are of the clock that all processes of a machine share.
"""

from __future__ import annotations

import ast
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from store import ABSENT, Store
from store.errors import Conflict

from .linearizable import CONFLICT, Operation, unexplained
from .trial import Promise, Round

PROCESSES, THREADS, OPERATIONS = 3, 2, 15
HISTORIES = 60  # of a round
KILLED_SHARE = 0.15
TIMEOUT = 60.0  # seconds; a history takes some hundredths of one
SPILL_BYTES = 1_000
DURABILITIES = ("normal", "full")

# How often each is done.
KINDS = {
    "get": 7, "has": 1, "look": 1, "get_many": 1, "set": 3, "put": 2, "delete": 2, "pop": 2, "modify": 3, "edit": 2,
    "compare-and-set": 3, "setdefault": 2, "update": 1, "transaction": 1, "undone": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """One history, as each process is told of it."""

    path: str
    options: tuple[dict[str, Any], ...]  # of the store, by process
    names: tuple[str, ...]
    size: int | None  # bytes that go with a value, None for a plain number
    first: int  # no value of this history is below it
    seed: int
    begins: int  # monotonic nanoseconds

    def wrap(self, number: int) -> Any:
        """The value that stands for a number."""
        return number if self.size is None else [number, bytes(self.size)]

    def number(self, value: Any) -> int | None:
        """And back."""
        return value if value is None or self.size is None else value[0]


class Player:
    """One thread's part of a history."""

    def __init__(self, store: Store, plan: Plan, process: int, thread: int, log: Path) -> None:
        self.store, self.plan = store, plan
        self.who = f"{process}.{thread}"
        self.rng = Random(f"{plan.seed} {self.who}")
        self.value = plan.first + (process * THREADS + thread) * OPERATIONS * 2
        self.log = log
        self.seen: dict[str, Any] = {}  # name → (value, record) when it was looked at

    def play(self) -> None:
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            while time.monotonic_ns() < self.plan.begins:
                pass
            for _ in range(OPERATIONS):
                kind = self.rng.choices(list(KINDS), KINDS.values())[0]
                names = self.rng.sample(self.plan.names, 2)
                self._operate(log, kind, names)
        finally:
            os.close(log)

    def _operate(self, log: int, kind: str, names: list[str]) -> None:
        parts, call = getattr(self, f"_{kind.replace('-', '_')}")(*names)
        called = time.monotonic_ns()
        os.write(log, f"{(called, parts)!r}\n".encode())
        try:
            results: Any = call()
        except Exception as exc:
            results = f"{type(exc).__name__}: {exc}"
        returned = time.monotonic_ns()
        os.write(log, f"{(returned, results)!r}\n".encode())

    def _next(self) -> int:
        self.value += 1
        return self.value

    # Each gives its parts, (kind, name, argument), of which there are several in one step; and a call that does it
    # and gives their results.

    def _get(self, name: str, _: str) -> Any:
        return [("get", name, None)], lambda: [self.plan.number(self.store.get(name))]

    def _get_many(self, *names: str) -> Any:
        def call() -> list[Any]:
            found = self.store.get_many(names)
            return [self.plan.number(found.get(name)) for name in names]

        return [("get", name, None) for name in names], call

    def _has(self, name: str, _: str) -> Any:
        return [("has", name, None)], lambda: [name in self.store]

    def _look(self, name: str, _: str) -> Any:
        return [("look", name, None)], lambda: [self._looked(name)]

    def _looked(self, name: str) -> tuple[Any, int] | None:
        def look(store: Store) -> tuple[Any, Any]:
            value = self.plan.number(store.get(name))
            return value, store.record(name) if value is not None else None

        value, record = self.seen[name] = self.store.transact(look)
        return None if record is None else (value, record.revision)

    def _set(self, name: str, _: str) -> Any:
        value = self._next()

        def call() -> list[Any]:
            self.store[name] = self.plan.wrap(value)
            return [None]

        return [("set", name, value)], call

    def _put(self, name: str, _: str) -> Any:
        value = self._next()
        return [("put", name, value)], lambda: [self.store.put(name, self.plan.wrap(value)).revision]

    def _delete(self, name: str, _: str) -> Any:
        def call() -> list[Any]:
            try:
                del self.store[name]
            except KeyError:
                return [False]
            return [True]

        return [("delete", name, None)], call

    def _pop(self, name: str, _: str) -> Any:
        return [("pop", name, None)], lambda: [self.plan.number(self.store.pop(name, None))]

    def _modify(self, name: str, _: str) -> Any:
        value = self._next()

        def call() -> list[Any]:
            before: list[Any] = []

            def change(found: Any) -> Any:
                before.append(self.plan.number(found))
                return self.plan.wrap(value)

            self.store.modify(name, change, None)
            return [before[-1]]

        return [("modify", name, value)], call

    def _edit(self, name: str, other: str) -> Any:
        if self.plan.size is None:  # a number cannot be edited
            return self._modify(name, other)
        value = self._next()

        def call() -> list[Any]:
            while True:
                try:
                    with self.store.edit(name) as found:
                        before, found[0] = found[0], value
                except KeyError:
                    return [None]
                except Conflict:  # it has lost its lease
                    continue
                return [before]

        return [("edit", name, value)], call

    def _compare_and_set(self, name: str, other: str) -> Any:
        if name not in self.seen:
            return self._look(name, other)
        value, (expected, record) = self._next(), self.seen.pop(name)

        def call() -> list[Any]:
            try:
                return [self.store.put(name, self.plan.wrap(value), if_version=record or ABSENT).revision]
            except Conflict:
                return [CONFLICT]

        return [("compare-and-set", name, (expected, value))], call

    def _setdefault(self, name: str, _: str) -> Any:
        value = self._next()
        return [("setdefault", name, value)], lambda: [
            self.plan.number(self.store.setdefault(name, self.plan.wrap(value)))
        ]

    def _update(self, *names: str) -> Any:
        values = [self._next() for _ in names]

        def call() -> list[Any]:
            self.store.update(dict(zip(names, map(self.plan.wrap, values), strict=True)))
            return [None] * 2

        return [("set", name, value) for name, value in zip(names, values, strict=True)], call

    def _transaction(self, read: str, written: str) -> Any:
        value = self._next()

        def exchange(store: Store) -> list[Any]:
            found = self.plan.number(store.get(read))
            store[written] = self.plan.wrap(value)
            return [found, None]

        return [("get", read, None), ("set", written, value)], lambda: self.store.transact(exchange)

    def _undone(self, read: str, written: str) -> Any:
        """A transaction that is rolled back: nobody may see what it wrote."""

        def call() -> list[Any]:
            with suppress(_Undo), self.store.transaction():
                found = self.plan.number(self.store.get(read))
                self.store[written] = self.plan.wrap(-1)
                self.store.get(written)
                raise _Undo
            return [found]

        return [("get", read, None)], call


class _Undo(Exception):
    """Leaves a transaction."""


def work(pipe: Connection, process: int, folder: Path, store_class: type[Store]) -> None:
    """A process that plays its part of each history that it is told of, until it is told None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.setswitchinterval(1e-5)  # threads change places within operations
    with ExitStack() as stack:
        stores: dict[str, Store] = {}
        while (plan := pipe.recv()) is not None:
            options = plan.options[process]
            key = f"{plan.path} {options}"
            if key not in stores:
                stores[key] = stack.enter_context(store_class(plan.path, timeout=TIMEOUT, **options))
            players = [Player(stores[key], plan, process, i, log_of(folder, process, i)) for i in range(THREADS)]
            threads = [threading.Thread(target=player.play) for player in players]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            pipe.send("played")


def log_of(folder: Path, process: int, thread: int) -> Path:
    return folder / f"log-{process}-{thread}"


class Cast:
    """The processes that play. `store_class` may be one with a fault, to see that it is found.

    `url`: of a store on a server; None: files in `folder`, where the logs are.
    """

    def __init__(
        self,
        folder: Path,
        store_class: type[Store] = Store,
        url: str | None = None,
        processes: int = PROCESSES,
        durabilities: Sequence[str] = DURABILITIES,
    ) -> None:
        self._durabilities = durabilities
        self.folder = folder
        self.store_class = store_class
        self.url = url
        self.played = 0
        self.killed = 0
        self._context = multiprocessing.get_context("fork")
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        for process in range(processes):
            self._pipes.append(None)  # type: ignore[arg-type]
            self._processes.append(None)
            self._start(process)

    def __enter__(self) -> Cast:
        return self

    def __exit__(self, *error: object) -> None:
        for process, pipe in zip(self._processes, self._pipes, strict=True):
            with suppress(OSError):
                pipe.send(None)
            process.join(TIMEOUT)
            process.kill()
            process.join()
            process.close()
            pipe.close()

    def play(self, rng: Random, deaths: bool) -> list[str]:
        """One history; what was wrong with it."""
        plan = self._plan(rng)
        for process in range(len(self._processes)):
            for thread in range(THREADS):
                log_of(self.folder, process, thread).unlink(missing_ok=True)
        for pipe in self._pipes:
            pipe.send(plan)
        victim = self._kill(rng, plan) if deaths and rng.random() < KILLED_SHARE else None
        for process, pipe in enumerate(self._pipes):
            if process != victim and not (pipe.poll(TIMEOUT) and pipe.recv()):
                raise AssertionError(f"a history hung: {plan}")
        self.played += 1
        failures, operations = self._read()
        operations += self._final(plan)
        failures += unexplained(operations)
        if victim is not None:
            self._start(victim)
        return [f"{failure}\n{plan}, killed: {victim}" for failure in failures]

    def _plan(self, rng: Random) -> Plan:
        full = rng.random() < 0.1  # in a file of its own: the whole engine becomes slow
        options = tuple(
            {
                "cache_bytes": rng.choice([0, 2_000, 2**20]),
                "spill_bytes": SPILL_BYTES,
                "durability": rng.choice(self._durabilities) if full else "normal",
            }
            for _ in self._processes
        )
        return Plan(
            path=self.url or str(self.folder / ("full.db" if full else "app.db")),
            options=options,
            names=tuple(f"{self.played} {i}" for i in range(rng.choice([2, 2, 3]))),
            size=rng.choice([None, None, 10, 10, SPILL_BYTES * 2]),
            first=rng.randrange(2**20) * 1_000,
            seed=rng.randrange(2**32),
            begins=time.monotonic_ns() + 2_000_000,
        )

    def _kill(self, rng: Random, plan: Plan) -> int:
        """One of them, at a random moment of the history."""
        victim = rng.randrange(len(self._processes))
        moment = plan.begins + int(rng.triangular(0, 30_000_000, 0))
        while time.monotonic_ns() < moment:
            time.sleep(0.0002)
        self._processes[victim].kill()
        self._processes[victim].join()
        self.killed += 1
        return victim

    def _start(self, process: int) -> None:
        if self._processes[process] is not None:
            self._processes[process].close()
            self._pipes[process].close()
        mine, its = self._context.Pipe()
        child = self._context.Process(target=work, args=(its, process, self.folder, self.store_class))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, of whoever runs this
            child.start()
        its.close()
        self._pipes[process], self._processes[process] = mine, child

    def _read(self) -> tuple[list[str], list[Operation]]:
        failures: list[str] = []
        operations: list[Operation] = []
        for process in range(len(self._processes)):
            for thread in range(THREADS):
                who = f"{process}.{thread}"
                with suppress(FileNotFoundError):  # killed before it began
                    _read_log(log_of(self.folder, process, thread), who, failures, operations)
        return failures, operations

    def _final(self, plan: Plan) -> list[Operation]:
        """What is there in the end, as a new process would read it."""
        called = time.monotonic_ns()
        with Store[Any](plan.path, mode="r", cache_bytes=0) as s:
            found = {name: plan.number(s.get(name)) for name in plan.names}
        returned = time.monotonic_ns()
        return [Operation("end", "get", name, None, called, returned, value) for name, value in found.items()]


def _read_log(file: Path, who: str, failures: list[str], operations: list[Operation]) -> None:
    lines = file.read_bytes().split(b"\n")[:-1]  # after the last there is nothing, or half a line
    for number in range(0, len(lines), 2):
        called, parts = ast.literal_eval(lines[number].decode())
        some = [Operation(who, kind, name, argument, called) for kind, name, argument in parts]
        if number + 1 < len(lines):
            returned, results = ast.literal_eval(lines[number + 1].decode())
            if isinstance(results, str):
                failures.append(f"{who} {parts}: {results}")
            for one, result in zip(some, results, strict=False):
                one.returned, one.result = returned, result
        operations += some


def play(rng: Random, folder: Path, histories: int, *, deaths: bool = True, store_class: type[Store] = Store) -> Round:
    """Many of them, by processes that live on; the stores are sound in the end."""
    Store(folder / "app.db").close()
    Store(folder / "full.db").close()
    failures: list[str] = []
    with Cast(folder, store_class) as cast:
        for _ in range(histories):
            failures += cast.play(rng, deaths)
    for name in ("app.db", "full.db"):
        with Store[Any](folder / name) as s:
            report = s.verify()
            if not report.ok:
                failures.append(f"{name} is not sound: {report}")
    return Round(histories, failures)


def play_at(
    url: str,
    rng: Random,
    folder: Path,
    histories: int,
    *,
    processes: int,
    deaths: bool = True,
    durabilities: Sequence[str] = DURABILITIES,
) -> Round:
    """Many of them, on a store on a server; see `Cast`."""
    Store(url).close()
    failures: list[str] = []
    with Cast(folder, url=url, processes=processes, durabilities=durabilities) as cast:
        for _ in range(histories):
            failures += cast.play(rng, deaths)
    return Round(histories, failures)


def linearizable(rng: Random, folder: Path) -> Round:
    return play(rng, folder, HISTORIES)


LINEARIZABLE = Promise(
    "linearizable",
    "Each operation happens at one moment between its call and its return, for all threads and processes alike.",
    f"{PROCESSES} processes of {THREADS} threads each do {OPERATIONS} operations of {len(KINDS)} kinds on two or three "
    "names at once (get, put, delete, `modify`, `edit`, compare-and-set, `setdefault`, `pop`, transactions), with and "
    "without cache, spilled values, `durability`, and a process killed in one of seven. A history that no order of "
    "single steps explains, name by name (Wing and Gong's algorithm), is a failure.",
    "histories",
    linearizable,
)

