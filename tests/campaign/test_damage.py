"""Damage at rest, CI's share: 2,500 damages. See `damage.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from .damage import damage

COUNTS = {"few": 900, "deep": 200, "chained": 750, "several": 250, "beside": 250, "logged": 150}


@pytest.mark.timeout(600)
@pytest.mark.heavy
@pytest.mark.damaged
@pytest.mark.parametrize("key", COUNTS)
def test_reads_of_damaged_stores_are_right_or_raise(key: str, tmp_path: Path) -> None:
    assert sum(COUNTS.values()) == 2_500
    found = damage(key, 7, COUNTS[key], tmp_path)
    assert found.failures == []
    assert found.trials >= COUNTS[key]
