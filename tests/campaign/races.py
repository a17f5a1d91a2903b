"""Several processes at once: writers beside checkpoints, and network mode with processes that are killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

from store import Store
from store.engines.sqlite.engine import checkpoints as sqlite_checkpoints

from .trial import Promise, Round

TIMEOUT = 60.0  # seconds, of a store
STUCK_SECONDS = 240.0  # after which a round does not end any more
LARGE = 3000  # bytes from which a value is a file here
MODE = "STORE_NETWORK"


class Workers:
    """Forks of this process; each has a file for what it acknowledged, a byte for each, and one for its error."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[int, int] = {}  # process → its number
        self.killed: set[int] = set()

    def start(self, work: Callable[[int, Callable[[bytes], None]], None]) -> None:
        number = len(self.running) + len(self.killed)
        pid = os.fork()
        if pid:
            self.running[pid] = number
            return
        code = 1
        try:
            descriptor = os.open(self.folder / f"acknowledged {number}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            work(number, lambda kind: os.write(descriptor, kind) and None)
            code = 0
        except BaseException:
            (self.folder / f"error {number}").write_text(traceback.format_exc())
        finally:
            os._exit(code)

    def acknowledged(self, kind: bytes, number: int | None = None) -> int:
        wanted = "acknowledged *" if number is None else f"acknowledged {number}"
        return sum(file.read_bytes().count(kind) for file in self.folder.glob(wanted))

    def kill(self, rng: Random, within: int) -> None:
        """Kill one of those that run, after it has acknowledged fewer than so many more."""
        pid, number = rng.choice([*self.running.items()])
        enough = self.acknowledged(b"", number) + rng.randrange(within)
        deadline = time.monotonic() + TIMEOUT
        while self.acknowledged(b"", number) < enough and time.monotonic() < deadline:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return  # it was done before
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        del self.running[pid]
        self.killed.add(number)

    def join(self) -> list[str]:
        """Wait for all; what went wrong in them."""
        deadline = time.monotonic() + STUCK_SECONDS
        failures = []
        while self.running:
            pid, number = next(iter(self.running.items()))
            done = os.waitpid(pid, os.WNOHANG)
            if not done[0] and time.monotonic() < deadline:
                time.sleep(0.005)
                continue
            if not done[0]:
                failures.append(f"process {number} did not end in {STUCK_SECONDS:g} seconds")
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            elif done[1]:
                failures.append(f"process {number} ended with {os.waitstatus_to_exitcode(done[1])}")
            del self.running[pid]
        return failures + [file.read_text() for file in self.folder.glob("error *")]


def check(path: Path, find: Callable[[sqlite3.Connection], Iterator[str]]) -> list[str]:
    """What SQLite's own check finds, and `find`."""
    with closing(sqlite3.connect(path)) as conn:
        found = [text for (text,) in conn.execute("PRAGMA integrity_check") if text != "ok"]
        return [*found, *find(conn)]


# -- the WAL is begun anew while others write


def reset_race(rng: Random, folder: Path, *, writers: int, writes: int, foreign: int | None) -> Round:
    """Writers that fold in the log every few commits, one that compacts, and a plain `sqlite3` that writes beside.

    `foreign`: after how many pages that one makes checkpoints of its own; None: there is none.
    """
    path = folder / "app.db"
    with Store[object](path) as s:
        s["compacted"] = 0
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE beside (number INTEGER PRIMARY KEY, content BLOB)")
        conn.commit()
    workers, seeds = Workers(folder), [rng.random() for _ in range(writers)]

    def write(number: int, acknowledge: Callable[[bytes], None]) -> None:
        sqlite_checkpoints.LOG_FRAMES = 5
        sqlite_checkpoints.FORCED_BYTES = 150_000  # from which a checkpoint truncates
        mine = Random(seeds[number])
        with Store[object](path, timeout=TIMEOUT, spill_bytes=LARGE) as s:
            for i in range(writes):
                s[f"{number} last"] = i
                s[f"{number} {i}"] = mine.randbytes(mine.choice([10, 900, LARGE]))
                s.pop(f"{number} {i - 10}", None)
                acknowledge(b"w")

    def compact(number: int, acknowledge: Callable[[bytes], None]) -> None:
        with Store[object](path, timeout=TIMEOUT) as s:
            for _ in range(max(2, writes // 8)):
                s.compact()
                acknowledge(b"c")

    def write_beside(number: int, acknowledge: Callable[[bytes], None]) -> None:
        with closing(sqlite3.connect(path, timeout=TIMEOUT, isolation_level=None)) as conn:
            conn.execute(f"PRAGMA wal_autocheckpoint = {foreign}")
            for i in range(writes):
                conn.execute("INSERT INTO beside VALUES (?, randomblob(500))", (i,))
                acknowledge(b"f")

    for _ in range(writers):
        workers.start(write)
    workers.start(compact)
    if foreign is not None:
        workers.start(write_beside)
    failures = workers.join()

    def find(conn: sqlite3.Connection) -> Iterator[str]:
        beside = conn.execute("SELECT count(*) FROM beside").fetchone()[0]
        if beside != workers.acknowledged(b"f"):
            yield f"of {workers.acknowledged(b'f')} foreign rows there are {beside}"
        names = {name for (name,) in conn.execute("SELECT name FROM records")}
        for number in range(writers):
            last = range(max(0, writes - 10), writes)
            lost = [name for name in [f"{number} {i}" for i in last] if name not in names]
            if lost:
                yield f"lost: {lost}"

    failures += check(path, find)
    with Store[object](path) as s:
        verified = s.verify()
        failures += [str(verified)] if verified.corrupt or verified.tampered or verified.damage else []
        wrong = {n: s[f"{n} last"] for n in range(writers) if s[f"{n} last"] != writes - 1}
        failures += [f"not the last values: {wrong}"] if wrong else []
    return Round(workers.acknowledged(b"w") * 3 + workers.acknowledged(b"f"), failures)


def _reset_round(rng: Random, folder: Path) -> Round:
    return reset_race(rng, folder, writers=4, writes=400, foreign=rng.choice([None, 0]))


WAL_RESET = Promise(
    key="wal-reset",
    promise="Writers and checkpoints at once corrupt nothing and lose nothing, with an SQLite that has the WAL-reset bug too.",
    how="4 writers that fold in the log every few commits, one process in a loop of compact(), at times a plain "
    "sqlite3 writer without checkpoints of its own; then integrity_check, every last value, and verify().",
    unit="writes",
    run=_reset_round,
)


# -- network mode


@contextmanager
def forced_network_mode() -> Iterator[None]:
    before = os.environ.get(MODE)
    os.environ[MODE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[MODE]
        else:
            os.environ[MODE] = before


def network_round(rng: Random, folder: Path, *, processes: int, steps: int, kills: int) -> Round:
    """Counters, pairs and large values by several processes, some of which are killed; no error, nothing lost."""
    path = folder / "app.db"
    with forced_network_mode():
        with Store[object](path) as s:
            s.update({"count": 0, "left": 0, "right": 0})
        workers, seeds = Workers(folder), [rng.random() for _ in range(processes)]

        def work(number: int, acknowledge: Callable[[bytes], None]) -> None:
            mine = Random(seeds[number])
            with Store[object](path, timeout=TIMEOUT, spill_bytes=LARGE) as s:
                for i in range(steps):
                    _step(s, mine, number, i)(acknowledge)

        for _ in range(processes):
            workers.start(work)
        for _ in range(kills):
            workers.kill(rng, within=max(2, steps // kills // 2))
        failures = workers.join()
        failures += _network_failures(path, workers)
    return Round(workers.acknowledged(b"c") + workers.acknowledged(b"p") + workers.acknowledged(b"l"), failures)


def _step(s: Store[object], rng: Random, number: int, i: int) -> Callable[[Callable[[bytes], None]], None]:
    """One step, done; what it returns acknowledges it."""
    kind = rng.choice(["count", "pair", "large", "read", "read"])
    if kind == "count":
        s.modify("count", lambda value: int(str(value)) + 1)
        return lambda acknowledge: acknowledge(b"c")
    if kind == "pair":
        with s.transaction():
            value = int(str(s["left"])) + 1
            s["left"] = value
            s["right"] = value
        return lambda acknowledge: acknowledge(b"p")
    if kind == "large":
        content = rng.randbytes(LARGE * 2)
        s[f"large {number}"] = content
        assert s[f"large {number}"] == content
        return lambda acknowledge: acknowledge(b"l")
    pair = s.get_many(["left", "right"])
    assert pair["left"] == pair["right"], f"read {pair}"
    assert len(s) >= 3
    return lambda acknowledge: acknowledge(b"r")


def _network_failures(path: Path, workers: Workers) -> list[str]:
    failures = []
    with Store[object](path, timeout=5) as s:
        found = s.get_many(["count", "left", "right"])
        for name, kind in (("count", b"c"), ("left", b"p"), ("right", b"p")):
            least = workers.acknowledged(kind)
            most = least + len(workers.killed)  # whose last one may not have been acknowledged
            if not least <= int(str(found[name])) <= most:
                failures.append(f"{name} is {found[name]}, and {least} to {most} were written")
        if found["left"] != found["right"]:
            failures.append(f"a pair that does not match: {found}")
        verified = s.verify()
        failures += [str(verified)] if verified.corrupt or verified.tampered or verified.damage else []
    failures += check(path, lambda conn: iter(()))
    return failures + ["there is a WAL"] * os.path.exists(f"{path}-wal")


def _network_round(rng: Random, folder: Path) -> Round:
    return network_round(rng, folder, processes=8, steps=500, kills=6)


NETWORK = Promise(
    key="network",
    promise="On a network mount several processes lose nothing, read no half of a transaction, and see no lock of SQLite.",
    how="Forced network mode: 8 processes increment a counter, write two records in one transaction, write files and "
    "read, 6 of them are killed in the middle; the counts are those acknowledged, every pair read matches.",
    unit="transactions",
    run=_network_round,
)
