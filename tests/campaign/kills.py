"""Four processes that write, of which one after the other is killed, and now and then all at once.

Each tells of every operation before and after it (see writers.py). When one is gone, its own records must be as after
all that returned, or as after the one more that was under way: whole or not at all.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from store import Store
from store.errors import StoreError
from store.trust.keys.file import read_key_file
from store.trust.keys.ring import default_key_file

from . import migrations
from .killer import ended, forked
from .trial import Promise, Round
from .writers import KINDS, NOW, SPILL_BYTES, TIMEOUT, Operation, State, Writer, after, token_of

WRITERS = 4
SHARED = {"count": 0, "left": 0, "right": 0, "guarded": 0, "tally": {}}
COUNTED = {"count": "count", "pair": "left", "guarded": "guarded"}  # kind of operation → the number that it raises
MOST_STEPS = 5_000  # an operation takes from 50 to 2,000
MOST_SECONDS = 0.003  # an operation takes less, mostly
STUCK_SECONDS = 60.0
ALL_AT_ONCE = 10  # of so many kills one is of all


@dataclass
class Life:
    """A writer's process, and what it has told."""

    number: int
    pid: int
    pipe: int
    counts_steps: bool
    text: bytes = b""
    pending: Operation | None = None
    acknowledged: int = 0


