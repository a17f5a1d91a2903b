"""CI's share of the histories of processes on one PostgreSQL server; the checker is tested in `test_histories.py`."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from .histories import play_at

HISTORIES = 40


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("processes", [4, 8])
def test_recorded_histories_are_linearizable(postgres_url: str, tmp_path: Path, processes: int) -> None:
    found = play_at(postgres_url, Random(5 + processes), tmp_path, HISTORIES, processes=processes)
    assert found.failures == []
    assert found.trials == HISTORIES
