"""The engines on a server that `--engine` may name."""

from __future__ import annotations

# Engine → scheme of its URLs; the fixture of that name starts one.
SERVERS = {
    "postgres": "postgresql",
    "pgbouncer": "postgresql",
    "pgrows": "postgresql",
    "redis": "redis",
    "valkey": "redis",
    "redis-cluster": "redis",
}


def url_fixture(engine: str) -> str:
    """The name of the fixture that gives a URL of that engine."""
    return f"{engine.replace('-', '_')}_url"
