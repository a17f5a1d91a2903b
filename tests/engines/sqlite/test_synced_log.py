"""`durability="full"`: each acknowledged write is on the disk; writers wait for the disk together, without the lock."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store import Store, errors
from store.engines.sqlite.engine import synced_log
from store.system import syncing

WAIT_SECONDS = 60.0  # for a thread that has nothing to wait for

WRITES: dict[str, Callable[[Store[Any]], object]] = {
    "set": lambda s: s.__setitem__("a", 1),
    "delete": lambda s: s.__delitem__("old"),
    "update": lambda s: s.update(a=1, b=2),
    "modify": lambda s: s.modify("old", lambda value: value + 1),
    "put with a ttl": lambda s: s.put("a", 1, ttl=60),
    "large value": lambda s: s.__setitem__("a", bytes(200_000)),
    "clear": lambda s: s.clear(),
}


class Disk:
    """Stands for `sync_data`: counts the syncs of logs, may hold one up or let it fail."""

    def __init__(self) -> None:
        self.syncs = 0
        self.fails = 0  # so many syncs from now on
        self.meanwhile: Callable[[], object] = lambda: None
        """Called once, in the middle of the next sync."""

    def __call__(self, descriptor: int) -> None:
        assert "app.db-wal" in os.readlink(f"/proc/self/fd/{descriptor}")
        self.syncs += 1
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        if self.fails:
            self.fails -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("this system does not say which files are open: NOTHING here was tested")
    made = Disk()
    monkeypatch.setattr(synced_log, "sync_data", made)
    return made


@pytest.fixture
def full(path: Path, disk: Disk) -> Iterator[Store[Any]]:
    with Store[Any](path, durability="full") as s:
        s["old"] = 0
        disk.syncs = 0
        yield s


def synchronous(s: Store[Any]) -> int:
    """What SQLite itself does at a commit of this thread: 1 is NORMAL, 2 is FULL."""
    connection = s.opened.engine.handle.engine.connection()  # type: ignore[attr-defined]
    with connection.guard:
        found: int = connection.ready().execute("PRAGMA synchronous").fetchone()[0]
    return found


def together(works: list[Callable[[], object]]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    return threads


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Offset and size of what is written to the log again."""
    found: list[tuple[int, int]] = []
    plain = synced_log.write_at

    def write(descriptor: int, data: bytes, at: int) -> int:
        found.append((at, len(data)))
        return plain(descriptor, data[:5000], at)  # as a short write

    monkeypatch.setattr(synced_log, "write_at", write)
    return found


# -- each write is synced before it returns


@pytest.mark.parametrize("what", WRITES)
def test_write_syncs_the_log_once(full: Store[Any], disk: Disk, what: str) -> None:
    WRITES[what](full)
    assert disk.syncs == 1


def test_transaction_syncs_the_log_once(full: Store[Any], disk: Disk) -> None:
    with full.transaction():
        full["a"] = 1
        with full.transaction():
            full["b"] = 2
        assert disk.syncs == 0
    assert disk.syncs == 1


def test_nothing_written_syncs_nothing(full: Store[Any], disk: Disk) -> None:
    full.delete("none")
    with full.transaction():
        assert full["old"] == 0
    with pytest.raises(ZeroDivisionError), full.transaction():
        full["a"] = 1 / 0
    with pytest.raises(ZeroDivisionError), full.transaction():
        full["a"] = 1
        full["b"] = 1 / 0
    assert disk.syncs == 0


def test_normal_durability_syncs_no_log(path: Path, disk: Disk) -> None:
    with Store[Any](path) as s:
        s["a"] = 1
        with s.transaction():
            s["b"] = 1
    assert disk.syncs == 0


def test_other_handles_on_the_file_sync_too(path: Path, disk: Disk) -> None:
    with Store[Any](path) as s:
        s["a"] = 1
        with Store[Any](path, durability="full"):
            s["a"] = 2
            assert disk.syncs == 1


TRACED = """
import os, sys
from store import Store
with Store(sys.argv[1], durability="full") as s:
    s["old"] = 0
    os.getppid()
    s["a"] = 1
    os.getppid()
    s.update(a=2, b=3)
    os.getppid()
    with s.transaction():
        s["c"] = 1
        del s["old"]
    os.getppid()
    os._exit(0)
"""


