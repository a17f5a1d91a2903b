"""`compact` in bounded steps: counted in turns of the writer's lock, never in time."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.engines.sqlite.care import compact as sqlite_compact
from store.engines.sqlite.care.compact import STEP_FILES, STEP_PAGES

LARGE = b"x" * 4000


def free_pages(path: Path) -> int:
    with closing(sqlite3.connect(path)) as conn:
        return int(conn.execute("PRAGMA freelist_count").fetchone()[0])


def with_free_pages(path: Path, pages: int) -> None:
    with Store[Any](path) as s:
        s["kept"] = 1
        s.update({f"n{number}": LARGE for number in range(pages)})
        for number in range(pages):
            del s[f"n{number}"]


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_compact, "STEP_PAGES", 50)
    monkeypatch.setattr(sqlite_compact, "STEP_FILES", 5)


def turns_of(s: Store[Any], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets the number of free pages at the end of each turn."""
    engine = s.opened.engine.handle.engine
    give, turns = engine.writer.give, list[int]()

    def counting(hold: Any) -> None:
        give(hold)
        turns.append(free_pages(Path(engine.path)))

    monkeypatch.setattr(engine.writer, "give", counting)
    return turns


def test_free_pages_go_so_many_in_a_turn(path, small_steps, monkeypatch):
    with_free_pages(path, 400)
    before, size = free_pages(path), path.stat().st_size
    assert before > 300
    with Store[Any](path) as s:
        turns = turns_of(s, monkeypatch)
        freed = s.compact()
        assert s["kept"] == 1
    assert free_pages(path) == 0
    steps = [one - other for one, other in zip([before, *turns], turns, strict=False)]
    assert max(steps) <= 50 and len([step for step in steps if step]) >= before // 50
    assert freed.database_bytes >= before * 4096 * 9 // 10 and path.stat().st_size <= size - before * 4096 * 9 // 10


def test_each_turn_ends_with_its_checkpoint(path, small_steps, monkeypatch):
    """Else the log would grow with each, and the last one would keep everybody out for as long as all."""
    with_free_pages(path, 400)
    with Store[Any](path) as s:
        engine = s.opened.engine.handle.engine
        vacuum, logs = sqlite_compact._vacuum_step, []
        monkeypatch.setattr(
            sqlite_compact, "_vacuum_step", lambda *args: (vacuum(*args), logs.append(engine.checkpoints.log_bytes()))
        )
        s.compact()
    assert len(logs) > 5 and set(logs) == {0}


WRITER = """
import sys
from store import Store
with Store(sys.argv[1]) as s:
    print(flush=True)
    for line in sys.stdin:
        s["other"] = int(line)
        print(flush=True)
"""


@pytest.mark.heavy
def test_another_process_writes_between_any_two_steps(path, small_steps):
    with_free_pages(path, 400)
    seen: list[tuple[int, int]] = []
    with (
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other,
        Store[Any](path) as s,
    ):
        assert other.stdin is not None and other.stdout is not None

        def let_it_write(done: int, total: int) -> None:
            seen.append((done, total))
            other.stdin.write(f"{len(seen)}\n")
            other.stdin.flush()
            other.stdout.readline()  # it has written; it would wait for a minute if we kept the lock
            assert s["other"] == len(seen)

        try:
            other.stdout.readline()
            s.compact(progress=let_it_write)
        finally:
            other.stdin.close()
    assert other.returncode == 0
    assert len(seen) > 6 and free_pages(path) < 50
    assert s.location


def test_progress_comes_to_its_end(path, small_steps):
    with_free_pages(path, 200)
    seen: list[tuple[int, int]] = []
    with Store[Any](path) as s:
        s.compact(progress=lambda done, total: seen.append((done, total)))
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1][0] == seen[-1][1] and all(done <= total for done, total in seen)
        seen.clear()
        s.compact(progress=lambda done, total: seen.append((done, total)))
        assert seen[-1][0] == seen[-1][1]


def test_files_go_so_many_in_a_turn(path, small_steps, monkeypatch):
    with Store[Any](path, spill_bytes=100) as s:
        s.update({f"n{number}": os.urandom(200) for number in range(22)})
        s.clear()
        folder = Path(f"{path}-spill")
        for number in range(7):
            (folder / f"{'0' * 32}-{number:032}").write_bytes(b"x")
        engine = s.opened.engine.handle.engine
        give, left = engine.writer.give, [len(list(folder.iterdir()))]

        def counting(hold: Any) -> None:
            give(hold)
            left.append(len(list(folder.iterdir())))

        monkeypatch.setattr(engine.writer, "give", counting)
        freed = s.compact()
        assert (freed.files, freed.orphans, freed.files_left) == (22, 7, 0)
        assert max(one - other for one, other in pairwise(left)) <= 5
        assert left[-1] == 0


def test_steps_are_small_enough_to_wait_for():
    assert STEP_PAGES * 4096 <= 8 * 1024 * 1024 and STEP_FILES <= 1000
