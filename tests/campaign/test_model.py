"""The store and a dict stay the same: CI's share. See `model.py`."""

from __future__ import annotations

import pytest

from .model import run_model


@pytest.mark.heavy
@pytest.mark.timeout(600)  # when it fails, Hypothesis looks for a shorter example for up to five minutes
def test_store_and_dict_stay_the_same() -> None:
    run_model(30)
