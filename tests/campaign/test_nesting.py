"""CI's share of the stores that are nested in every order; tests/concurrency/test_nesting.py has each pair of blocks."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from .nesting import PROCESSES, STEPS, THREADS, nest


@pytest.mark.heavy
def test_stores_nested_in_random_orders_by_several_processes(tmp_path: Path) -> None:
    found = nest(Random(3), tmp_path)
    assert found.failures == []
    assert found.trials == PROCESSES * THREADS * STEPS
