"""The suites here run on every server that `--engine` names, and say what is expected of each engine on one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from server_urls import url_fixture

from store import Store


@pytest.fixture(params=["postgres", "redis", "redis-cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a new store; skips where `--engine` does not name that engine."""
    found: str = request.getfixturevalue(url_fixture(request.param))
    return found


@pytest.fixture
def s(url: str) -> Iterator[Store[Any]]:
    with Store[Any](url) as opened:
        yield opened
