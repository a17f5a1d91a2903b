"""An import that is killed at any moment leaves whole batches, and the next one completes it."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sources import make, state_of

from store import Store
from store.importers import import_into

BATCH = 20
COUNT = 95
PROGRAM = """
import os, signal, sys
from store import Store, importers

def killed_at(cls, method, number, after):
    real = getattr(cls, method)
    left = [number]
    def call(*args, **named):
        left[0] -= 1
        if left[0] == 0 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **named)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(cls, method, call)

where, number, path, source = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
if where == "put":
    killed_at(Store, "put", number, after=True)
with Store(path) as s:
    results = importers.import_into(s, "shelve", source, batch=20)
    for count, result in enumerate(results, 1):
        print(result.outcome, flush=True)
        if where == "report" and count == number:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    "where, number, left", [("put", 1, 0), ("put", 20, 0), ("put", 21, 20), ("put", 55, 40), ("put", 95, 80), ("report", 1, 20), ("report", 40, 40), ("report", 95, 95)]
)
@pytest.mark.heavy
def test_import_killed_and_run_again(where: str, number: int, left: int, tmp_path: Path, path: Path) -> None:
    records = {f"n{number:03}": {"number": number} for number in range(COUNT)}
    source = make("shelve", tmp_path / "source", records)
    before = state_of(tmp_path / "source")
    command = [sys.executable, "-c", PROGRAM, where, str(number), str(path), str(source)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with Store[Any](path, trust="own") as s:
        assert dict(s) == dict(list(records.items())[:left])
        results = list(import_into(s, "shelve", source, batch=BATCH))
        assert [one.outcome for one in results] == ["unchanged"] * left + ["imported"] * (COUNT - left)
        assert dict(s) == records
        assert {record.revision for record in s.records()} == {1}
    assert state_of(tmp_path / "source") == before
