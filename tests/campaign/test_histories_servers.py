"""CI's share of the histories of processes on one server, of each engine; the checker is tested in `test_histories.py`."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from store import Store
from store.engines.leases import Leases
from store.errors import StorageError

from .histories import play_at

HISTORIES = 40
LEASE_SECONDS = 2.0


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("processes", [4, 8])
def test_recorded_histories_are_linearizable(
    place: str, tmp_path: Path, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The lease of a process that was killed ends by itself, for which a history waits; also in the processes forked here.
    monkeypatch.setattr(Leases.__init__, "__defaults__", (LEASE_SECONDS,))
    found = play_at(
        place, Random(5 + processes), tmp_path, HISTORIES, processes=processes, durabilities=durabilities(place)
    )
    assert found.failures == []
    assert found.trials == HISTORIES


def durabilities(place: str) -> list[str]:
    """Those that the server of the tests can have."""
    try:
        Store(place, durability="full").close()
    except StorageError:
        return ["normal"]
    return ["normal", "full"]