@dataclass
class Campaign:
    """All the writers of a store, what they told, and what was found."""

    path: Path
    rng: Random
    states: list[State] = field(default_factory=lambda: [{} for _ in range(WRITERS)])
    lives: list[Life] = field(default_factory=list)
    born: int = 0
    kills: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    killed_in: Counter[str] = field(default_factory=Counter)
    keys: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def fork(self, number: int) -> Life:
        """A writer; half of them end by themselves, at a counted step: of the opening, or of what they do then."""
        read, write = os.pipe()
        rng, self.born = Random(self.rng.random()), self.born + 1
        steps = int(MOST_STEPS ** self.rng.random()) if self.rng.random() < 0.5 else 0
        opening = self.rng.random() < 0.2
        first, others = KINDS[self.born % len(KINDS)], [life.pipe for life in self.lives]

        def work(born: int = self.born) -> None:
            for pipe in (read, *others):
                os.close(pipe)
            Writer(self.path, number, born, rng, write).run(first, 0 if opening else steps)

        life = Life(number, forked(work, steps if opening else 0), read, bool(steps))
        os.close(write)
        self.lives.append(life)
        return life

    # -- listening

    def listen(self, life: Life, acknowledged: int) -> list[Life]:
        """Until that writer has so many operations behind it, or some have ended: those."""
        deadline = time.monotonic() + STUCK_SECONDS
        gone: list[Life] = []
        while life.acknowledged < acknowledged and not gone:
            ready = select.select([one.pipe for one in self.lives], [], [], max(0.0, deadline - time.monotonic()))[0]
            if not ready:
                self.failures.append(f"writer {life.number} is stuck in {life.pending}")
                os.kill(life.pid, signal.SIGKILL)
                deadline += STUCK_SECONDS
            gone = [one for one in self.lives if one.pipe in ready and not self.hear(one)]
        return gone

    def hear(self, life: Life) -> bool:
        """What a writer told; False: it has ended."""
        found = os.read(life.pipe, 65536)
        *lines, life.text = (life.text + found).split(b"\n")
        for line in lines:
            told = json.loads(line[1:])
            if line.startswith(b">"):
                life.pending = told
                continue
            assert life.pending is not None
            self.states[life.number] = after(self.states[life.number], life.pending)
            self.operations[life.pending["kind"]] += 1
            self.keys |= {id_: what for what, id_ in (told or {}).items()}
            life.pending, life.acknowledged = None, life.acknowledged + 1
        return bool(found)

    # -- killing

    def kill(self) -> None:
        """The end of one writer, or of all; then what is left is looked at, and others take their places."""
        victim = self.rng.choice(self.lives)
        all_at_once = self.kills % ALL_AT_ONCE == ALL_AT_ONCE - 1
        goal = victim.acknowledged + (1000 if victim.counts_steps and not all_at_once else self.rng.randrange(25))
        gone = self.listen(victim, goal)
        if all_at_once or not gone:
            gone = list(self.lives) if all_at_once else [victim]
            time.sleep(self.rng.random() * MOST_SECONDS)  # else it would always be killed soon after it told
            for life in gone:
                os.kill(life.pid, signal.SIGKILL)
        for life in gone:
            while self.hear(life):
                pass
            self.bury(life)
        if not self.lives:
            self.look_closely()
        for life in gone:
            self.fork(life.number)
        if not all_at_once:
            self.go_on(gone)

    def bury(self, life: Life) -> None:
        self.lives.remove(life)
        os.close(life.pipe)
        code = ended(life.pid)
        self.kills += 1
        kind = life.pending["kind"] if life.pending else "between"
        self.killed_in[kind] += 1
        if code != -signal.SIGKILL:
            self.failures.append(f"writer {life.number} ended with {code} in {life.pending}")
        try:
            wrong = self.look_at(life)
        except (StoreError, sqlite3.Error, ValueError, KeyError) as exc:
            wrong = [repr(exc)]
        self.failures += [f"kill {self.kills}, of writer {life.number} in {life.pending or 'nothing'}: {one}" for one in wrong]

    def go_on(self, gone: list[Life]) -> None:
        """Somebody who was not killed gets something done."""
        others = [life for life in self.lives if life.number not in {one.number for one in gone}]
        if others:
            other = self.rng.choice(others)
            self.listen(other, other.acknowledged + 1)  # one that ends on the way is met by the next kill

    # -- looking

    def open(self, **options: Any) -> Store[Any]:
        return Store(self.path, spill_bytes=SPILL_BYTES, trust="own", timeout=TIMEOUT, clock=lambda: NOW, **options)

    def look_at(self, life: Life) -> list[str]:
        """What is wrong with the records of a writer that is gone; the others write on."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as conn:
            wrong = [] if conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)] else ["integrity_check"]
        with self.open(mode="r") as s:
            found = self.found(s, life.number)
            pair = s.get_many(["left", "right"])
        if pair["left"] != pair["right"]:
            wrong.append(f"half a transaction: {pair}")
        before = {place: token for place, token in self.states[life.number].items() if not is_file(place)}
        possible = [before] + ([after(before, life.pending)] if life.pending else [])
        possible = [{place: token for place, token in state.items() if not is_file(place)} for state in possible]
        if found not in possible and not (life.pending and life.pending["kind"] == "purge" and is_purged(found, before)):
            wrong.append(f"found {found}, and not one of {possible}")
        wrong += self.look_at_files(life)
        held = {key.id.hex(): key.retired for key in read_key_file(default_key_file())}
        wrong += [f"key {id_} was {what}" for id_, what in self.keys.items() if held.get(id_, "") not in (what == "retired", True)]
        self.states[life.number] = found
        return wrong

    def found(self, s: Store[Any], number: int) -> State:
        own = s.get_many(s.names(f"{number}/"))
        found: State = {name: token_of(value) for name, value in own.items()}
        with s.within(f"passing {number}") as passing:
            found |= {f"passing {name}": token_of(value) for name, value in passing.items()}
        tally = s["tally"].get(number)
        return found if tally is None else {**found, "tally": tally}

    def look_at_files(self, life: Life) -> list[str]:
        """The stores that it made, and the one that it was making."""
        made = {place: True for place in self.states[life.number] if is_file(place)}
        if life.pending and life.pending["kind"] in ("create", "migrate"):
            made[f"{life.pending['kind']} {life.pending['file']}"] = False
        wrong = []
        for place, is_whole in made.items():
            kind, _, file = place.partition(" ")
            path = self.path.with_name(file)
            if is_whole or path.exists():
                wrong += [f"{place}: {one}" for one in (look_at_made if kind == "create" else look_at_migrated)(path, is_whole)]
            migrations.clear(path)
        return wrong

    def look_closely(self) -> None:
        """At everything, while nobody writes."""
        with self.open() as s:
            verified = s.verify()
            if not verified.ok:
                self.failures.append(f"after {self.kills} kills: {verified}")
            s.compact()
            if (left := s.verify().orphans) != []:
                self.failures.append(f"after {self.kills} kills compact() left {left}")

    def end(self) -> None:
        """All are killed, and what all of them counted is compared with what they told."""
        for life in list(self.lives):
            os.kill(life.pid, signal.SIGKILL)
            while self.hear(life):
                pass
            self.bury(life)
        self.look_closely()
        with self.open() as s:
            for kind, name in COUNTED.items():
                least = self.operations[kind]
                if not least <= s[name] <= least + self.killed_in[kind]:
                    self.failures.append(f"{name} is {s[name]}, after {least} that returned and {self.killed_in[kind]} killed")


def is_file(place: str) -> bool:
    return place.startswith(("create ", "migrate "))


def is_purged(found: State, before: State) -> bool:
    """Whether only records that had expired are gone: they go in batches."""
    gone = before.keys() - found.keys()
    return all(place.startswith("passing ") for place in gone) and found.items() <= before.items()


def look_at_made(path: Path, is_whole: bool) -> list[str]:
    with Store[Any](path, trust="own", timeout=TIMEOUT) as s:
        value = s.get("a")
        if value is None:
            return ["the value is lost"] if is_whole else []
        token_of(value)
        return []


def look_at_migrated(path: Path, is_whole: bool) -> list[str]:
    """A copy that was cut off has no rows to compare; one that is there whole is completed."""
    if not is_whole and path.stat().st_size < (migrations.OLD / migrations.FILES[0]).stat().st_size:
        return []
    migrations.opened(path)
    return migrations.problems(path, migrations.rows_of(migrations.OLD / migrations.FILES[0]))


def kill_writers(rng: Random, folder: Path, kills: int) -> Campaign:
    """At least so many kills of writers on one store."""
    migrations.warm_up(folder)
    campaign = Campaign(folder / "killed.db", rng)
    with campaign.open() as s:
        s.update(SHARED)
        s["warm"] = {"up": bytes(2 * SPILL_BYTES)}
        s.compact()
    try:
        for number in range(WRITERS):
            campaign.fork(number)
        while campaign.kills < kills:
            campaign.kill()
        campaign.end()
    finally:
        for life in campaign.lives:
            os.kill(life.pid, signal.SIGKILL)
            ended(life.pid)
            os.close(life.pipe)
    return campaign


def _run(rng: Random, folder: Path) -> Round:
    done = kill_writers(rng, folder, 60)
    return Round(done.kills, done.failures)


KILLS = Promise(
    key="kills",
    promise="No acknowledged write is lost, and none is half done, when processes are killed (SIGKILL) at any moment.",
    how=(
        "Four processes write to one store (sets, deletes, edit, modify, transactions, updates, values in files, "
        "expiry, compact, new stores, migrations, new keys) and log each operation before and after it; one of them, "
        "now and then all, is killed at a random time or counted step, the others go on. A failure: an acknowledged "
        "write that is not there, a value or transaction that is half there, a file that is damaged or missing, an "
        "orphan that compact() leaves, a process that is stuck."
    ),
    unit="kills",
    run=_run,
)
