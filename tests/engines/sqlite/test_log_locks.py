"""Locks that no `close()` drops, and whether the names beside a database are still those of its log."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from store.engines.sqlite.engine import log_files, wal_index
from store.engines.sqlite.engine.log_files import UNSTABLE, LogFiles
from store.engines.sqlite.engine.log_locks import FileLock
from store.system import mounts, range_locks
from store.system.mounts import Mount, places_of

needs_range_locks = pytest.mark.skipif(
    not range_locks.AVAILABLE, reason="this system has no open file description locks: NOTHING here was tested"
)
LOCK_ALL = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"


def another_may_have(path: Path) -> bool:
    """Whether another process can lock the file for writing."""
    done = subprocess.run([sys.executable, "-c", LOCK_ALL, path], capture_output=True, timeout=60, check=False)
    return done.returncode == 0


@pytest.fixture
def file(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    yield path, number
    os.close(number)


@needs_range_locks
def test_lock_outlives_every_close_of_the_file(file: tuple[Path, int]) -> None:
    path, number = file
    assert range_locks.share(number, 0, 10)
    path.read_bytes()
    assert not another_may_have(path)
    range_locks.unlock(number, 0, 10)
    assert another_may_have(path)


@needs_range_locks
def test_lock_of_the_process_is_seen_and_taken_again(file: tuple[Path, int]) -> None:
    path, number = file
    assert range_locks.holder(number) is None
    range_locks.share_as_process(number, 0, 10)
    assert range_locks.holder(number) == os.getpid()
    path.read_bytes()
    assert range_locks.holder(number) is None


@needs_range_locks
def test_lock_that_somebody_has_for_writing(file: tuple[Path, int]) -> None:
    path, number = file
    with path.open("r+b") as other:
        fcntl.lockf(other, fcntl.LOCK_EX)
        assert not range_locks.share(number, 0, 10)
    assert range_locks.share(number, 0, 10)
    with pytest.raises(OSError, match="Bad file descriptor"):
        range_locks.share(9999, 0, 10)


def test_held_file_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    status = path.stat()
    file = wal_index.hold(str(path), (status.st_dev, status.st_ino))
    with pytest.raises(OSError) as caught:
        wal_index.hold(str(path), (1, 1))
    assert caught.value.errno == errno.ESTALE
    path.unlink()
    wal_index.release_unused(keep=0)
    os.fstat(file.number)
    wal_index.let_go(file, at_once=True)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file.number)


# -- the folder in place of the names


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of no real database."""
    return tmp_path / "app"


@pytest.fixture
def names(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LogFiles, list[float]]]:
    """Of a database with a log, at a time that the test sets."""
    now = [1000.0]
    monkeypatch.setattr(log_files, "steady_clock", lambda: now[0])
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").write_bytes(b"x" * 100)
    names = LogFiles(str(path))
    assert names.learn()
    with open(f"{path}-wal"), open(f"{path}-shm"):  # as SQLite has them open: no inode comes back
        yield names, now
    names.forget()


def settle(names: LogFiles, now: list[float], seconds: float = 0.06) -> None:
    assert names.check(names.begin())
    now[0] += seconds
    assert names.check(names.begin())


def test_folder_settles_once_its_next_change_would_be_seen(names: tuple[LogFiles, list[float]]) -> None:
    it, now = names
    settle(it, now, 0.04)
    assert it.unchanged() is None
    now[0] += 0.02
    assert it.check(it.begin())
    assert it.unchanged() is not None
    now[0] += 1.0
    assert it.unchanged() is None  # once a second all names are looked at


