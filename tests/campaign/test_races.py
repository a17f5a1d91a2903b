"""CI's share of the races: see `races`."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random

import pytest

from . import races

pytestmark = [pytest.mark.heavy, pytest.mark.orphans, pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")]


@pytest.mark.parametrize("foreign", [None, 0, 20])
def test_writers_beside_checkpoints(tmp_path: Path, foreign: int | None) -> None:
    """A foreign program that makes checkpoints of its own can corrupt a database by SQLite's own bug before 3.51.3.

    No test has seen that yet: it takes a checkpoint, a commit and a reset of the log in the same instant.
    """
    done = races.reset_race(Random(foreign), tmp_path, writers=4, writes=60, foreign=foreign)
    assert done.failures == [], f"SQLite {sqlite3.sqlite_version}"
    assert done.trials == 4 * 60 * 3 + (0 if foreign is None else 60)


def test_network_mode_with_eight_processes_of_which_some_are_killed(tmp_path: Path) -> None:
    done = races.network_round(Random(1), tmp_path, processes=8, steps=60, kills=4)
    assert done.failures == []
    assert done.trials > 100
