"""Care of a file that is in use: writers, compact() and purges in several processes, and nothing that lives is lost."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import traceback
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from store import Store
from store.engines.sqlite.care import compact as sqlite_compact

from .trial import Promise, Round

TIMEOUT_SECONDS = 60
WRITERS = 3
WRITES = 250  # of each writer in a round
NOW = 1_800_000_000.0
LATER = NOW + 1e6


def care(rng: Random, folder: Path, *, rounds: int = 2, writes: int = WRITES) -> Round:
    """Writers, one process that compacts and one that purges; then everything that was acknowledged is there."""
    found = Round()
    for number in range(rounds):
        path = folder / f"care{number}.db"
        seeds = [rng.getrandbits(32) for _ in range(WRITERS)]
        jobs = [partial(write, path, name, seed, writes) for name, seed in enumerate(seeds)]
        with Store[Any](path, spill_bytes=2000) as s:
            s["first"] = 1
        ended = in_processes([*jobs, partial(compact_often, path), partial(purge_often, path)])
        problems = [text for text in ended if text] or problems_of(path, len(seeds))
        found.failures += [f"seeds {seeds}, {writes} writes each: {problem}" for problem in problems]
        found.trials += WRITERS * writes
    return found


def write(path: Path, name: int, seed: int, writes: int) -> None:
    """One writer: what it holds in the end is in a file beside the store."""
    rng = Random(seed)
    held: dict[str, str] = {}
    passed = NOW
    with Store[Any](path, spill_bytes=2000, clock=lambda: passed) as s:
        for number in range(writes):
            passed += 1
            key = f"w{name}-{rng.randrange(60)}"
            what = rng.random()
            if what < 0.2 and held:
                key = rng.choice(sorted(held))
                del s[key]
                del held[key]
            elif what < 0.5:
                s.put(f"session{name}-{number}", number, ttl=rng.randrange(1, 30))
            else:
                held[key] = f"{number}" * rng.choice((1, 100, 3000))
                s[key] = held[key]
    path.with_name(f"{path.name}.held{name}").write_text(json.dumps(held))


def compact_often(path: Path) -> None:
    """In steps of a few pages and files, so that there are many."""
    sqlite_compact.STEP_PAGES, sqlite_compact.STEP_FILES = 5, 3
    with Store[Any](path) as s:
        for _ in range(15):
            s.compact()


def purge_often(path: Path) -> None:
    """By a clock that is a little ahead of everybody's."""
    with Store[Any](path, clock=lambda: NOW + WRITES + 60) as s:
        for _ in range(30):
            s.purge()


def in_processes(jobs: list[Callable[[], None]]) -> list[str]:
    """What went wrong in each of some forked processes, empty where nothing did; none outlives its time."""
    children: list[tuple[int, int]] = []
    for job in jobs:
        read, written = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(TIMEOUT_SECONDS)
            try:
                job()
            except BaseException:
                os.write(written, traceback.format_exc()[-2000:].encode())
            os._exit(0)
        os.close(written)
        children.append((child, read))
    ended = []
    for child, read in children:
        with open(read, "rb") as pipe:
            text = pipe.read().decode()
        _, status = os.waitpid(child, 0)
        ended.append(text or (f"a process ended with status {status}" if status else ""))
    return ended


def problems_of(path: Path, writers: int) -> list[str]:
    """What is not as it should be, once all have ended."""
    expected: dict[str, Any] = {"first": 1}
    for name in range(writers):
        expected |= json.loads(path.with_name(f"{path.name}.held{name}").read_text())
    problems = []
    with Store[Any](path, spill_bytes=2000, clock=lambda: LATER) as s:
        found = s.verify()
        if not found.ok:
            problems.append(f"verify: {found}")
        held = dict(s)
        if held != expected:
            wrong = [key for key in {*held, *expected} if held.get(key) != expected.get(key)]
            problems.append(f"{len(wrong)} records are not what was acknowledged: {sorted(wrong)[:5]}")
        s.purge()
        s.compact()
        if (found := s.verify()).orphans or not found.ok:
            problems.append(f"after purge and compact: {found}")
        kept = {part.partition('"')[2].partition('"')[0] for (part,) in _rows(path, "SELECT spill FROM records WHERE spill IS NOT NULL")}
        files = set(os.listdir(f"{path}-spill")) if os.path.isdir(f"{path}-spill") else set()
        if kept != files:
            problems.append(f"{len(files - kept)} files are left over, {len(kept - files)} are missing")
        if (rows := _rows(path, "SELECT count(*) FROM records")[0][0]) != len(expected):
            problems.append(f"{rows} rows are left, and {len(expected)} records live")
        if (pages := _rows(path, "PRAGMA freelist_count")[0][0]) != 0:
            problems.append(f"{pages} free pages are left after compact")
    return problems


def _rows(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
        return conn.execute(statement).fetchall()


CARE = Promise(
    "care",
    "A store may be compacted and purged while programs write to it: no live record is lost, what has expired goes, "
    "and the space comes back.",
    "Three processes set, delete and let expire, small values and large ones, while one compacts in steps of five "
    "pages and one purges. A failure is an acknowledged record that is not there or another one, damage, or rows, "
    "files and pages that are left over.",
    "writes",
    care,
)
