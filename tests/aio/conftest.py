"""Where the tests of `AsyncStore` keep a store of each engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from onlooker import Onlooker
from postgres_server import PostgresServer


@pytest.fixture
def shared(location: str) -> str:
    """A location that can be opened twice, so that the second one sees what the first one wrote."""
    if location == ":memory:":
        pytest.skip("each opening of memory is a store of its own")
    return location


@pytest.fixture
def onlooker(postgres: PostgresServer, postgres_url: str) -> Iterator[Onlooker]:
    """Another session on the server of `postgres_url`."""
    found = Onlooker(postgres, postgres_url.rpartition("schema=")[2])
    try:
        yield found
    finally:
        found.close()
