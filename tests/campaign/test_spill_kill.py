"""SIGKILL while large values are written: a file that no row names is all that is left, never a row without its file."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from spilling import files, folder_of, small_spill

from .killer import ended, forked


def write(path: Path) -> None:
    with small_spill(path) as s:
        s["warm"] = b"up" * 1000
        s["it"] = b"new" * 1000
        with s.transaction():
            s["more"] = b"more" * 1000
            del s["it"]
            s["it"] = b"newer" * 1000
        s.compact()


STATES: list[dict[str, Any]] = [
    {"it": b"old" * 1000},
    {"it": b"new" * 1000},
    {"it": b"newer" * 1000, "more": b"more" * 1000},
]


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


@pytest.mark.heavy
@pytest.mark.parametrize("part", range(2))
def test_killed_at_some_moments(path: Path, part: int) -> None:
    """A few, spread over the whole; `heavy` has more of them."""
    at_moments(path, 1 + part * 150, 400)


@pytest.mark.heavy
def test_killed_at_many_moments(path: Path) -> None:
    at_moments(path, 1, 43)


def at_moments(path: Path, first: int, step: int) -> None:
    write(path)  # imports what the children need
    for moment in itertools.count(first, step):
        with small_spill(path) as s:
            s.clear()
            s["it"] = b"old" * 1000
        code = ended(forked(lambda: write(path), moment))
        check_after(path)
        if code == 0:
            assert moment > 1000
            return
        assert code == -signal.SIGKILL


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
