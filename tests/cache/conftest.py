"""Caches for the tests: an empty one of each engine, by a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from store.cache import Cache


@pytest.fixture(params=[1, 3], ids=["", "shards"])
def shards(request: pytest.FixtureRequest) -> int:
    """Over how many shards the cache is spread."""
    number: int = request.param
    return number


@pytest.fixture
def c(location: str, clock: Any, shards: int) -> Iterator[Cache[Any]]:
    with Cache[Any](location, clock=clock, shards=shards) as opened:
        yield opened
