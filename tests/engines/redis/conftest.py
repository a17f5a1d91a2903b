"""Where tests of this engine that run on one server and on a cluster keep their stores."""

from __future__ import annotations

import pytest
from server_urls import url_fixture


@pytest.fixture(params=["redis", "redis-cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """A URL with a prefix of the test's own; skips where `--engine` does not name that engine."""
    found: str = request.getfixturevalue(url_fixture(request.param))
    return found
