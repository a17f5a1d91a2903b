"""SIGKILL while large values are written: a file that no row names is all that is left, never a row without its file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from spilling import files, folder_of, small_spill

TIMEOUT = 60.0  # seconds

WRITER = """
    import os, signal, sys
    from store import Store

    path, moment = sys.argv[1], int(sys.argv[2])
    calls = 0

    def killer(frame, event, arg):
        # At the n-th step of the code that writes files and rows.
        global calls
        if event in ("call", "c_return") and frame.f_globals.get("__name__", "").startswith(
            ("store.backends", "store.large", "store.spilled")
        ):
            calls += 1
            if calls == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    with Store(path, spill_bytes=1000) as s:
        s["warm"] = b"up" * 1000
        sys.setprofile(killer)
        s["it"] = b"new" * 1000
        with s.transaction():
            s["more"] = b"more" * 1000
            del s["it"]
            s["it"] = b"newer" * 1000
        s.compact()
        sys.setprofile(None)
    print(calls)
"""

STATES: list[dict[str, Any]] = [
    {"it": b"old" * 1000},
    {"it": b"new" * 1000},
    {"it": b"newer" * 1000, "more": b"more" * 1000},
]


def written_until(path: Path, moment: int) -> str:
    """What the writer says before its end; nothing where it was killed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path), str(moment)],
        stdout=subprocess.PIPE, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    return done.stdout


def check_after(path: Path) -> None:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with small_spill(path, timeout=30) as s:
        found = dict(s)
        found.pop("warm", None)
        assert found in STATES
        verified = s.verify()
        assert verified.ok and verified.files == []
        s.compact()
        assert s.verify().orphans == []
        assert len(files(path)) == len(s)
        assert {k: v for k, v in s.items() if k != "warm"} == found


@pytest.mark.parametrize("part", range(2))
def test_killed_at_some_moments(path: Path, part: int) -> None:
    """A few, spread over the whole; `heavy` has more of them."""
    at_moments(path, 4, part)


@pytest.mark.heavy
def test_killed_at_many_moments(path: Path) -> None:
    at_moments(path, 60, 0)


def at_moments(path: Path, count: int, offset: int) -> None:
    with small_spill(path) as s:
        s["it"] = b"old" * 1000
    total = int(written_until(path.with_name("whole.db"), 0))
    assert total > 300
    step = total // count
    for moment in range(1 + offset * step // 2, total, step):
        with small_spill(path) as s:
            s.clear()
            s["it"] = b"old" * 1000
        written_until(path, moment)
        check_after(path)


@pytest.mark.damaged
def test_power_cut_before_the_commit_was_synced_keeps_the_file_of_the_row_before(path: Path, tmp_path: Path) -> None:
    """The log is lost, as a power cut may have it with durability="normal"; the folder is as it was left."""
    with small_spill(path) as s:
        s["it"] = b"old" * 1000
        s.compact()
        kept = path.read_bytes()
        s["it"] = b"new" * 1000
        assert len(files(path)) == 2
        cut = tmp_path / "cut.db"
        cut.write_bytes(kept)
        os.rename(folder_of(path), folder_of(cut))
    with small_spill(cut) as s:
        assert s["it"] == b"old" * 1000
        assert s.verify().ok and len(s.verify().orphans) == 1
