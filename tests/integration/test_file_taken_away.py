"""The database or its lock file is deleted, replaced or rolled back under an open store."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from store import Store
from store.engines.contract import Fields
from store.engines.sqlite import reading
from store.engines.sqlite.engine import database_file, log_files
from store.errors import Corrupt, OutcomeUnknown, StorageError, StoreError

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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_lock_file_replaced_while_a_writer_waits(path):
    """The one who waits goes over to the new file; SQLite's own lock keeps it out for as long as the old one holds."""
    with Store(path, timeout=30) as s:
        s["a"] = 1
        with s.transaction():
            waiting = start_writer(path)
            os.rename(f"{path}.lock", f"{path}.old")
            open(f"{path}.lock", "w").close()
            assert other_process_writes(path) == "stayed out"
            s["a"] = 2
            assert waiting.poll() is None
        assert waiting.communicate(timeout=TIMEOUT)[0] == "wrote\n"
        s["a"] = 3
        assert dict(s) == {"a": 3, "late": 1}


def start_writer(path) -> subprocess.Popen:
    """A process that has opened the store and waits for the writer's lock."""
    source = """
        import sys
        from store import Store
        from store.system import locking
        attempt = locking.WriterLock._attempt
        def attempted(self, *args):
            done = attempt(self, *args)
            if not done and not said:
                said.append(print("waits", flush=True))
            return done
        said = []
        with Store(sys.argv[1], timeout=30) as s:
            locking.WriterLock._attempt = attempted
            s["late"] = 1
            print("wrote")
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source), str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "waits\n"
    return child


# -- the database is taken away while it is written, or what belongs to it


@pytest.mark.parametrize("writes", [True, False])
def test_database_replaced_by_an_older_backup_of_its_own(path, tmp_path, writes, monkeypatch):
    """The log that lies there belongs to the one before, and would be read as that of the backup."""
    monkeypatch.setattr(log_files, "RECENT_SECONDS", 0.0)  # however soon after the commit the write comes
    with Store(path) as s:
        s.update(a="old", b="old")
    backup, moved = tmp_path / "backup", tmp_path / "moved.db"
    backup.write_bytes(path.read_bytes())
    with Store(path) as s:
        s.update({"a": "new", "c": "new"} | {str(i): i for i in range(500)})
        os.rename(path, moved)
        os.rename(backup, path)  # it has the same identity, and another inode
        if writes:
            with pytest.raises(StorageError, match="was replaced") as caught:
                s["a"] = "into the void"
            assert caught.value.errno == errno.ESTALE
    with Store(path) as s:
        assert dict(s) == {"a": "old", "b": "old"}
    with Store(moved) as s:
        assert (s["a"], len(s)) == ("new", 503)


@pytest.mark.parametrize("how", ["deleted", "replaced"])
@pytest.mark.parametrize("at_once", [True, False])
def test_database_taken_away_between_two_writes(path, tmp_path, monkeypatch, how, at_once):
    """In a row of writes, the folder is looked at after each of them only; that covers the database too."""
    now = [1000.0]
    monkeypatch.setattr(log_files, "steady_clock", lambda: now[0])
    for constant in ("STABLE_SECONDS", "STABLE_COARSE_SECONDS"):
        monkeypatch.setattr(log_files, constant, 0.0)
    with Store(tmp_path / "other.db") as s:
        s["a"] = "other"
    with Store(path) as s:
        for number in range(4):
            s["a"] = number
        assert s.opened.engine.handle.engine.file.unchanged_lately() is not None
        os.rename(path, tmp_path / "moved.db")
        if how == "replaced":
            os.rename(tmp_path / "other.db", path)
        now[0] += 0.0 if at_once else 2 * log_files.RECENT_SECONDS
        with pytest.raises(StorageError, match=f"was {how}"):
            s["a"] = "into the void"
        with pytest.raises(StorageError, match=f"was {how}"):
            s["b"] = "into the void"
    if how == "replaced":
        with Store(path) as s:
            assert dict(s) == {"a": "other"}


@pytest.mark.parametrize("write", ["set", "update", "transaction", "delete"])
def test_log_taken_away_just_after_a_commit(path, monkeypatch, write):
    """Closing the connections then folds the log in, so the error must not say that nothing was written."""
    with Store(path) as s:
        s["a"], s["b"] = "old", "old"
        check = database_file.DatabaseFile.check_log

        def unlinked(file) -> None:
            path.with_name(f"{path.name}-wal").unlink(missing_ok=True)
            check(file)

        monkeypatch.setattr(database_file.DatabaseFile, "check_log", unlinked)
        with pytest.raises(OutcomeUnknown, match=r"was written.*was deleted or replaced"):
            if write == "set":
                s["a"] = "new"
            elif write == "update":
                s.update(a="new", c="new")
            elif write == "delete":
                del s["a"]
            else:
                with s.transaction():
                    s["a"] = "new"
        monkeypatch.undo()
    with Store(path) as s:
        assert s.get("a") != "old"


@pytest.mark.parametrize("how", ["deleted", "replaced"])
@pytest.mark.parametrize("block", ["transaction", "edit"])
def test_database_taken_away_inside_a_transaction(path, tmp_path, how, block):
    with Store(tmp_path / "other.db") as s:
        s["a"] = ["other"]
    with Store(path) as s:
        s["a"] = ["old"]
        with pytest.raises(StorageError, match=f"was {how}"):
            with s.transaction() if block == "transaction" else s.edit("a") as value:
                if block == "edit":
                    value.append("into the void")
                else:
                    s["a"] = ["into the void"]
                os.rename(path, tmp_path / "moved.db")
                if how == "replaced":
                    os.rename(tmp_path / "other.db", path)
        path.unlink(missing_ok=True)
        os.rename(tmp_path / "moved.db", path)
        assert s["a"] == ["old"]
        s["a"] = ["new"]
        assert s["a"] == ["new"]


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("how", ["deleted", "replaced"])
@pytest.mark.parametrize("does", ["set", "transaction", "read"])
@pytest.mark.slow
def test_log_taken_away_is_noticed_by_the_next_write(path, clock, suffix, how, does):
    """Who opens the store then makes another one, and neither sees what the other writes."""
    kept = "in the log that is there" if suffix == "-shm" else "in the database"
    with Store(path, clock=clock) as s:
        s["a"] = 1
        os.unlink(f"{path}{suffix}")
        if how == "replaced":
            open(f"{path}{suffix}", "w").close()
        clock.advance(2)
        for _ in range(2):
            with pytest.raises(
                StorageError, match=f"was deleted or replaced.*{kept}.*open the store again"
            ) as caught:
                if does == "set":
                    s["a"] = 2
                elif does == "read":
                    len(s), s["a"], list(s)
                else:
                    with s.transaction():
                        raise AssertionError("never entered")
            assert caught.value.errno == errno.ESTALE
        with Store(path) as new, Store(path, mode="r") as reader:  # the old handle lives
            assert new["a"] == reader["a"] == 1
            new["a"] = 2
            assert (new["a"], reader["a"], other_process_writes(path)) == (2, 2, "wrote")
            with pytest.raises(StorageError, match="was deleted or replaced"):
                s["a"] = 3
    with Store(path) as s:
        assert dict(s) == {"a": 2, "other": 1}


@pytest.mark.slow
def test_log_made_anew_by_others_while_no_connection_was_open(path):
    with Store(path) as s:
        s["a"] = 1
        s.opened.engine.handle.engine.pool.close_idle(1.0)  # as a fork does
        assert not os.path.exists(f"{path}-wal")
        assert other_process_writes(path) == "wrote"
        s["a"] = 2
        assert dict(s) == {"a": 2, "other": 1}


def test_spill_folder_taken_away(path):
    with Store(path, spill_bytes=1000) as s:
        s["a"] = b"x" * 5000
        s["b"] = "small"
        shutil.rmtree(f"{path}-spill")
        with pytest.raises(Corrupt, match=r"'a'.*missing"):
            s["a"]
        assert s["b"] == "small"
        s["a"] = b"y" * 5000  # makes it again
        assert s["a"] == b"y" * 5000
        s["c"] = b"z" * 5000
        shutil.rmtree(f"{path}-spill")
        del s["a"]
        assert s.compact().files_left == 0
        del s["c"]


@pytest.mark.slow
def test_folder_moved_away_with_all_that_is_in_it(path, tmp_path, clock):
    folder = tmp_path / "folder"
    folder.mkdir()
    with Store(folder / "x.db", clock=clock, spill_bytes=1000) as s:
        s["a"] = 1
        os.rename(folder, tmp_path / "moved")
        for value in (2, b"x" * 5000):
            with pytest.raises(StorageError, match="open the store again"):
                s["a"] = value
        assert not folder.exists()
        assert other_process_writes(tmp_path / "moved" / "x.db") == "wrote"
        os.rename(tmp_path / "moved", folder)
        s["a"] = b"y" * 5000
        assert (s["a"], s["other"]) == (b"y" * 5000, 1)


def test_link_that_leads_elsewhere_is_followed_by_the_next_to_open(tmp_path):
    """`current` → `v1`, as releases are switched: who has a store open stays with the file that it opened."""
    for version in ("v1", "v2"):
        with Store(tmp_path / f"{version}.db") as s:
            s["version"] = version
    link = tmp_path / "current"
    link.symlink_to("v1.db")
    with Store(link) as old:
        link.unlink()
        link.symlink_to("v2.db")
        with Store(link) as new:
            old["by"], new["by"] = "old", "new"
            assert (dict(old), dict(new)) == ({"version": "v1", "by": "old"}, {"version": "v2", "by": "new"})
    with Store(tmp_path / "v2.db") as s:
        assert s["by"] == "new"


# -- what else ends a transaction, or a statement


def test_transaction_that_ended_under_its_block_keeps_nothing(path):
    with Store(path) as s:
        s["a"] = 1
        with pytest.raises(StoreError, match="nothing of it was kept"):
            with s.transaction():
                s["a"] = 2
                s.opened.engine.handle.engine.connection().conn.rollback()  # as SQLite does by itself after some errors
                s["b"] = "must not be a transaction of its own"
        with pytest.raises(StoreError, match="nothing of it was kept"):
            with s.transaction():
                s["a"] = 2
                s.opened.engine.handle.engine.connection().conn.rollback()
                with s.transaction():
                    s["b"] = "nor this"
        with pytest.raises(StoreError, match="nothing of it was kept"):
            with s.transaction():
                s["a"] = 2
                s.opened.engine.handle.engine.connection().conn.rollback()
                s.update(b="nor this")
        assert dict(s) == {"a": 1}


@pytest.mark.slow
def test_exception_that_is_kept_does_not_keep_a_snapshot(path):
    """Its frames hold the cursor that was being read; a statement left open pins the connection to the past."""
    with Store(path) as s:
        s.update({str(i): i for i in range(10)})
        kept = []

        def interrupted(values) -> None:
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(reading._MAKE, Fields.SEALED, interrupted)
            try:
                list(s.items())
            except KeyboardInterrupt as exc:
                kept.append(exc)
        assert kept
        assert other_process_writes(path) == "wrote"
        assert s["other"] == 1
        s["new"] = 2
        assert len(s) == 12
