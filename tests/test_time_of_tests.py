"""No test depends on how fast or busy the machine is: what the suite as a whole does for that."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st


@given(st.none())
def test_examples_have_no_deadline(_: None) -> None:
    """Of Hypothesis: 0.2 seconds for each, as long as nobody says something else."""
    assert settings.default is not None and settings.default.deadline is None
