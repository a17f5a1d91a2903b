"""A disk that is full in the middle of a write: the error says so, and what was stored before stands."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from store import Store
from store.errors import StorageError, StoreError

TIMEOUT = 60.0  # seconds
BIG = {"at the commit": 300_000, "before the commit": 6_000_000}  # bytes; SQLite's page cache takes 2 MB


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(folder)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"SKIPPED WITHOUT A TEST: a small file system may not be mounted here ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=TIMEOUT)


def fill(folder: Path, leave: int) -> Path:
    """A file that takes all the space but `leave` bytes."""
    filler = folder / "filler"
    status = os.statvfs(folder)
    with open(filler, "wb", buffering=0) as stream:
        os.posix_fallocate(stream.fileno(), 0, status.f_bavail * status.f_bsize - leave)
    return filler


def refused(store: Store, how: str, size: int) -> StorageError:
    """The error of a write of that size."""
    big = os.urandom(size)
    with pytest.raises(StorageError, match="earlier records are unchanged") as caught:
        if how == "set":
            store["a"] = big
        elif how == "new":
            store["new"] = big
        elif how == "modify":
            store.modify("a", lambda value: big)
        elif how == "edit":
            with store.edit("list") as values:
                values.append(big)
        elif how == "transaction":
            with store.transaction():
                store["b"] = "in the transaction"
                store["a"] = big
        elif how == "nested":
            with store.transaction():
                store["b"] = "in the transaction"
                with store.transaction():
                    store["a"] = big
        else:
            store.update(b="in the update", a=big, c="in the update")
    return caught.value


OLD = {"a": "old", "list": [1]}
IN_ROWS = 10_000_000  # bytes from which a value is a file
WHERE = {"in the row": IN_ROWS, "in a file": 100_000}


@pytest.mark.parametrize("where", WHERE.values(), ids=list(WHERE))
@pytest.mark.parametrize("size", BIG.values(), ids=list(BIG))
@pytest.mark.parametrize("how", ["set", "new", "modify", "edit", "transaction", "nested", "update"])
@pytest.mark.slow
def test_write_to_a_full_disk(small_disk, how, size, where):
    with Store(small_disk / "app.db", spill_bytes=where) as s:
        s.update(OLD)
        filler = fill(small_disk, leave=50_000)
        for _ in range(2):
            error = refused(s, how, size)
            assert error.errno == errno.ENOSPC
            assert "free space" in str(error)
            assert dict(s) == OLD
            assert not list(small_disk.glob("*-spill/*"))
        filler.unlink()
        s["a"] = os.urandom(300_000)
        s["new"] = 1
        assert list(s) == ["a", "list", "new"]


def test_error_that_is_caught_inside_the_transaction(small_disk):
    """SQLite rolls back by itself here: what is written afterwards must not become a transaction of its own."""
    with Store(small_disk / "app.db", spill_bytes=IN_ROWS) as s:
        s.update(OLD)
        filler = fill(small_disk, leave=50_000)
        with pytest.raises(StoreError, match="nothing of it was kept"):
            with s.transaction():
                s["b"] = "before"
                with suppress(StorageError):
                    s["a"] = os.urandom(6_000_000)
                s["c"] = "after"
        assert dict(s) == OLD
        filler.unlink()
        s["c"] = "again"
        assert s["c"] == "again"


def test_opening_and_making_a_store_on_a_full_disk(small_disk):
    with Store(small_disk / "app.db") as s:
        s.update(OLD)
    filler = fill(small_disk, leave=0)
    with pytest.raises(StorageError):
        Store(small_disk / "new.db")
    with pytest.raises(StorageError), Store(small_disk / "app.db") as s:
        s["a"] = os.urandom(300_000)
    filler.unlink()
    with Store(small_disk / "app.db") as s, Store(small_disk / "new.db") as new:
        assert dict(s) == OLD
        new["a"] = 1
        assert dict(new) == {"a": 1}


@pytest.mark.slow
def test_store_fills_a_small_disk_with_what_is_stored(small_disk):
    """The log gets but a share of it: it does not fill the disk alone, with a thousand changes of little data."""
    with Store(small_disk / "app.db") as s:
        filler = fill(small_disk, leave=2_000_000)
        written = 0
        with pytest.raises(StorageError) as caught:
            while True:
                s[str(written)] = "x" * 1000
                written += 1
        assert caught.value.errno == errno.ENOSPC
        assert written > 700  # of 1,900 that have room; where the log could take all of it, 150
        assert all(value == "x" * 1000 for value in s.values()) and len(s) == written
        filler.unlink()
        s["one more"] = 1
        assert len(s) == written + 1


CHECKPOINTS = """
    import os, resource, sys
    import store.engines.sqlite.engine.checkpoints as checkpoints
    from store import Store
    from store.errors import StorageError

    checkpoints.LOG_FRAMES = 25
    path = sys.argv[1]
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    written = 0
    with Store(path) as s:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        while s.stats().checkpoint_error is None:
            s[str(written)] = bytes([written]) * 50_000  # returns, although the checkpoint after it fails
            written += 1
        print(written > 10, os.stat(path).st_size <= 1_000_000)
        s["one more"] = 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        print(all(s[str(i)] == bytes([i]) * 50_000 for i in range(written)))
        for i in range(10):
            s["more"] = bytes(50_000)
        print(s.stats().checkpoint_error)
    with Store(path) as s:
        print(len(s) == written + 2 and all(s[str(i)] == bytes([i]) * 50_000 for i in range(written)))
"""


@pytest.mark.slow
def test_checkpoint_that_fails_does_not_fail_the_write(path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHECKPOINTS), str(path)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["True True", "True", "None", "True"]
