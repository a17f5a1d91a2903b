"""What the logs of a cache's processes say there must be, and what is wrong with the cache in the end."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from store.cache import Cache
from store.cache.eviction import BATCH
from store.rows.spilled import size_of

from .cache_worker import COMPUTED, HOT, Change, Setting, value_of

NEWEST = 4  # LRU and LRW take the worst of 16: one of the newest quarter once in 4**16
READS = ("get", "look", "delete", "evict")  # operations that evict nothing by the policy
HOT_SHARE, HOT_FEW = 0.02, 3  # of reads of hot names may miss: a process that waits for a processor uses nothing


@dataclass
class Life:
    """What one process told. `pending` is what it was in when it was killed."""

    state: Change = field(default_factory=dict)
    pending: dict[str, Any] | None = None
    inserted: dict[str, tuple[float, float]] = field(default_factory=dict)  # name → when that began and ended
    written: dict[str, float] = field(default_factory=dict)  # name → when its last write began
    changed: set[str] = field(default_factory=set)  # names that were written or touched again
    gone: list[tuple[str, float]] = field(default_factory=list)  # names that were found to be missing, and when
    uses: list[tuple[float, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("hits", "misses", "inserts", "deletes"), 0))
    hot: list[int] = field(default_factory=lambda: [0, 0])  # reads of hot names, and those that missed
    failures: list[str] = field(default_factory=list)
    operations: int = 0

    def hear(self, told: dict[str, Any]) -> None:
        """One line of the log."""
        if "failure" in told:
            self.failures.append(told["failure"])
        elif "kind" in told:
            self.pending = told
        else:
            assert self.pending is not None
            self._done(self.pending, told)
            self.pending, self.operations = None, self.operations + 1

    def _done(self, begun: dict[str, Any], told: dict[str, Any]) -> None:
        for what in self.counts:
            self.counts[what] += told.get(what, 0)
        if begun["kind"] == "hot":
            self.hot = [self.hot[0] + 1, self.hot[1] + told["misses"]]
        for name in told.get("gone", []):
            self.gone.append((name, told["at"]))
            self.state.pop(name, None)
        self.changed.update(told.get("touched", []))
        change: Change = told.get("change", begun["change"]) if told.get("ok") else {}
        for name, state in change.items():
            if self.state.pop(name, None) is not None:
                self.changed.add(name)
            if state is not None:
                self.state[name] = state
                self.inserted.setdefault(name, (begun["at"], told["at"]))
                self.written[name] = begun["at"]
        self.uses += [(told["at"], name) for name in (*told.get("used", []), *told.get("touched", []), *change)]


def read_log(file: Path) -> Life:
    """What a process told; the last line of one that was killed may be cut off."""
    life = Life()
    for line in file.read_bytes().split(b"\n")[:-1]:
        life.hear(json.loads(line))
    return life


@dataclass
class Checks:
    """What is wrong with a cache after all of its processes have ended."""

    setting: Setting
    path: Path
    lives: list[Life]

    def run(self, cache: Cache[Any]) -> Iterator[str]:
        """Each is a failure. Reads the figures first, which it changes itself later; the clock of the cache stands still."""
        stats, names = cache.stats(), list(cache)
        if self.setting.evicts and not stats.evictions:
            yield "nothing was shown: nothing was evicted"
        for life in self.lives:
            yield from life.failures
        if broken := self.setting.broken(stats.records, stats.bytes):
            yield f"in the end {broken}"
        if stats.records != len(names):
            yield f"stats() says {stats.records} records, and there are {len(names)}"
        yield from self._bytes(stats.bytes)
        yield from self._figures(stats.hits, stats.misses, stats.evictions, len(names))
        found = {name: [cache.store[name], cache.tag_of(name)] for name in cache}
        yield from self._records(found)
        yield from self._policy(found)
        yield from self._tags(cache, found)
        verified = cache.store.verify()
        if not verified.ok:
            yield f"verify: {verified}"

    # -- sizes and figures

    def _bytes(self, told: int) -> Iterator[str]:
        """The bytes against the pages in use, and the sizes that the rows have for their files."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as conn:
            (pages,), (free,), (size,) = (conn.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "freelist_count", "page_size"))
            spilled = sum(size_of(text) for (text,) in conn.execute("SELECT spill FROM records WHERE spill IS NOT NULL"))
            if (problem := conn.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                yield f"integrity_check: {problem}"
        if told != (pages - free) * size + spilled:
            yield f"stats() says {told} bytes, and {pages - free} pages of {size} are in use beside {spilled} bytes in files"

    def _figures(self, hits: int, misses: int, evictions: int, living: int) -> Iterator[str]:
        counts = {what: sum(life.counts[what] for life in self.lives) for what in ("hits", "misses", "inserts", "deletes")}
        killed = [life.pending for life in self.lives if life.pending is not None]
        for what, told in (("hits", hits), ("misses", misses)):
            if not counts[what] <= told <= counts[what] + len(killed):
                yield f"stats() says {told} {what}, and the processes had {counts[what]} before {len(killed)} were killed"
        if any("-x" in name for life in self.lives for name in life.inserted):
            least = most = 0  # what has expired counts as no eviction
        else:
            most = counts["inserts"] - counts["deletes"] - living
            least = most - sum(_deletions(each) + BATCH * (each["kind"] not in READS) for each in killed)
            most += sum(_insertions(each) for each in killed)
        if not self.setting.evicts:
            least = most = 0
        if not least <= evictions <= most:
            yield f"stats() says {evictions} evictions, and {least} to {most} records went"

    # -- records and tags

    def _records(self, found: dict[str, list[Any]]) -> Iterator[str]:
        of_all = {*HOT, *(f"computed {number}" for number in range(COMPUTED))}
        possible = [self._possible(life) for life in self.lives]
        known = {name for states in possible for state in states for name in state}
        if unknown := [name for name in found if name not in known and name not in of_all]:
            yield f"records that nobody has left there: {unknown[:5]}"
        yield from (f"{name} is {found[name]}" for name in of_all & {*found} if found[name][0] != name)
        for life, states in zip(self.lives, possible, strict=True):
            wrong = [self._wrong(state, found, {*life.inserted} | {*states[-1]}) for state in states]
            if all(wrong):
                yield f"process in {life.pending or 'nothing'}: {wrong[0]}"

    def _possible(self, life: Life) -> list[Change]:
        """The records before the operation that it was in, and after it."""
        states = [life.state]
        if life.pending is not None and life.pending["change"]:
            states.append({name: state for name, state in {**life.state, **life.pending["change"]}.items() if state is not None})
        if life.pending is not None and life.pending["kind"] == "incr" and self.setting.evicts:
            states += [{**life.state, name: ["count", 1, None]} for name in life.pending["change"]]
        return states

    def _wrong(self, state: Change, found: dict[str, list[Any]], own: set[str]) -> str:
        """The first difference; records may be missing where the policy chooses, or where they expire."""
        for name in own | {*state}:
            wanted = state.get(name)
            if name not in found:
                if wanted is not None and not self.setting.evicts and "-x" not in name:
                    return f"{name} is gone, and was {wanted}"
            elif wanted is None:
                return f"{name} is {found[name][0]!r:.40}, and was deleted"
            elif found[name] != [value_of(name, wanted), wanted[2]]:
                return f"{name} is {found[name][0]!r:.40} with tag {found[name][1]}, and was {wanted}"
        return ""

    def _tags(self, cache: Cache[Any], found: dict[str, list[Any]]) -> Iterator[str]:
        """`evict` deletes exactly the records of each tag."""
        left = {*found}
        for tag in sorted({tag for _, tag in found.values() if tag is not None}):
            wanted = {name for name in left if found[name][1] == tag}
            deleted, now = cache.evict(tag), {*cache}
            if left - now != wanted or deleted != len(wanted):
                there, others = len(wanted & now), len(left - now - wanted)
                yield f"evict({tag!r}) said {deleted}; of {len(wanted)} records with that tag {there} are there, {others} others are gone"
            left = now

    # -- what the policy chose

    def _policy(self, found: dict[str, list[Any]]) -> Iterator[str]:
        if not self.setting.evicts:
            yield from (f"{name} was gone, which nobody deleted" for life in self.lives for name, _ in life.gone)
        if self.setting.policy in ("lru", "lfu"):
            reads, missed = (sum(life.hot[place] for life in self.lives) for place in (0, 1))
            if missed > HOT_FEW + reads * HOT_SHARE:
                yield f"{missed} of {reads} reads of hot names missed, although those are used most"
        if self.setting.policy in ("lru", "lrw"):
            yield from self._newest_gone(len(found))
        if self.setting.policy == "fifo":
            yield from self._later_gone(found)

    def _newest_gone(self, living: int) -> Iterator[str]:
        """Records that went although most of the others had been used, or written, longer ago."""
        uses = sorted(use for life in self.lives for use in life.uses)
        times = [at for at, _ in uses]
        for life in self.lives:
            for name, missed in life.gone:
                began = life.written.get(name, 0.0)
                newer = {used for _, used in uses[bisect_right(times, began) : bisect_right(times, missed)]}
                if len(newer) < living // NEWEST:
                    yield f"{name} went, and only {len(newer)} of some {living} records were used since it was written"

    def _later_gone(self, found: dict[str, list[Any]]) -> Iterator[str]:
        """Records that went although others lived that were inserted before them, and not changed since."""
        unchanged = [
            (ended, name) for life in self.lives for name, (_, ended) in life.inserted.items()
            if name in found and name not in life.changed
        ]  # fmt: skip
        oldest, name_of_oldest = min(unchanged, default=(float("inf"), ""))
        for life in self.lives:
            unsure = life.pending["change"] if life.pending is not None else {}
            for name in (*(name for name, _ in life.gone), *(name for name in life.state if name not in found)):
                if name not in unsure and name in life.inserted and name not in life.changed and life.inserted[name][0] > oldest:
                    yield f"{name} went before {name_of_oldest}, which had been inserted before it"


def _insertions(pending: dict[str, Any]) -> int:
    """How many records an operation that was not ended may have inserted."""
    return sum(state is not None for state in pending["change"].values()) + (pending["kind"] in ("hot", "compute"))


def _deletions(pending: dict[str, Any]) -> int:
    return sum(state is None for state in pending["change"].values())
