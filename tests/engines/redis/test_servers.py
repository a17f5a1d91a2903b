"""The servers that the tests start: what a fixture promises is so."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from redis_certificates import Certificates
from redis_cluster import SLOTS, RedisCluster
from redis_server import RedisServer

Own = Callable[..., RedisServer]


def test_shared_server_listens_on_loopback_only(redis: RedisServer) -> None:
    assert redis.url == f"redis://127.0.0.1:{redis.port}/0"
    with redis.client() as client:
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
