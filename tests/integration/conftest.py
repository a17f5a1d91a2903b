"""What several integration tests use."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import spoiled


@pytest.fixture
def reseal() -> Callable[..., None]:
    """Changes columns of a record and seals it anew with the user's key, as a later release could have."""
    return spoiled.reseal
