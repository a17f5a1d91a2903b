"""The primary is killed under load, with and without WAIT."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from .redis_failover import Alone, Group, Nodes, kill_primaries

HEAVY = [pytest.mark.heavy, pytest.mark.timeout(300)]
HUGE = [pytest.mark.huge, pytest.mark.timeout(1800)]


@pytest.mark.parametrize(("kind", "kills", "durability"), [
    pytest.param(Alone, 3, "full", marks=HEAVY),
    pytest.param(Group, 3, "full", marks=HEAVY),
    pytest.param(Group, 3, "normal", marks=HEAVY),
    pytest.param(Nodes, 1, "full", marks=HEAVY),  # a cluster needs some seconds to notice
    *(
        pytest.param(kind, 20, durability, marks=HUGE)
        for kind in (Alone, Group, Nodes) for durability in ("full", "normal")
    ),
])  # fmt: skip
def test_primary_is_killed_under_load(
    request: pytest.FixtureRequest, tmp_path: Path, kind: type[Alone | Group | Nodes], kills: int, durability: str
) -> None:
    """With "full" nothing that was acknowledged is lost and nothing is done twice; with "normal" it is counted."""
    program = request.getfixturevalue("redis_cluster_program" if kind is Nodes else "redis_program")
    done = kill_primaries(Random(kills), kills, tmp_path, program, kind, durability)
    print(f"{kind.__name__}, {durability}: {done.lost} lost of {dict(done.told)}, {kills} kills, {done.longest:.1f} s")
    assert done.failures == []
    assert done.kills == kills
    assert done.told["acknowledged"] > kills * 100
    if durability == "full" or kind is Alone:  # which has a log: SIGKILL takes nothing from it
        assert done.lost == 0
