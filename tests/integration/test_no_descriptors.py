"""A process that has no descriptors left: what is called first has modules to load, and files to open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="each call is tried in a child that is forked for it"),
]

TRIALS = """
import json, os, resource, sys, traceback
from store import Store
from store.errors import StoreError

path = sys.argv[1]
with Store(path, spill_bytes=100) as s:
    s["a"] = 1
    s["large"] = b"x" * 1000
CALLS = {
    "open": lambda s: Store(path).close(), "get": lambda s: s["a"], "set": lambda s: s.__setitem__("a", 2),
    "large": lambda s: s["large"], "set large": lambda s: s.__setitem__("large", b"y" * 1000), "items": lambda s: dict(s),
    "put": lambda s: s.put("a", 1), "json": lambda s: s.put("a", 1, codec="json"),
    "record": lambda s: s.record("a"), "stats": lambda s: s.stats(), "verify": lambda s: s.verify(), "compact": lambda s: s.compact(),
    "inspect": lambda s: s.inspect("a"), "backup": lambda s: s.backup(path + ".backup"), "lock": lambda s: s.lock("a").__enter__(),
    "watch": lambda s: s.watch(timeout=0), "purge": lambda s: s.purge(), "modify": lambda s: s.modify("a", lambda value: 3),
}

def tried(call, spare):
    s = Store(path, spill_bytes=100)
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(spare)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/dev/fd"))), limits[1]))
    for descriptor in held:
        os.close(descriptor)
    try:
        CALLS[call](s)
        found = "done"
    except StoreError as exc:
        found = [type(exc).__name__, str(exc), getattr(exc, "errno", None)]
    except BaseException:
        found = "".join(traceback.format_exc())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    CALLS[call](s)  # the same works once there are some
    s.close()
    return found

for call in CALLS:
    for spare in (0, 2):
        read, write = os.pipe()
        if not os.fork():
            try:
                found = tried(call, spare)
            except BaseException:
                found = "later: " + traceback.format_exc()
            os.write(write, json.dumps([call, spare, found]).encode())
            os._exit(0)
        os.close(write)
        with open(read, "rb") as stream:
            print(stream.read().decode())
        os.wait()
"""


@pytest.mark.slow
def test_each_call_ends_in_an_error_of_ours_and_works_afterwards(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TRIALS), str(tmp_path / "app.db")],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == 36
    assert [trial for trial in found if isinstance(trial[2], str) and trial[2] != "done"] == []
    errors = [trial[2] for trial in found if trial[2] != "done"]
    assert len(errors) > 12
    assert [error for error in errors if error[2] not in (None, 24, 5)] == []
    told = [error for error in errors if error[2] == 24]
    assert told and [error[1] for error in told if "ulimit -n" not in error[1]] == []
