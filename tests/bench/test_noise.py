"""What the report says about a machine that had other work."""

from __future__ import annotations

import pytest

from . import noise
from .noise import Noise, Ticks

STAT = "cpu  100 5 50 800 20 3 2 20 7 7\ncpu0 1 1 1 1 1 1 1 1 0 0\n"


def test_ticks_count_stolen_time_and_time_of_guests_once(tmp_path):
    (tmp_path / "stat").write_text(STAT)
    assert noise.ticks(tmp_path / "stat") == Ticks(1000, 160, 20)
    assert noise.ticks(tmp_path / "absent") is None


def test_shares_are_those_between_two_looks():
    assert noise.shares(Ticks(1000, 160, 20), Ticks(1200, 210, 30)) == (0.25, 0.05)
    assert noise.shares(Ticks(1000, 160, 20), Ticks(1000, 160, 20)) == (0.0, 0.0)


@pytest.mark.parametrize("found, stolen, quiet", [
    (Noise(0.1, 0.01, 0.0), None, True), (Noise(0.1, 0.01, 0.0), 0.001, True), (Noise(3.0, 0.01, 0.0), None, False),
    (Noise(0.1, 0.5, 0.0), None, False), (Noise(0.1, 0.01, 0.2), None, False), (Noise(0.1, 0.01, 0.0), 0.2, False),
])  # fmt: skip
def test_line_says_whether_the_machine_was_quiet(found, stolen, quiet):
    line = noise.line(found, stolen)
    assert ("a quiet machine" in line, noise.MISLEADS in line) == (quiet, not quiet)
    assert ("during the run" in line) == (stolen is not None)


def test_line_without_figures_of_the_system():
    assert "not known" in noise.line(None)
