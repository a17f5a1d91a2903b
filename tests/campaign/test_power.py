"""Power cuts, simulated: first that the simulation finds the damage of mistakes made on purpose, then that there is none."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from .power import scratch, states
from .power.check import problem_of
from .power.plans import PLANS
from .power.recording import record
from .shim import MISSING, library

STATES = 40  # of each plan: 960 with both durabilities
ENOUGH = 400  # states in which a mistake must show


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = library(tmp_path_factory.mktemp("shim"))
    if built is None:
        pytest.skip(MISSING)
    return built


HALVES = {"writes": list(PLANS)[:6], "files": list(PLANS)[6:]}


@pytest.mark.heavy
@pytest.mark.parametrize("plans", HALVES.values(), ids=list(HALVES))
@pytest.mark.parametrize("durability", ["full", "normal"])
def test_power_cut(durability: str, plans: list[str], shim: Path, tmp_path: Path) -> None:
    found = list(states(Random(durability), tmp_path, shim, durability, STATES, plans))
    assert [problem for problem in found if problem] == []
    assert len(found) == STATES * len(plans)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("defect", "durability", "plan", "damage"),
    [
        ("no sync", "full", "put", "the store is as after step"),
        ("no sync", "normal", "batch", "malformed|integrity_check|the table spilled holds"),
        ("too little sync", "full", "put", "the store is as after step"),
        ("too little sync", "full", "together", "the store is as after step"),
        ("unlinked at commit", "normal", "delete", "is missing"),
        ("files not synced", "normal", "batch", "truncated|altered"),
        ("names not synced", "full", "batch", "is missing"),
        ("folder not synced", "full", "migrate", "is missing"),
        ("key not synced", "full", "migrate", "sealed with a key"),
        ("key's folders not synced", "normal", "migrate", "sealed with a key"),
        ("found files not synced", "normal", "backup", "truncated|altered"),
    ],
)
def test_mistake_is_found(defect: str, durability: str, plan: str, damage: str, shim: Path, tmp_path: Path) -> None:
    seed = Random("validation")
    found = filter(None, states(seed, tmp_path, shim, durability, ENOUGH, [plan], defect))
    with pytest.raises(AssertionError, match=damage):
        assert next(found, "") == ""


@pytest.mark.heavy
@pytest.mark.parametrize(("defect", "is_found"), [("none", False), ("older journal not synced", True)])
def test_journal_that_comes_back_beside_a_new_backup(defect: str, is_found: bool, shim: Path, tmp_path: Path) -> None:
    """It shows at one moment alone, right after the copy was renamed."""
    rng = Random("journal")
    with scratch(tmp_path) as memory:
        (recording,) = record(memory, shim, "journal", "normal", ["backup"], defect)
        renamed = max(number for number, entry in enumerate(recording.log, 1) if entry.kind == "rename")
        problems = [problem_of(recording, moment, memory / "state", rng) for moment in recording.moments_at([renamed] * 60, rng)]
    assert any("in the backup" in str(problem) or "malformed" in str(problem) for problem in problems) == is_found
