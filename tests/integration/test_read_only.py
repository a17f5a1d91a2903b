"""`mode="r"` reads what was acknowledged, wherever the file lies, and changes nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from store import NotAStore, ReadOnly, Store, StoreNotFound

MACHINES_TEMPORARY = tempfile.gettempdir()  # each test has a temporary folder of its own

WRITER = """
import sys
from store import Store
s = Store(sys.argv[1])
for i in range(int(sys.argv[2])):
    s[str(i)] = i
print("written", flush=True)
sys.stdin.read()
"""

READER = """
import os, shutil, sys, tempfile  # what is loaded late nobody could read where Python is in a home
import store.codecs.pickle, store.codecs.restricted.machine, store.engines.sqlite.backend
from store import Store
if len(sys.argv) > 2:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
with Store(sys.argv[1], mode="r") as s:
    print(len(s), sum(s.values()))
"""


@pytest.fixture
def writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path, int], subprocess.Popen[str]]]:
    """Starts a process that writes so many records and then waits, the store still open."""
    monkeypatch.setenv("STORE_KEY", "7" * 64)
    started: list[subprocess.Popen[str]] = []

    def start(file: Path, records: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, file, str(records)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=60)


@pytest.fixture
def left_by_the_killed(writer: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> Path:
    """A folder with a store whose last 100 records are in the WAL only, and no `-shm`."""
    folder = tmp_path / "place"
    folder.mkdir()
    process = writer(folder / "app.db", 100)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    assert (folder / "app.db-wal").stat().st_size > 0
    (folder / "app.db-shm").unlink(missing_ok=True)
    return folder


def read(file: Path, *, as_nobody: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-c", READER, file, *(["nobody"] if as_nobody else [])],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout.strip() or done.stderr


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_reader_sees_what_was_closed(path: Path) -> None:
    with Store[int](path) as s:
        s.update({"a": 1, "b": 2})
    before = path.read_bytes()
    with Store[int](path, mode="r") as s:
        assert dict(s) == {"a": 1, "b": 2}
    assert path.read_bytes() == before


@pytest.mark.slow
def test_reader_sees_the_wal_of_a_living_writer(writer: Callable[..., Any], path: Path) -> None:
    writer(path, 50)
    before = path.read_bytes()
    assert read(path) == f"50 {sum(range(50))}"
    assert path.read_bytes() == before


@pytest.mark.slow
def test_reader_sees_the_wal_of_a_killed_writer(left_by_the_killed: Path) -> None:
    before = (left_by_the_killed / "app.db").read_bytes()
    assert read(left_by_the_killed / "app.db") == f"100 {sum(range(100))}"
    assert (left_by_the_killed / "app.db").read_bytes() == before


def test_reader_waits_for_no_writer(path: Path) -> None:
    with Store[int](path) as s, s.transaction():
        s["a"] = 1
        assert read(path) == "0 0"
        with Store[int](path, mode="r", timeout=0) as beside:
            assert list(beside) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without rights here")
@pytest.mark.slow
def test_reader_without_rights_to_the_folder_reads_a_private_copy(left_by_the_killed: Path) -> None:
    place = Path(tempfile.mkdtemp(prefix="read-only-", dir=MACHINES_TEMPORARY))  # where nobody can look
    try:
        for file in left_by_the_killed.iterdir():
            shutil.copy(file, place)
            (place / file.name).chmod(0o444)
        place.chmod(0o555)
        os.environ["TMPDIR"] = MACHINES_TEMPORARY  # undone with the test's other variables
        before = contents(place)
        assert read(place / "app.db", as_nobody=True) == f"100 {sum(range(100))}"
        assert contents(place) == before
    finally:
        shutil.rmtree(place)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of its own; skips where mounting is not permitted."""
    place = tmp_path / "mount"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "none", place], capture_output=True, text=True, check=False)
    if mount.returncode:
        pytest.skip(f"file systems cannot be mounted here: {mount.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def remount_read_only(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)


def test_reader_of_a_read_only_mount_with_all_in_the_database(mounted: Path) -> None:
    with Store[int](mounted / "app.db") as s:
        s.update({str(i): i for i in range(10)})
    remount_read_only(mounted)
    before = contents(mounted)
    with Store[int](mounted / "app.db", mode="r") as s:
        assert sum(s.values()) == sum(range(10))
    assert contents(mounted) == before


@pytest.mark.slow
def test_reader_of_a_read_only_mount_with_a_wal(left_by_the_killed: Path, mounted: Path) -> None:
    for file in left_by_the_killed.iterdir():
        shutil.copy(file, mounted)
    remount_read_only(mounted)
    with Store[int](mounted / "app.db", mode="r") as s:
        assert (len(s), sum(s.values())) == (100, sum(range(100)))
        copies = list(Path(tempfile.gettempdir()).glob("store-*"))
        assert len(copies) == 1
    assert not copies[0].exists()


def test_writer_of_a_read_only_mount_is_told_to_read(mounted: Path) -> None:
    Store(mounted / "app.db").close()
    remount_read_only(mounted)
    with pytest.raises(ReadOnly, match='mode="r"'):
        Store(mounted / "app.db")


@pytest.mark.parametrize(
    "write",
    [
        lambda s: s.__setitem__("a", 2), lambda s: s.__delitem__("a"), lambda s: s.put("a", 2), lambda s: s.clear(),
        lambda s: s.pop("a"), lambda s: s.popitem(), lambda s: s.setdefault("b", 1), lambda s: s.update(b=1),
        lambda s: s.modify("a", lambda n: n + 1), lambda s: s.edit("a").__enter__(), lambda s: s.touch("a", 1),
        lambda s: s.purge(), lambda s: s.transaction(),
    ],
    ids=["set", "del", "put", "clear", "pop", "popitem", "setdefault", "update", "modify", "edit", "touch", "purge", "transaction"],
)  # fmt: skip
def test_reader_cannot_write(path: Path, write: Callable[[Store[int]], Any]) -> None:
    with Store[int](path) as s:
        s["a"] = 1
    with Store[int](path, mode="r") as s:
        with pytest.raises(ReadOnly, match='mode="w"'):
            write(s)
        assert dict(s) == {"a": 1}


def test_reader_of_nothing(path: Path) -> None:
    with pytest.raises(StoreNotFound, match='mode="c" makes one'):
        Store(path, mode="r")
    path.touch()
    with pytest.raises(NotAStore, match="empty"):
        Store(path, mode="r")
    assert path.read_bytes() == b""
