"""Where tests of this engine that run on one server and on a cluster keep their stores."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["redis", "redis-cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """A URL with a prefix of the test's own; skips where `--engine` does not name that engine."""
    found: str = request.getfixturevalue(f"{request.param.replace('-', '_')}_url")
    return found
