"""The database or its lock file is deleted, replaced or rolled back under an open store."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from store import Store
from store.errors import StorageError, StoreError

TIMEOUT = 60.0  # seconds

WRITER = """
import sys
from store import Store
from store.errors import LockTimeout
with Store(sys.argv[1], timeout=0.2) as s:
    try:
        s["other"] = 1
        print("wrote")
    except LockTimeout:
        print("stayed out")
"""


def other_process_writes(path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(path)], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.stderr == ""
    return done.stdout.strip()


# -- the file is taken away


def test_writer_of_a_deleted_database(path, clock):
    with Store(path, clock=clock) as s:
        s["a"] = 1
        os.rename(path, path.with_name("moved"))
        with pytest.raises(StorageError, match="deleted") as caught:
            s["a"] = 2
        assert caught.value.errno == errno.ENOENT
        with pytest.raises(StorageError, match="open the store again"), s.transaction():
            raise AssertionError("never entered")
        os.rename(path.with_name("moved"), path)
        s["a"] = 3
        assert s["a"] == 3


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_reader_notices_after_a_second(path, tmp_path, clock, how):
    other = tmp_path / "other.db"
    with Store(other) as s:
        s["a"] = "somebody else's"
    with Store(path, clock=clock) as s:
        s["a"] = 1
        assert s["a"] == 1
        os.rename(path, tmp_path / "moved")
        for suffix in ("-wal", "-shm"):
            os.rename(f"{path}{suffix}", f"{tmp_path}/moved{suffix}")
        if how == "replaced":
            os.rename(other, path)
        clock.advance(0.5)
        assert s["a"] == 1  # looked less than a second ago
        clock.advance(1)
        with pytest.raises(StorageError, match=f"was {how}") as caught:
            s["a"]
        assert caught.value.errno == (errno.ENOENT if how == "deleted" else errno.ESTALE)
        with pytest.raises(StorageError, match=f"was {how}"):
            s["a"] = 2
        with pytest.raises(StorageError, match=f"was {how}"):
            len(s)


def test_replaced_database_can_be_opened_beside_the_old_handle(path, tmp_path):
    with Store(path) as old:
        old["a"] = "old"
        for suffix in ("", "-wal", "-shm"):
            os.rename(f"{path}{suffix}", f"{tmp_path}/moved{suffix}")
        with Store(path) as new:
            new["a"] = "new"
            assert new["a"] == "new"
            with pytest.raises(StorageError, match="replaced"):
                old["a"] = "into the void"
        with Store(path) as new:
            assert new["a"] == "new"


def test_database_whose_directory_is_gone(path, tmp_path, clock):
    folder = tmp_path / "folder"
    folder.mkdir()
    with Store(folder / "x.db", clock=clock) as s:
        s["a"] = 1
        os.rename(folder, tmp_path / "moved")
        folder.write_text("a file stands in its place")
        with pytest.raises(StorageError):
            s["a"] = 2
        clock.advance(2)
        with pytest.raises(StorageError, match="deleted"):
            s["a"]


# -- the lock file is taken away


def test_deleted_lock_file_is_made_again(path):
    with Store(path) as s:
        s["a"] = 1
        os.unlink(f"{path}.lock")
        with s.transaction():
            s["a"] = 2
            assert other_process_writes(path) == "stayed out"
        assert other_process_writes(path) == "wrote"
        s["a"] = 3
        assert dict(s) == {"a": 3, "other": 1}


def test_lock_file_deleted_inside_a_transaction_loses_nothing(path):
    with Store(path, timeout=5) as s:
        with s.transaction():
            s["a"] = 1
            os.unlink(f"{path}.lock")
            assert other_process_writes(path) == "stayed out"  # SQLite's own lock is still there
        s["a"] = 2
        assert other_process_writes(path) == "wrote"
        assert dict(s) == {"a": 2, "other": 1}


def test_lock_file_replaced_by_a_symlink_is_refused(path, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("untouched")
    with Store(path) as s:
        s["a"] = 1
        os.unlink(f"{path}.lock")
        os.symlink(precious, f"{path}.lock")
        with pytest.raises(StorageError, match="lock file") as caught:
            s["a"] = 2
        assert caught.value.errno == errno.ELOOP
        assert s["a"] == 1
        os.unlink(f"{path}.lock")
        s["a"] = 3
        assert s["a"] == 3
    assert precious.read_text() == "untouched"


# -- what else ends a transaction, or a statement


def test_transaction_that_ended_under_its_block_keeps_nothing(path):
    with Store(path) as s:
        s["a"] = 1
        with pytest.raises(StoreError, match="nothing of it was kept"):
            with s.transaction():
                s["a"] = 2
                s._backend._engine.slot().conn.rollback()  # as SQLite does by itself after some errors
                s["b"] = "must not be a transaction of its own"
        with pytest.raises(StoreError, match="nothing of it was kept"):
            with s.transaction():
                s["a"] = 2
                s._backend._engine.slot().conn.rollback()
                with s.transaction():
                    s["b"] = "nor this"
        with pytest.raises(StoreError, match="nothing of it was kept"):
            with s.transaction():
                s["a"] = 2
                s._backend._engine.slot().conn.rollback()
                s.update(b="nor this")
        assert dict(s) == {"a": 1}


def test_exception_that_is_kept_does_not_keep_a_snapshot(path):
    """Its frames hold the cursor that was being read; a statement left open pins the connection to the past."""
    with Store(path) as s:
        s.update({str(i): i for i in range(10)})
        kept = []

        class Row(tuple):
            @classmethod
            def _make(cls, values) -> None:
                raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("store.backends.sqlite.Row", Row)
            try:
                list(s.items())
            except KeyboardInterrupt as exc:
                kept.append(exc)
        assert other_process_writes(path) == "wrote"
        assert s["other"] == 1
        s["new"] = 2
        assert len(s) == 12
