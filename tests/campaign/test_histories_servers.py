"""CI's share of the histories of processes on one server, of each engine; the checker is tested in `test_histories.py`."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from store import Store
from store.errors import StorageError

from .histories import play_at

HISTORIES = 40


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("processes", [4, 8])
def test_recorded_histories_are_linearizable(place: str, tmp_path: Path, processes: int) -> None:
    found = play_at(
        place, Random(5 + processes), tmp_path, HISTORIES,
        processes=processes, durabilities=durabilities(place), after_death=lambda: end_leases(place),
    )  # fmt: skip
    assert found.failures == []
    assert found.trials == HISTORIES


def durabilities(place: str) -> list[str]:
    """Those that the server of the tests can have."""
    try:
        Store(place, durability="full").close()
    except StorageError:
        return ["normal"]
    return ["normal", "full"]


def end_leases(place: str) -> None:
    """Those of a process that was killed end by themselves after half a minute, for which a history does not wait.

    Others may lose theirs too: the commit compares what they have read.
    """
    if place.startswith("redis:"):
        with Store[Any](place) as s:
            server = s.opened.engine.handle.server
            server.command(server.keys("").leases, "DEL", server.keys("").leases)
