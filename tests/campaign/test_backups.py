"""CI's share of the kills of backups and restores; `python -m tests.campaign` does the rest."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from .backups import backups_killed, restores_killed
from .trial import Round

pytestmark = [pytest.mark.heavy, pytest.mark.orphans, pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")]


def check(result: Round, kills: int) -> None:
    assert result.failures == []
    assert result.trials == kills


def test_backup_killed_at_random_moments(tmp_path: Path) -> None:
    check(backups_killed(Random(1), tmp_path, 12), 12)


def test_restore_killed_at_random_moments(tmp_path: Path) -> None:
    check(restores_killed(Random(2), tmp_path, 12), 12)
