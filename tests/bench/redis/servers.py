"""Servers of the benchmark's own: one node, and a cluster of three primaries with a replica each."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SAMPLES = Path(__file__).parents[2] / "samples"
# As a server that keeps data: each write is in a log. The log is in memory where there is such a folder: what writes
# wait for on a disk is also the work of other programs, and the same for all peers.
SETTINGS = {"appendonly": "yes", "appendfsync": "everysec", "auto_aof_rewrite_percentage": "0"}
FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None
NODE, CLUSTER = "one node", "a cluster of 6 nodes"


@contextmanager
def node() -> Iterator[str]:
    """The URL of a server that ends with the block."""
    _import_samples()
    import redis_server

    with tempfile.TemporaryDirectory(prefix="store-bench-", dir=FOLDER) as folder:
        server = redis_server.RedisServer(Path(folder), _program(), **SETTINGS)
        try:
            server.start()
            yield server.url
        finally:
            server.kill()


@contextmanager
def cluster() -> Iterator[str]:
    """The URL of a cluster that ends with the block."""
    _import_samples()
    import redis_cluster

    with tempfile.TemporaryDirectory(prefix="store-bench-", dir=FOLDER) as folder:
        nodes = redis_cluster.RedisCluster(Path(folder), _program(), timeout_ms=15_000, **SETTINGS)
        try:
            nodes.start()
            yield nodes.url
        finally:
            nodes.stop()


def version(url: str) -> str:
    """The name and version of a running server."""
    import redis

    with redis.Redis.from_url(url) as client:
        told = client.info("server")
    return f"{told.get('server_name', 'redis')} {told.get('valkey_version', told['redis_version'])}"


def _import_samples() -> None:
    """What starts servers for the tests; its files import each other by their bare names."""
    if str(SAMPLES) not in sys.path:
        sys.path.append(str(SAMPLES))


def _program() -> Path:
    import redis_programs

    found: Path | None = redis_programs.on_path("redis-server") or redis_programs.on_path("valkey-server")
    if found is None:
        raise SystemExit("no Redis server is installed here; Debian's package is redis-server")
    return found
