"""Greenlets, with gevent's replacements of the standard library and without: each is who it is, with what it holds."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parent.parent / "samples"

pytestmark = pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")


def run(*args: object) -> str:
    """What a program prints that ends well; in a process of its own, since gevent replaces what others use."""
    done = subprocess.run([sys.executable, *map(str, args)], check=False, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.heavy
@pytest.mark.parametrize("mode", ["patched", "unpatched"])
def test_fifty_greenlets_on_one_store(path, mode):
    assert run(SAMPLES / "greenlets.py", path, mode) == "well\n"


PLAIN = """
import sys, greenlet
from store import Store
from store.errors import InUse

with Store(sys.argv[1], timeout=600) as s:
    def block():
        with s.transaction():
            s["a"] = 1
            main.switch()
    def other():
        assert "a" not in s  # it is not committed
        try:
            s["b"] = 1
        except InUse as exc:
            return str(exc)
    main = greenlet.getcurrent()
    first = greenlet.greenlet(block)
    first.switch()
    said = greenlet.greenlet(other).switch()
    assert "another greenlet" in said, said
    first.switch()
    assert dict(s) == {"a": 1}
print("well")
"""


def test_greenlet_that_would_wait_for_one_of_its_thread_is_told_at_once(path):
    """Nobody switches greenlets while it waits: it would do so until the timeout."""
    assert run("-c", PLAIN, path) == "well\n"


CROWDED = """
import sys, time
from store import Store

s = Store(sys.argv[1], timeout=50)  # before gevent patches: so do applications that a server loads before its workers
s["n"] = {"count": 0}
from gevent import monkey
monkey.patch_all()
import gevent

def visit():
    for _ in range(4):
        with s.edit("n") as n:
            before = n["count"]
            time.sleep(0)
            n["count"] = before + 1
        with s.edit("n") as n:
            n["other"] = n.get("other", 0) + 1

jobs = [gevent.spawn(visit) for _ in range(20)]
gevent.joinall(jobs, timeout=100, raise_error=True)
assert s["n"] == {"count": 80, "other": 80}, s["n"]
s.close()
print("well")
"""


@pytest.mark.slow
def test_free_lock_is_taken_by_one_of_many_greenlets_that_poll_for_it(path):
    """They dropped each other from the queue, so that each wait took its whole timeout."""
    assert run("-c", CROWDED, path) == "well\n"
