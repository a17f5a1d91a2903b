"""A process of the campaign's cache: it sets, tags, reads, evicts, culls and computes, and logs each operation twice.

The line before an operation says what it will change, the one after it what came of it. All of a process's names begin
with its number, so that it alone changes them; only the policy may delete them besides. The hot names and those that are
computed belong to all.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from store.cache import Cache
from store.cache.options import Policy

BASE = 1_800_000_000.0  # a whole minute, at each of which LFU lets frequencies fall
TIMEOUT = 60.0
SPILL_BYTES = 4_000
LARGE = 12_000  # bytes of a value that is a file
HOT = [f"hot {number}" for number in range(10)]
COMPUTED = 1_000
TURN_SECONDS = 0.05  # for so long all processes compute the same name
FILLER = 1_500  # bytes of the values that a cache has at first
RECENT = 12  # names that are looked at again
TOLERANCE = 1.05


class Setting(NamedTuple):
    """The bounds of a cache."""

    policy: Policy
    max_records: int | None = None
    max_bytes: int | None = None
    evicts: bool = True
    """Whether the policy may choose records."""

    scale: float = 50.0
    """Seconds of the clock in one: notes of uses have 1/16 s, and many records go in that time."""
    began: float = 0.0
    """When the campaign began, by the monotonic clock of all processes."""

    def clock(self) -> float:
        """The same for all processes."""
        return BASE + (time.monotonic() - self.began) * self.scale

    def open(self, path: Path, clock: Callable[[], float] | None = None) -> Cache[Any]:
        return Cache(path, policy=self.policy, max_records=self.max_records, max_bytes=self.max_bytes,
                     timeout=TIMEOUT, spill_bytes=SPILL_BYTES, clock=clock or self.clock)  # fmt: skip

    def broken(self, records: int, bytes_: int) -> str:
        """Which bound is broken; empty if none is."""
        if self.evicts and self.max_records is not None and records > self.max_records * TOLERANCE:
            return f"the bound of {self.max_records} records is broken by {records}"
        if self.evicts and self.max_bytes is not None and bytes_ > self.max_bytes * TOLERANCE:
            return f"the bound of {self.max_bytes} bytes is broken by {bytes_}"
        return ""


def value_of(name: str, state: list[Any]) -> Any:
    """The value that a record has in a state: (serial, size, tag) of a text, or ("count", number, tag)."""
    serial, size, _ = state
    return size if serial == "count" else f"{name} {serial} ".ljust(size, ".")


Change = dict[str, "list[Any] | None"]


class Worker:
    """One process's operations. `state` is what its records are, as far as it knows."""

    def __init__(self, cache: Cache[Any], setting: Setting, number: int, rng: Random, folder: Path) -> None:
        self.cache, self.setting, self.number, self.rng, self.folder = cache, setting, number, rng, folder
        self.state: Change = {}
        self.serial = 0
        self._log = os.open(folder / f"log {number}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def run(self, operations: int) -> None:
        kinds: list[Callable[[], None]] = [
            self.set_new, self.set_new, self.set_new, self.set_many, self.transaction, self.get, self.get, self.get_hot,
            self.get_hot, self.get_hot, self.incr, self.touch, self.add, self.delete, self.compute, self.look,
        ]  # fmt: skip
        kinds += [self.evict, self.cull] if self.rng.random() < 0.5 else [self.evict]
        if not self.setting.evicts:
            kinds += [self.overwrite, self.overwrite, self.set_expiring]
        for _ in range(operations):
            self.rng.choice(kinds)()

    def fill(self, records: int) -> None:
        """So many records, and last the hot ones."""
        change: Change = {f"{self.number}-f{serial}": [serial, FILLER, None] for serial in range(records - len(HOT))}
        self.begin("fill", change)
        self.cache.set_many({name: value_of(name, state) for name, state in change.items() if state})
        self.end(ok=True, inserts=len(change))
        for name in HOT:
            self.begin("hot", {})
            self.end(inserts=int(self.cache.add(name, name)), misses=0, used=[name])

    # -- the log

    def begin(self, kind: str, change: Change) -> None:
        self._say({"kind": kind, "change": change})

    def end(self, **result: Any) -> None:
        """`ok`: the change was made; `gone`: names that were found to be missing; and what was counted."""
        self._say(result)

    def _say(self, what: dict[str, Any]) -> None:
        os.write(self._log, json.dumps(what | {"at": time.monotonic()}).encode() + b"\n")

    def fail(self, text: str) -> None:
        self._say({"failure": text})

    # -- what is chosen

    def new(self, *, kind: str = "") -> tuple[str, list[Any]]:
        """A new name, and its state."""
        self.serial += 1
        size = LARGE if self.rng.random() < 0.05 else self.rng.choice((30, 100, 400, 1500))
        return f"{self.number}-{kind}{self.serial}", [self.serial, size, self.tag()]

    def tag(self) -> str | None:
        return self.rng.choice((None, None, "common", f"{self.number}:0", f"{self.number}:1"))

    def known(self) -> str | None:
        """A name of its own, mostly one of the last; None: there is none."""
        names = [name for name in self.state if "-x" not in name]
        if not names:
            return None
        return self.rng.choice(names[-RECENT:] if self.rng.random() < 0.7 else names)

    def apply(self, change: Change) -> None:
        for name, state in change.items():
            self.state.pop(name, None)
            if state is not None:
                self.state[name] = state

    # -- operations

    def set_new(self) -> None:
        name, state = self.new()
        self.begin("set", {name: state})
        self.cache.set(name, value_of(name, state), tag=state[2])
        self.apply({name: state})
        self.end(ok=True, inserts=1)

    def set_expiring(self) -> None:
        """A record that lives for a short time."""
        name, state = self.new(kind="x")
        self.begin("set expiring", {name: state})
        self.cache.set(name, value_of(name, state), tag=state[2], ttl=self.rng.random() * self.setting.scale)
        self.apply({name: state})
        self.end(ok=True, inserts=1)

    def set_many(self) -> None:
        tag = self.tag()
        change: Change = {name: [state[0], 100, tag] for name, state in (self.new() for _ in range(3))}
        self.begin("set_many", change)
        self.cache.set_many({name: value_of(name, state) for name, state in change.items() if state}, tag=tag)
        self.apply(change)
        self.end(ok=True, inserts=3)

    def transaction(self) -> None:
        """A new record and the end of an old one, both or none."""
        (name, state), old = self.new(), self.known()
        change: Change = {name: state} | ({} if old is None else {old: None})
        self.begin("transaction", change)
        with self.cache.transaction():
            self.cache.set(name, value_of(name, state), tag=state[2])
            deleted = old is not None and self.cache.delete(old)
        self.apply(change)
        gone = [old] if old is not None and not deleted else []
        self.end(ok=True, inserts=1, deletes=int(deleted), gone=gone)

    def overwrite(self) -> None:
        name = self.known()
        if name is None or self.state[name][0] == "count":  # type: ignore[index]
            return
        _, state = self.new()
        self.begin("overwrite", {name: state})
        self.cache.set(name, value_of(name, state), tag=state[2])
        self.apply({name: state})
        self.end(ok=True)

    def add(self) -> None:
        """Over one that it knows: done only where the policy deleted that one."""
        name = self.known()
        if name is None or self.state[name][0] == "count":  # type: ignore[index]
            return
        _, state = self.new()
        self.begin("add", {name: state})
        added = self.cache.add(name, value_of(name, state), tag=state[2])
        if added:
            self.apply({name: state})
        self.end(ok=added, gone=[name] if added else [], inserts=int(added))

    def incr(self) -> None:
        name = f"{self.number}-c{self.rng.randrange(3)}"
        before = self.state.get(name)
        after = ["count", 1 if before is None else before[1] + 1, None]
        self.begin("incr", {name: after})
        found = self.cache.incr(name)
        was_gone = before is not None and found == 1
        if found not in (1, after[1]):
            self.fail(f"incr of {name} gave {found}, and {after[1]} was expected")
        after[1] = found
        self.apply({name: after})
        self.end(ok=True, change={name: after}, gone=[name] if was_gone else [], inserts=int(before is None or was_gone))

    def touch(self) -> None:
        if (name := self.known()) is not None:
            self.begin("touch", {})
            found = self.cache.touch(name)
            if not found:
                self.state.pop(name)
            self.end(gone=[] if found else [name], touched=[name])

    def get(self) -> None:
        if (name := self.known()) is not None:
            self.begin("get", {})
            value = self.cache.get(name)
            if value is not None and value != value_of(name, self.state[name]):  # type: ignore[arg-type]
                self.fail(f"{name} was {value!r:.60}, and is {self.state[name]}")
            if value is None:
                self.state.pop(name)
            self.end(hits=int(value is not None), misses=int(value is None), gone=[] if value is not None else [name])

    def get_hot(self) -> None:
        name = self.rng.choice(HOT)
        self.begin("hot", {})
        value = self.cache.get(name)
        added = value is None and self.cache.add(name, name)
        if value not in (None, name):
            self.fail(f"{name} was {value!r:.60}")
        self.end(hits=int(value is not None), misses=int(value is None), inserts=int(added), used=[name])

    def delete(self) -> None:
        if (name := self.known()) is not None:
            self.begin("delete", {name: None})
            deleted = self.cache.delete(name)
            self.apply({name: None})
            self.end(ok=True, deletes=int(deleted), gone=[] if deleted else [name])

    def evict(self) -> None:
        """All records of a tag of its own."""
        tag = f"{self.number}:{self.rng.randrange(2)}"
        tagged = [name for name, state in self.state.items() if state is not None and state[2] == tag]
        self.begin("evict", dict.fromkeys(tagged))
        deleted = self.cache.evict(tag)
        lasting = sum("-x" not in name for name in tagged)
        if deleted > len(tagged) or (deleted < lasting and not self.setting.evicts):
            self.fail(f"evict({tag!r}) deleted {deleted} of {lasting} to {len(tagged)} records")
        if left := [name for name in tagged if name in self.cache]:
            self.fail(f"evict({tag!r}) left {left}")
        self.apply(dict.fromkeys(tagged))
        self.end(ok=True, deletes=deleted)

    def cull(self) -> None:
        self.begin("cull", {})
        self.cache.cull()
        self.end()

    def look(self) -> None:
        """Whether the bounds hold meanwhile."""
        self.begin("look", {})
        stats = self.cache.stats()
        if broken := self.setting.broken(stats.records, stats.bytes):
            self.fail(broken)
        self.end()

    def compute(self) -> None:
        name, ran = f"computed {int(time.monotonic() / TURN_SECONDS) % COMPUTED}", []

        def work() -> str:
            with open(self.folder / f"lock of {name}", "w") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a killed process lets it go
                except BlockingIOError:
                    self.fail(f"{name} was computed by two at once")
                ran.append(name)
                self.take_time()
            return name

        self.begin("compute", {})
        value = self.cache.get_or_compute(name, work)
        if value != name:
            self.fail(f"{name} was {value!r:.60}")
        self.end(hits=int(not ran), misses=len(ran), inserts=len(ran), used=[name])

    def take_time(self) -> None:
        """What computing takes, so that others come meanwhile."""
        time.sleep(0.002)
