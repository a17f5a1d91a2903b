"""What several suites of opened stores share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from store import Store


@pytest.fixture
def seen(place: str, clock: Any) -> Iterator[Store[Any]]:
    """What is in the store, beside a store that holds values back."""
    with Store[Any](place, clock=clock) as opened:
        yield opened
