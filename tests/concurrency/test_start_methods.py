"""Processes that are started in every way from a program with stores in every state, and pools of `concurrent.futures`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import started

from store import Store

TIMEOUT = 280.0  # seconds; it takes a few


@pytest.mark.heavy
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_started_beside_stores_in_every_state(place, method):
    done = subprocess.run(
        [sys.executable, started.__file__, method, str(place)],
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    seen = json.loads(done.stdout)
    assert {state: seen[state] for state in started.IDLE} == {state: ["worked"] for state in started.IDLE}
    for state in started.BUSY:
        given, *inherited = seen[state]
        assert given == 1, "it was started before, or opens the file anew: reading is never blocked"
        for answer in inherited:
            assert answer.startswith("StoreError: ") and "use spawn" in answer
    assert seen["left"] == ["done", ["edited"]], "the parent is unharmed"
    counted, named, expected = seen["count"]
    assert counted == expected
    assert named == expected - started.THREADS * len(started.IDLE)
    assert seen["sound"]
    with Store(place) as s:
        assert s["count"] == expected