@pytest.mark.slow
def test_frames_are_synced_before_a_write_returns(path: Path, tmp_path: Path) -> None:
    """As the system sees it: between two calls of getppid, the last write to the log, then its sync."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: the order of writing and syncing was NOT tested")
    log = tmp_path / "calls"
    command = [
        strace,
        "-y",
        "-e",
        "trace=getppid,pwrite64,fdatasync,fsync",
        "-o",
        str(log),
        sys.executable,
        "-c",
        TRACED,
    ]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=100, check=False)
    if done.returncode and ("ptrace" in done.stderr or "PTRACE" in done.stderr):
        pytest.skip(f"processes may not be traced here, so NOTHING was tested: {done.stderr.strip()[-200:]}")
    assert (done.returncode, done.stderr) == (0, "")
    parts = re.split(r"getppid\(.*\n", log.read_text())[1:-1]
    assert len(parts) == 3
    for part in parts:
        calls = re.findall(rf"^(\w+)\(\d+<{re.escape(str(path))}-wal>.* = (-?\d+)", part, re.MULTILINE)
        assert len(calls) >= 2
        assert {name for name, _ in calls[:-1]} == {"pwrite64"}
        assert calls[-1] == ("fdatasync", "0")


# -- the lock is free meanwhile, and threads share syncs


ELSEWHERE = """
import sys
from store import Store
with Store(sys.argv[1], timeout=0.0) as s:
    s["theirs"] = s["ours"] + 1
"""


@pytest.mark.slow
def test_other_process_writes_while_one_waits_for_the_disk(full: Store[Any], disk: Disk, path: Path) -> None:
    def write_elsewhere() -> None:
        done = subprocess.run([sys.executable, "-c", ELSEWHERE, path], capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b"")

    disk.meanwhile = write_elsewhere
    full["ours"] = 1
    assert full["theirs"] == 2


class Door:
    """A mutex that counts who asks for it: by then a thread has noted which sync it needs."""

    def __init__(self, mutex: Any) -> None:
        self.mutex = mutex
        self.asked = threading.Semaphore(0)

    def __enter__(self) -> None:
        self.asked.release()
        self.mutex.__enter__()

    def __exit__(self, *error: object) -> None:
        self.mutex.__exit__(*error)


def test_threads_share_syncs(full: Store[Any], disk: Disk) -> None:
    """Eight that commit during a sync need another one, and one is enough for all of them."""

    def meanwhile() -> None:
        door.asked.acquire()  # of the first one
        writes = [lambda number=number: full.__setitem__(f"t{number}", number) for number in range(8)]
        threads.extend(together(writes))
        for _ in writes:
            assert door.asked.acquire(timeout=WAIT_SECONDS)
        assert len(full) == 10

    threads: list[threading.Thread] = []
    log = full.opened.engine.handle.engine.connection().log  # type: ignore[attr-defined]
    door = log._mutex = Door(log._mutex)
    disk.meanwhile = meanwhile
    full["first"] = 1
    for thread in threads:
        thread.join(WAIT_SECONDS)
    assert disk.syncs == 2


def test_sync_that_had_begun_before_a_commit_does_not_cover_it(full: Store[Any], disk: Disk) -> None:
    def meanwhile() -> None:
        threads.extend(together([lambda: full.__setitem__("later", 1)]))
        while "later" not in full:
            pass

    threads: list[threading.Thread] = []
    disk.meanwhile = meanwhile
    full["first"] = 1
    threads[0].join(WAIT_SECONDS)
    assert disk.syncs == 2


def test_log_that_is_closed_meanwhile_is_synced_all_the_same(full: Store[Any], disk: Disk) -> None:
    """As another thread does that closes the last connection; the descriptor is another file's by then, if it can be."""
    engine = full.opened.engine.handle.engine  # type: ignore[attr-defined]

    def sync(number: int) -> None:
        engine.pool.close_within(0.0)
        with open(os.devnull), open(os.devnull):
            disk(number)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(synced_log, "sync_data", sync)
        full["a"] = 1
    assert disk.syncs == 1
    full["b"] = 2
    assert disk.syncs == 2