def test_folder_with_coarse_times_settles_late(
    names: tuple[LogFiles, list[float]], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, now = names
    monkeypatch.setattr(log_files, "_mark", lambda status: (5_000_000_000, status.st_ino, status.st_dev))
    settle(it, now, 2.9)
    assert it._changed == UNSTABLE
    now[0] += 0.2
    assert it.check(it.begin())
    assert it._changed == 5_000_000_000


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("how", ["deleted", "replaced", "moved"])
def test_name_that_changes_in_a_settled_folder(
    names: tuple[LogFiles, list[float]], path: Path, suffix: str, how: str
) -> None:
    it, now = names
    settle(it, now)
    assert it.is_kept()
    gone = Path(f"{path}{suffix}")
    if how == "moved":
        gone.rename(path.with_name("moved"))
    else:
        gone.unlink()
    if how == "replaced":
        gone.touch()
    assert (it.unchanged(), it.is_kept(), it.check(it.begin())) == (None, False, False)


def test_check_after_a_write_stands_for_the_one_before_the_next(
    names: tuple[LogFiles, list[float]], path: Path
) -> None:
    it, now = names
    settle(it, now)
    assert it.is_undisturbed()
    Path(f"{path}-wal").unlink()
    assert it.unchanged_lately() is not None
    now[0] += 2 * log_files.RECENT_SECONDS
    assert it.unchanged_lately() is None


def test_folder_that_was_found_changed_is_looked_at_again(names: tuple[LogFiles, list[float]], path: Path) -> None:
    it, now = names
    settle(it, now)
    assert it.is_undisturbed()
    Path(f"{path}-wal").unlink()
    assert (it.is_undisturbed(), it.unchanged_lately()) == (False, None)


def test_folder_that_settled_again_is_looked_at(names: tuple[LogFiles, list[float]], path: Path) -> None:
    it, now = names
    settle(it, now)
    assert it.is_undisturbed()
    path.with_name("another").touch()
    assert it.check(it.begin())  # which finds the folder changed, so that it must settle
    assert it.unchanged_lately() is None


@pytest.mark.parametrize("settled", [True, False])
def test_other_names_may_change(names: tuple[LogFiles, list[float]], path: Path, settled: bool) -> None:
    it, now = names
    if settled:
        settle(it, now)
    path.with_name("another").touch()
    assert (it.unchanged(), it.is_kept(), it.check(it.begin())) == (None, True, True)


def test_folder_that_was_moved_away(names: tuple[LogFiles, list[float]], path: Path) -> None:
    it, now = names
    settle(it, now)
    other = path.parent.with_name("elsewhere")
    path.parent.rename(other)
    try:
        assert it.unchanged() is None
        assert not it.check(it.begin())
    finally:
        other.rename(path.parent)


@pytest.mark.parametrize(
    ("happens", "folded"),
    [
        (lambda path: None, True),
        (lambda path: os.unlink(f"{path}-wal"), True),
        (lambda path: (os.unlink(f"{path}-wal"), os.unlink(f"{path}-shm")), True),
        (lambda path: (os.unlink(f"{path}-wal"), Path(f"{path}-wal").touch()), True),
        (lambda path: (os.unlink(f"{path}-wal"), Path(f"{path}-wal").write_bytes(b"theirs")), False),
        (lambda path: (os.unlink(f"{path}-wal"), path.write_bytes(b"theirs")), False),
        (lambda path: (os.unlink(f"{path}-wal"), os.rename(path, f"{path}2")), False),
        (lambda path: os.unlink(f"{path}-shm"), False),
    ],
    ids=["nothing", "log", "both", "empty", "written", "checkpoint", "moved", "index"],
)
def test_log_that_may_be_folded_in(
    names: tuple[LogFiles, list[float]], path: Path, happens: Callable[[Path], object], folded: bool
) -> None:
    it, _ = names
    assert it.check(it.begin())
    happens(path)
    assert it.may_be_folded() == folded


# -- where there are no such locks


def test_shared_lock_on_a_file_of_its_own(path: Path) -> None:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("CREATE TABLE t (x)")
        one, two = FileLock(str(path)), FileLock(str(path))
        assert one.take() and two.take()
        assert not one.hand_over()
        one.keep_log()
    assert os.path.exists(f"{path}-wal")
    one.release()
    assert os.path.exists(f"{path}-wal")
    with closing(sqlite3.connect(path)) as conn:
        assert conn.execute("SELECT count(*) FROM t").fetchone() == (0,)
        assert two.hand_over()
        two.drop()
    two.release()
    assert not os.path.exists(f"{path}-wal")


# -- where else a file lies that FUSE shows


def test_places_of_a_file_that_fuse_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    fuse, plain = Mount("/above", "fuse", source="/below"), Mount("/", "ext4", source="/dev/sda1")
    remote = Mount("/remote", "fuse.sshfs", source="ada@server:/below")
    monkeypatch.setattr(mounts, "_mounts", lambda: [plain, fuse, remote])
    assert places_of("/above/x/app.db", fuse) == [("/below/x/app.db", fuse)]
    assert places_of("/below/x/app.db", plain) == [("/above/x/app.db", fuse)]
    assert places_of("/belowstairs/app.db", plain) == []
    assert places_of("/remote/app.db", remote) == []
