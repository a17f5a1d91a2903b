"""The parts that take part in the proof of the read cache: each runs in a process of its own.

    python published.py ROLE STORE BOARD ROUNDS

Whoever writes a record publishes its number on the board, a file that all have mapped, once the commit has returned;
numbers only grow. A reader takes the number from the board first: what it then reads must not be older.
"""

from __future__ import annotations

import json
import mmap
import os
import pickle
import random
import sqlite3
import struct
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from store import Store
from store.opened.sentinels import MISSING
from store.system.locking import Hold, WriterLock

NAMES = [f"{kind}{number}" for kind in ("set", "many", "foreign", "utils", "gone", "brief") for number in range(2)]
STOP, CLOCK = len(NAMES), len(NAMES) + 1  # further places of the board
PLACE = struct.Struct("=q")
TTL = 10
STEP = 11  # seconds, by which the clock of all goes on
BURST, PAUSE = 50, 0.01  # rounds of a reader, and seconds until the next ones


class Board:
    """A row of numbers that all processes see."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._parent = os.getppid()

    @staticmethod
    def make(path: Path) -> None:
        path.write_bytes(bytes(PLACE.size * (len(NAMES) + 2)))

    def __getitem__(self, place: int) -> int:
        return int(PLACE.unpack_from(self._map, place * PLACE.size)[0])

    def __setitem__(self, place: int, number: int) -> None:
        PLACE.pack_into(self._map, place * PLACE.size, number)

    def goes_on(self) -> bool:
        """Whether nobody has said stop; whoever could is still there."""
        return not self[STOP] and os.getppid() == self._parent

    def clock(self) -> float:
        return 1_800_000_000.0 + self[CLOCK] / 1000


class _Undone(Exception):
    pass


class Reader:
    """Reads, and holds what it read against the board."""

    def __init__(self, store: Store, board: Board, seed: int) -> None:
        self.store, self.board = store, board
        self.random = random.Random(seed)
        self.reads = self.stale = self.cached = 0
        value = store.opened.cache.value

        def counting(name: str, now: float) -> Any:
            found = value(name, now)
            self.cached += found is not MISSING
            return found

        store.opened.cache.value = counting  # type: ignore[method-assign]

    def read(self) -> None:
        place = self.random.randrange(len(NAMES))
        for _ in range(3):
            published = self.board[place]
            found = self.store.get(NAMES[place])
            self.reads += 1
            # One that was deleted, or has expired, is only looked for while it is there.
            self.stale += found is not None and (found[0] < published or found[0] < 0)

    def read_many(self) -> None:
        """Both of a pair that is written in one transaction."""
        published = self.board[2], self.board[3]
        found = self.store.get_many(["many0", "many1"])
        self.reads += 2
        one, two = (found[name][0] for name in ("many0", "many1"))
        self.stale += one != two or one < max(published)

    def loop(self, reads: int) -> None:
        """In bursts: readers that never pause take the processor from those that write, and read the same again."""
        while self.reads < reads or self.board.goes_on():
            for _ in range(BURST):
                self.read()
                self.read_many()
            time.sleep(PAUSE)

    def report(self) -> dict[str, int]:
        return {"reads": self.reads, "stale": self.stale, "cached": self.cached, "commits": 0}


def read(path: str, board: Board, rounds: int) -> dict[str, int]:
    """Two threads on one `Store`."""
    with Store(path, clock=board.clock) as store:
        readers = [Reader(store, board, seed) for seed in range(2)]
        threads = [threading.Thread(target=reader.loop, args=(rounds // 2,)) for reader in readers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    reports = [reader.report() for reader in readers]
    return {key: sum(report[key] for report in reports) for key in reports[0]}


def write(path: str, board: Board, rounds: int) -> dict[str, int]:
    """Writes in all ways that a `Store` has, and reads what it and others write."""
    commits = 0
    with Store(path, clock=board.clock) as store:
        reader = Reader(store, board, 7)
        for number in range(1, rounds // 6 + 2):  # six commits in each
            for step in (_set, _set_many, _delete, _undo, _expire):
                commits += step(store, board, number)
                reader.read()
        reader.read_many()
    return {**reader.report(), "commits": commits}


def _set(store: Store, board: Board, number: int) -> int:
    store["set0"] = [number]
    board[0] = number
    store.modify("set1", lambda value: [value[0] + 1])
    board[1] = number
    return 2


def _set_many(store: Store, board: Board, number: int) -> int:
    store.update(many0=[number], many1=[number])
    board[2] = board[3] = number
    return 1


def _delete(store: Store, board: Board, number: int) -> int:
    """What is there has an odd number; an even one says that it is gone."""
    name, place = f"gone{number % 2}", 8 + number % 2
    store[name] = [2 * number - 1]
    board[place] = 2 * number - 1
    del store[name]
    board[place] = 2 * number
    return 2


def _undo(store: Store, board: Board, number: int) -> int:
    with suppress(_Undone), store.transaction():
        store.update(set0=[-1], many0=[-1])
        raise _Undone
    with store.transaction():
        with suppress(_Undone), store.transaction():
            store.update(set0=[-1], many1=[-1])
            raise _Undone
        store["set0"] = [number]
    return 1


def _expire(store: Store, board: Board, number: int) -> int:
    """Numbered like what is deleted; now and then the clock goes on, and it is gone."""
    name, place = f"brief{number % 2}", 10 + number % 2
    if number % 50 > 1:
        return 0
    store.put(name, [2 * number - 1], ttl=TTL)
    board[place] = 2 * number - 1
    store.get(name)
    board[CLOCK] += STEP * 1000
    board[place] = 2 * number
    return 1


def prepare(path: str, rounds: int) -> None:
    """The rows that programs without a key will write: body, seal and checksum of each number."""
    with Store(path) as store:
        for name in NAMES[:8]:
            store[name] = [0]
        rows = {kind: [store.opened.pack(f"{kind}0", [number], None) for number in range(rounds + 1)] for kind in FOREIGN}
    for kind, packed in rows.items():
        Path(f"{path}.{kind}").write_bytes(pickle.dumps([(row.body, row.seal, row.crc) for row in packed]))


FOREIGN = {"foreign": 4, "utils": 6}
CHECKPOINTS = [*(f"PRAGMA wal_checkpoint({kind})" for kind in ("PASSIVE", "RESTART", "TRUNCATE")), "VACUUM"]


def foreign(path: str, board: Board, rounds: int) -> dict[str, int]:
    """Plain `sqlite3`, a connection of its own for some of the commits; checkpoints of each kind, and VACUUM."""
    rows = pickle.loads(Path(f"{path}.foreign").read_bytes())
    lock, checkpoints = WriterLock(f"{path}.lock"), 0
    for start in range(1, rounds + 1, 100):
        with closing(_connected(path)) as conn:
            for number in range(start, min(start + 100, rounds + 1)):
                conn.execute(
                    "UPDATE records SET body = ?, seal = ?, crc = ? WHERE namespace = '' AND name = 'foreign0'",
                    rows[number],
                )
                board[FOREIGN["foreign"]] = number
                if not number % 5:
                    checkpoints += _checkpoint(conn, lock, CHECKPOINTS[number // 5 % len(CHECKPOINTS)])
    lock.close()
    return {"reads": 0, "stale": 0, "cached": 0, "commits": rounds, "checkpoints": checkpoints}


def utils(path: str, board: Board, rounds: int) -> dict[str, int]:
    """`sqlite-utils`, which knows nothing of us."""
    import sqlite_utils

    rows = pickle.loads(Path(f"{path}.utils").read_bytes())
    with closing(_connected(path)) as conn:
        table = sqlite_utils.Database(conn)["records"]
        (row,) = table.rows_where("namespace = '' AND name = 'utils0'")
        for number in range(1, rounds + 1):
            body, seal, crc = rows[number]
            table.update(row["id"], {"body": body, "seal": seal, "crc": crc})
            board[FOREIGN["utils"]] = number
    return {"reads": 0, "stale": 0, "cached": 0, "commits": rounds}


def _checkpoint(conn: sqlite3.Connection, lock: WriterLock, statement: str) -> int:
    """Under the writer's lock: beside another's they could corrupt a database in SQLite before 3.51.3."""
    hold = Hold()
    lock.acquire(hold, lambda: None, 60.0)
    try:
        conn.execute(statement).fetchall()
    except sqlite3.OperationalError:  # somebody writes without the lock
        return 0
    finally:
        lock.release(hold)
    return 1


def _connected(path: str) -> sqlite3.Connection:
    conn = sqlite3.connect(path, isolation_level=None, timeout=60)
    conn.execute("PRAGMA wal_autocheckpoint = 0")
    return conn


ROLES = {"read": read, "write": write, "foreign": foreign, "utils": utils}

if __name__ == "__main__":
    print(json.dumps(ROLES[sys.argv[1]](sys.argv[2], Board(sys.argv[3]), int(sys.argv[4]))))
