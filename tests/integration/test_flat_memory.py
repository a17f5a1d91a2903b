"""What is done with a whole file takes as much memory for many records as for a few, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from store import Store

TIMEOUT = 280.0  # seconds
FEW, MANY = 500, 50_000
TTL = 86_400.0
ALLOWED_BYTES = 10 * 1024 * 1024  # SQLite's page cache has 2 MiB, a list of 50,000 rows 40
STEPS = {
    "read and count": "for number in range(0, size, 7): store[f'name:{number:05}']\nassert len(store) == size",
    "pages": "after = ''\nwhile after is not None:\n    names = store.names('name:', after=after, limit=100)\n    after = names[-1] if names else None",
    "iterate": "assert sum(1 for item in store.items()) == size",
    "verify": "assert store.verify().ok",
    "verify quickly": "assert store.verify(quick=True).ok",
    "back up": "assert store.backup(sys.argv[1] + '.copy').records == size",
    "purge": "late = Store(sys.argv[1], clock=lambda: time.time() + 172_800)\nassert late.purge() == size // 2\nlate.close()",
}  # fmt: skip
PROGRAM = """
    import json, re, resource, sys, time
    from store import Store

    size, steps = int(sys.argv[2]), json.loads(sys.argv[3])

    def peak():
        try:  # not `ru_maxrss`, which on Linux begins with that of the process that started this one
            return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
        except FileNotFoundError:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    found = {}
    with Store(sys.argv[1], cache_bytes=0) as store:
        store["name:00000"]
        for label, step in steps.items():
            before = peak()
            exec(step)
            found[label] = peak() - before
    print(json.dumps(found))
"""


def growth(path: Path, size: int) -> dict[str, int]:
    """Step → the bytes that it takes more than all steps before it."""
    with Store[Any](path) as s:
        s.update((f"name:{number:05}", {"number": number, "text": "x" * 200}) for number in range(0, size, 2))
    with Store[Any](path, ttl=TTL) as s:
        s.update((f"name:{number:05}", {"number": number, "text": "x" * 200}) for number in range(1, size, 2))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(path), str(size), json.dumps(STEPS)],
        stdout=subprocess.PIPE, text=True, timeout=TIMEOUT, check=True,
    )  # fmt: skip
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.heavy
def test_many_records_take_no_more_memory_than_a_few(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    few, many = growth(tmp_path / "few.db", FEW), growth(tmp_path / "many.db", MANY)
    print({label: f"{few[label]:,} → {many[label]:,}" for label in STEPS})
    assert {label for label in STEPS if many[label] - few[label] > ALLOWED_BYTES} == set()
