"""Files and folders that this user may not read or write."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from store import Store


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


EVERYBODYS = tempfile.gettempdir()  # the machine's; each test has a temporary folder of its own


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user of the machine can reach; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="bad-input-", dir=EVERYBODYS))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


WITHOUT_RIGHTS = """
import os, sys
import filelock, shutil, tempfile
import store.codecs.restricted.machine, store.engines.sqlite.backend
import store.trust.keys.changing
from store import Store, errors
with tempfile.TemporaryDirectory(dir=os.environ["TMPDIR"]) as folder, Store(folder + "/x.db") as s:  # late imports are made now, with rights
    s["x"] = 1
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
path, mode, write = sys.argv[1:]
try:
    with Store(path, mode=mode) as s:
        if write == "write":
            s["x"] = 2
        print("value", s["x"])
except (errors.StoreError, KeyError) as exc:
    print(type(exc).__name__, exc)
"""


def without_rights(path: Path, mode: str, what: str = "read") -> str:
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_RIGHTS, path, mode, what],
        stdout=subprocess.PIPE, text=True, timeout=60, check=True,
    )  # fmt: skip
    return run.stdout


@pytest.mark.parametrize("mode", ["c", "n"])
def test_new_store_in_a_read_only_directory(reachable: Path, mode: str) -> None:
    reachable.chmod(0o555)
    told = without_rights(reachable / "new.db", mode)
    assert told.startswith("ReadOnly ")
    assert str(reachable / "new.db") in told
    assert os.listdir(reachable) == []


@pytest.mark.slow
def test_store_in_a_read_only_directory(reachable: Path) -> None:
    path = reachable / "old.db"
    with Store(path) as s:
        s["x"] = 1
    (reachable / "old.db.lock").unlink()
    path.chmod(0o644)  # whatever the umask
    reachable.chmod(0o555)
    before = contents(reachable)
    for mode in ("w", "c"):
        told = without_rights(path, mode, "write")
        assert told.startswith("ReadOnly ")
        assert 'open the store with mode="r"' in told
        assert "to write, this user needs the right to write the file, those beside it and its directory" in told
    assert without_rights(path, "r") == "value 1\n"
    assert without_rights(path, "r", "write").startswith("ReadOnly ")
    assert contents(reachable) == before


@pytest.mark.slow
def test_store_that_may_not_be_read(reachable: Path) -> None:
    path = reachable / "secret.db"
    with Store(path) as s:
        s["x"] = 1
    path.chmod(0)
    for mode in ("r", "w"):
        told = without_rights(path, mode)
        assert told.split()[0] in ("StorageError", "ReadOnly")
        assert str(path) in told


def test_directory_that_may_not_be_searched(reachable: Path) -> None:
    inner = reachable / "inner"
    inner.mkdir()
    inner.chmod(0o600)
    told = without_rights(inner / "app.db", "c")
    assert told.startswith("StorageError ")
    assert "Permission denied" in told
