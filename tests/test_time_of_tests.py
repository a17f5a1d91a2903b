"""No test depends on how fast or busy the machine is: what the suite as a whole does for that."""

from __future__ import annotations

from downloading import pip
from hypothesis import given, settings
from hypothesis import strategies as st


@given(st.none())
def test_examples_have_no_deadline(_: None) -> None:
    """Of Hypothesis: 0.2 seconds for each, as long as nobody says something else."""
    assert settings.default is not None and settings.default.deadline is None


def test_download_that_takes_too_long_is_one_that_cannot_be_had() -> None:
    done = pip("--version", seconds=0)
    assert (done.is_well, done.problem) == (False, "it took longer than 0 seconds")
    assert pip("--version").is_well
