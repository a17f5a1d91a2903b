"""Several caches beside a model of the log: whatever is committed, killed, recovered or torn, no cached read is stale.

The ring has a few slots only, so that laps are frequent. The caches, the ring and the order of a commit are the real
ones; the index is a buffer that the model writes to as SQLite does.
"""

from __future__ import annotations

import random
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from store.engines.activity import Counters
from store.engines.capabilities import Gap
from store.engines.sqlite.engine import ring
from store.engines.sqlite.engine.coherence import SqliteCoherence
from store.opened import readcache
from store.opened.readcache import ReadCache
from store.opened.sentinels import MISSING
from store.rows.row import Row

NAMES = [f"name {number}" for number in range(5)]
FEW = 4  # slots

names = st.sampled_from(NAMES)
several = st.lists(names, min_size=1, max_size=4)
processes = st.integers(0, 2)
seeds = st.integers(0, 2**32)


class Index:
    """The header, as the map of the index gives it out."""

    def __init__(self) -> None:
        self.header = bytes(48)

    def __getitem__(self, part: slice) -> bytes:
        return self.header[part]


def decode(body: bytes) -> list[int]:
    return [int(body)]


class Process:
    """One process: its cache, and its way to the ring."""

    def __init__(self, index: Index, buffer: bytearray, *, writes: bool) -> None:
        writer: Any = SimpleNamespace(holder=None)
        self.coherence = SqliteCoherence(None, writer, lambda: True, lambda now: None, Counters(), read_only=not writes)
        self.coherence.mapped = index  # type: ignore[assignment]
        self.coherence._ring = ring.Ring(buffer)
        self.cache = ReadCache(self.coherence, "", 10_000)