@pytest.mark.parametrize("write", [WRITES["set"], WRITES["update"]], ids=["set", "update"])
def test_log_that_is_removed_meanwhile_acknowledges_nothing(
    full: Store[Any], disk: Disk, path: Path, write: Callable[[Store[Any]], object]
) -> None:
    """The files are looked at after the sync: also since a file system that has shut down may not fail before."""
    disk.meanwhile = lambda: os.unlink(f"{path}-wal")
    with pytest.raises(errors.OutcomeUnknown, match="was deleted or replaced while it was open"):
        write(full)


# -- interrupts


@pytest.mark.parametrize("write", [WRITES["set"], WRITES["update"]], ids=["set", "update"])
def test_interrupt_of_the_wait(
    full: Store[Any], disk: Disk, written: list[tuple[int, int]], write: Callable[[Store[Any]], object]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    disk.meanwhile = interrupt
    with pytest.raises(KeyboardInterrupt):
        write(full)
    assert full["a"] == 1
    full["b"] = 3
    assert disk.syncs == 2
    assert written, "whether the first sync failed is unknown, and the log was believed"
    assert dict(full) == {"old": 0, "a": 1, "b": 3}


def test_signal_handler_that_writes_during_the_wait(full: Store[Any], disk: Disk) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: full.__setitem__("handler", 1))
    try:
        disk.meanwhile = lambda: signal.raise_signal(signal.SIGUSR1)
        full["a"] = 1
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert dict(full) == {"old": 0, "a": 1, "handler": 1}


# -- a sync that fails


def frames_bytes(path: Path) -> int:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA wal_autocheckpoint = 0")
        return 32 + conn.execute("PRAGMA wal_checkpoint").fetchone()[1] * (24 + 4096)


def test_log_is_written_again_after_a_failed_sync(
    full: Store[Any], disk: Disk, path: Path, written: list[tuple[int, int]]
) -> None:
    """A second sync alone would report success: Linux takes the pages that it could not write for written."""
    disk.fails = 1
    full["a"] = 1
    assert disk.syncs == 2
    assert written[0][0] == 0
    assert sum(written[-1]) == frames_bytes(path)
    assert [at for at, _ in written] == list(range(0, 5000 * len(written), 5000))
    full["b"] = 2
    assert disk.syncs == 3
    assert dict(full) == {"old": 0, "a": 1, "b": 2}


@pytest.mark.parametrize("write", [WRITES["set"], WRITES["update"]], ids=["set", "update"])
def test_disk_that_fails_again(
    full: Store[Any], disk: Disk, written: list[tuple[int, int]], write: Callable[[Store[Any]], object]
) -> None:
    disk.fails = 2
    with pytest.raises(errors.OutcomeUnknown, match="can be read, but the disk failed to store it") as caught:
        write(full)
    assert caught.value.errno == errno.EIO
    assert full["a"] == 1
    disk.fails = 1
    with pytest.raises(errors.StorageError, match="nothing was written, since the disk failed") as refused:
        full["b"] = 0
    assert type(refused.value) is errors.StorageError
    assert full.get("b") != 0
    written.clear()
    full["c"] = 3
    assert written, "the log was believed, though it had not been written again"
    assert disk.syncs == 5
    assert full["c"] == 3


def test_threads_that_wait_for_a_sync_that_fails(
    full: Store[Any], disk: Disk, written: list[tuple[int, int]]
) -> None:
    """None is told that its write is on the disk before the log was written again."""
    said: list[object] = []

    def write() -> None:
        full["theirs"] = 1
        said.append(list(written))

    def meanwhile() -> None:
        threads.extend(together([write]))
        while "theirs" not in full:
            pass

    threads: list[threading.Thread] = []
    disk.meanwhile, disk.fails = meanwhile, 1
    full["ours"] = 1
    assert written
    threads[0].join(WAIT_SECONDS)
    assert said != [[]]


def test_log_that_is_not_in_memory_any_more_is_not_written_again(
    full: Store[Any], disk: Disk, written: list[tuple[int, int]], path: Path
) -> None:
    """As after a failed write whose page was read from the disk again."""
    changed: list[bytes] = []

    def change() -> None:
        with open(f"{path}-wal", "r+b") as file:
            file.seek(3000)
            changed.append(file.read(1))
            file.seek(3000)
            file.write(bytes([changed[0][0] ^ 1]))

    disk.meanwhile, disk.fails = change, 1
    with pytest.raises(errors.OutcomeUnknown, match="the log is damaged"):
        full["a"] = 1
    assert written == []
    with open(f"{path}-wal", "r+b") as file:
        file.seek(3000)
        file.write(changed[0])
    full["b"] = 1
    assert written


