"""CI's share of the care of a file that is in use."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from .care import care


@pytest.mark.heavy
def test_compact_and_purge_while_others_write(tmp_path: Path) -> None:
    found = care(Random(20), tmp_path, rounds=1, writes=120)
    assert found.failures == []
    assert found.trials == 360