class Log(RuleBasedStateMachine):
    """The rules are what may happen; `read` asserts."""

    def __init__(self) -> None:
        super().__init__()
        self.index = Index()
        self.buffer = bytearray(ring.HEADER.ljust(ring.SIZE, b"\0"))
        self.rows = dict.fromkeys(NAMES, 0)
        self.count = 0  # of states so far
        self.number, self.salts, self.checksum = 0, (1, 1), 0
        self.write_header()
        self.running = [Process(self.index, self.buffer, writes=True) for _ in range(3)]
        self.hits = self.misses = 0

    # -- what SQLite does

    def write_header(self) -> None:
        self.index.header = struct.pack("=8xI12xQ", self.number, self.checksum) + struct.pack(">II8x", *self.salts)

    def commit(self, changed: dict[str, int | None]) -> None:
        self.rows = {name: row for name, row in {**self.rows, **changed}.items() if row is not None}
        self.number = (self.number + 1) % 2**32
        self.count += 1
        self.checksum = self.count
        self.write_header()

    def begin_anew(self) -> None:
        self.salts = ((self.salts[0] + 1) % 2**32, self.count + 100)
        self.count += 1

    # -- what is told to a process

    def row(self, name: str, version: int) -> Row:
        return Row(None, "", name, "test", 0, "list", "", b"%d" % version, None, b"", 0, 1, 0.0, 0.0, None)

    def changes(self, wanted: list[str], seed: int) -> tuple[list[str], dict[str, int | None]]:
        """The order in which names are touched, and the rows after that; None: deleted."""
        chance = random.Random(seed)
        after: dict[str, int | None] = {}
        for name in wanted:
            self.count += 1
            after[name] = None if chance.random() < 0.4 else self.count
        return wanted, after

    def write(self, process: Process, wanted: list[str], seed: int) -> tuple[Any, dict[str, int | None]]:
        """A transaction of a process up to its COMMIT."""
        touched: list[tuple[str, str]] = []
        commit = process.coherence.begin(touched)
        assert commit is not None
        order, after = self.changes(wanted, seed)
        for position, name in enumerate(order):
            touched.append(("", name))
            last = after[name] if name not in order[position + 1 :] else -1  # overwritten later
            if last is not None:
                process.cache.learn(commit, (self.row(name, last),), lambda row: decode)
        return commit, after

    @rule(process=processes, wanted=several, seed=seeds, anew=st.booleans())
    def commits(self, process: int, wanted: list[str], seed: int, anew: bool) -> None:
        writer = self.running[process]
        commit, after = self.write(writer, wanted, seed)
        writer.coherence.announce(commit)
        if anew:
            self.begin_anew()
        self.commit(after)
        writer.coherence.end(commit, changed=True)

    @rule(process=processes, name=names, seed=seeds)
    def sets(self, process: int, name: str, seed: int) -> None:
        writer = self.running[process]
        commit = writer.coherence.begin([("", name)])
        assert commit is not None
        writer.coherence.announce(commit)
        self.count += 1
        version = self.count
        self.commit({name: version})
        if writer.coherence.end(commit, changed=True):
            writer.cache.learn(commit, (self.row(name, version),), lambda row: decode)

    @rule(process=processes, wanted=several, seed=seeds)
    def rolls_back(self, process: int, wanted: list[str], seed: int) -> None:
        self.write(self.running[process], wanted, seed)

    @rule(process=processes, wanted=several)
    def changes_nothing(self, process: int, wanted: list[str]) -> None:
        writer = self.running[process]
        commit = writer.coherence.begin([("", name) for name in wanted])
        assert commit is not None
        writer.coherence.announce(commit)
        writer.coherence.end(commit, changed=False)

    @rule(
        process=processes, wanted=several, others=several, when=st.sampled_from(["before", "after", "both", "alone"])
    )
    def commits_beside_another_program(self, process: int, wanted: list[str], others: list[str], when: str) -> None:
        """Its commit comes between the header and ours, or between ours and the next header."""
        writer = self.running[process]
        commit, after = self.write(writer, wanted if when != "alone" else [], 2)
        commit.touched = [("", name) for name in wanted]
        writer.coherence.announce(commit)
        if when in ("before", "both", "alone"):
            self.commit(self.changes(others, 1)[1])
        if when != "alone":
            self.commit(after)
        if when in ("after", "both"):
            self.commit(self.changes(others, 3)[1])
        writer.coherence.end(commit, changed=when != "alone")

    @rule(process=processes, wanted=several, seed=seeds, step=st.sampled_from(["announced", "committed", "torn"]))
    def is_killed(self, process: int, wanted: list[str], seed: int, step: str) -> None:
        writer = self.running[process]
        commit, after = self.write(writer, wanted, seed)
        writer.coherence.announce(commit)
        if step != "announced":
            self.commit(after)
        if step == "torn":
            self.tear(writer, commit, random.Random(seed))
        self.running[process] = Process(self.index, self.buffer, writes=True)

    def tear(self, writer: Process, commit: Any, chance: random.Random) -> None:
        """Only some bytes of the slot were written."""
        before = bytes(self.buffer)
        writer.coherence.end(commit, changed=True)
        changed = [place for place, byte in enumerate(before) if byte != self.buffer[place]]
        first = chance.choice(changed)
        for place in changed:
            if first <= place < first + 8:
                self.buffer[place] = before[place]

    @rule(wanted=several, seed=seeds, anew=st.booleans())
    def another_program_commits(self, wanted: list[str], seed: int, anew: bool) -> None:
        if anew:
            self.begin_anew()
        self.commit(self.changes(wanted, seed)[1])

    @rule()
    def checkpoint_truncates_the_log(self) -> None:
        self.begin_anew()
        self.write_header()

    @rule(steps=st.integers(1, 3))
    def recovery_sets_the_number_back(self, steps: int) -> None:
        self.number = max(0, self.number - steps)
        self.write_header()

    @rule(seed=seeds, length=st.integers(1, 40))
    def somebody_overwrites_a_part_of_the_ring(self, seed: int, length: int) -> None:
        chance = random.Random(seed)
        place = chance.randrange(ring.START, ring.START + FEW * ring.SLOT_BYTES)
        self.buffer[place : place + length] = chance.randbytes(length)
        del self.buffer[ring.SIZE :]

    # -- what a process reads

    @rule(process=processes, name=names, between=st.none() | several, seed=seeds)
    def read(self, process: int, name: str, between: list[str] | None, seed: int) -> None:
        """With a commit between the row and its filing, now and then."""
        cache = self.running[process].cache
        value = cache.value(name, 0.0)
        if value is not MISSING:
            self.hits += 1
            assert value == [self.rows[name]]
            return
        self.misses += 1
        state = cache.begin()
        version = self.rows.get(name)
        if between is not None:
            self.commits(seed % 3, between, seed, anew=False)
            cache.value(NAMES[seed % 5], 0.0)  # in another thread
        if state is not None and version is not None:
            cache.file(state, self.row(name, version), decode, [version])

    @rule(process=processes)
    def read_many(self, process: int) -> None:
        found = self.running[process].cache.values(sorted(self.rows), 0.0)
        assert found is None or found == {name: [version] for name, version in self.rows.items()}

    @rule(process=processes)
    def count_all(self, process: int) -> None:
        cache = self.running[process].cache
        found = cache.count(0.0)
        assert found in (None, len(self.rows))
        state = cache.begin()
        if found is None and state is not None:
            cache.file_count(state, len(self.rows), 0.0, 1.0)

    @invariant()
    def process_0_has_all_it_can(self) -> None:
        """The others may be some commits behind."""
        for name in NAMES:
            self.read(0, name, None, 0)
        self.count_all(0)

    @invariant()
    def sizes_and_marks_agree(self) -> None:
        for process in self.running:
            entries = process.cache._state[2]
            assert entries.names == {entry[4]: name for name, entry in entries.items()}


@pytest.mark.slow
def test_no_cached_read_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "SLOTS", FEW)
    monkeypatch.setattr(readcache, "TRIES", 2)
    run_state_machine_as_test(
        Log,
        settings=settings(
            max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_the_model_has_hits_after_commits_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would assert nothing."""
    log = Log()
    for name in NAMES:
        log.read(0, name, None, 0)
    log.sets(1, NAMES[0], 0)
    log.commits(2, [NAMES[1]], 1, anew=True)
    log.read(0, NAMES[2], None, 0)
    assert (log.hits, log.misses) == (1, 5)
    assert log.running[0].coherence.between(log.index.header, log.index.header) is Gap.LOST