def test_last_frame_is_compared_with_the_index(
    full: Store[Any], disk: Disk, written: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame that a rollback left in its place has the checksum of a good one."""
    plain = synced_log.end_of
    monkeypatch.setattr(synced_log, "end_of", lambda index: (plain(index)[0], (1, 2)))  # type: ignore[index]
    disk.fails = 1
    with pytest.raises(errors.OutcomeUnknown, match="the log is damaged"):
        full["a"] = 1
    assert written == []


def test_log_that_was_folded_in_meanwhile_has_nothing_to_write_again(
    full: Store[Any], disk: Disk, written: list[tuple[int, int]], path: Path
) -> None:
    def fold() -> None:
        with closing(sqlite3.connect(path)) as conn:
            assert conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0

    disk.meanwhile, disk.fails = fold, 1
    full["a"] = 1
    assert written == []
    assert full["a"] == 1


def test_name_of_the_log_is_synced_with_it(path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    folders: list[str] = []
    monkeypatch.setattr(synced_log, "sync_folder", folders.append)
    with Store[Any](path, durability="full") as s:
        s["a"] = 1
        s["b"] = 1
        assert folders == [str(path.parent)]


def test_folder_that_may_not_be_opened(path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)

    monkeypatch.setattr(synced_log, "sync_folder", refused)
    with Store[Any](path, durability="full") as s:
        s["a"] = 1
        assert s["a"] == 1


# -- where SQLite must sync


def refuse_log(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(synced_log, "Descriptor", lambda *_: (_ for _ in ()).throw(OSError(errno.EMFILE, "none")))


def no_posix(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(synced_log.range_locks, "IS_POSIX", False)


def unsafe_disks(patched: pytest.MonkeyPatch) -> None:
    class Options:
        def execute(self, statement: str) -> Options:
            return self

        def fetchall(self) -> list[tuple[str]]:
            return [("POWERSAFE_OVERWRITE=0",)]

        def close(self) -> None: ...

    patched.setattr(synced_log, "sqlite3", type("module", (), {"connect": staticmethod(lambda *_: Options())}))


@pytest.mark.parametrize("hide", [refuse_log, no_posix, unsafe_disks])
def test_sqlite_syncs_where_the_log_cannot_be(
    path: Path, disk: Disk, hide: Callable[[pytest.MonkeyPatch], None]
) -> None:
    with Store[Any](path) as s:
        s["a"] = 1
    with pytest.MonkeyPatch.context() as patched:
        hide(patched)
        synced_log.suffices.cache_clear()
        with Store[Any](path, durability="full") as s:
            s["a"] = 2
            assert synchronous(s) == 2
    synced_log.suffices.cache_clear()
    assert disk.syncs == 0
    with Store[Any](path, durability="full") as s:
        s["a"] = 3
        assert synchronous(s) == 1
    assert disk.syncs == 1


def test_log_at_the_path_that_is_another_file_is_not_synced(path: Path, tmp_path: Path) -> None:
    (tmp_path / "app.db-wal").write_bytes(b"")
    status = (tmp_path / "app.db-wal").stat()
    assert synced_log.open_log(f"{path}-wal", (status.st_dev, status.st_ino + 1)) is None
    assert synced_log.open_log(f"{path}-wal", (status.st_dev, status.st_ino)) is not None
    (tmp_path / "app.db-wal").rename(tmp_path / "other")
    (tmp_path / "app.db-wal").symlink_to(tmp_path / "other")
    assert synced_log.open_log(f"{path}-wal", (status.st_dev, status.st_ino)) is None


@pytest.mark.parametrize("lacks_it", [False, True])
def test_memory_of_the_disk_is_synced_on_macos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks_it: bool
) -> None:
    calls: list[object] = []

    class Fcntl:
        @staticmethod
        def fcntl(descriptor: int, command: int) -> None:
            calls.append(command)
            if lacks_it:
                raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(syncing, "fcntl", Fcntl)
    monkeypatch.setattr(syncing, "_FULL", 51)
    monkeypatch.setattr(syncing.os, "fsync", lambda number: calls.append("fsync"))
    syncing._sync_data(3)
    assert calls == ([51, "fsync"] if lacks_it else [51])
