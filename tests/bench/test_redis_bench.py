"""The benchmark of the engine on Redis runs whole, at tiny sizes, with the peers that are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("redis", reason="ENGINE redis CANNOT BE HAD HERE: redis-py is not installed")



ROOT = Path(__file__).parents[2]
CHECK = """
import sys
from tests.bench.__main__ import own_key
from tests.bench.redis import servers
from tests.bench.redis.measures import CLUSTER_ROSTER, ROSTER
from tests.bench.session import name, pairs, session

def check(kind, url):
    kind.fill(url, pairs(20))
    peer = kind.open(url)
    if "get" not in kind.lacks:
        assert peer.get(name(5)) == session(5)
        peer.set(name(5), session(6))
        assert peer.get(name(5)) == session(6)
        peer.update(pairs(10))
        assert peer.get(name(5)) == session(5)
        peer.delete(name(19))
    if "get_many" not in kind.lacks:
        assert peer.get_many([name(3), name(4)]) == {name(3): session(3), name(4): session(4)}
    if "items" not in kind.lacks:
        assert dict(peer.items()) == dict(pairs(19)), kind.label
    before = kind.session(url, name(7))
    peer.edit(name(7))
    assert kind.session(url, name(7)) == {**before, "seen": before["seen"] + 1.0}, kind.label
    peer.close()

with own_key():
    for server, roster in ((servers.node, ROSTER), (servers.cluster, CLUSTER_ROSTER)):
        with server() as url:
            for kind in roster.present():
                check(kind, url)
"""
