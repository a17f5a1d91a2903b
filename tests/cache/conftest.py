"""Caches for the tests: an empty one of each engine, by a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from store.cache import Cache


@pytest.fixture
def c(location: str, clock: Any) -> Iterator[Cache[Any]]:
    with Cache[Any](location, clock=clock) as opened:
        yield opened
