"""Media that cannot be written: what lies on them is read whole, and who would write is told so."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store import ReadOnly, Store, StoreNotFound
from store.engines.sqlite.engine import wal_index

pytestmark = pytest.mark.heavy

MACHINES_TEMPORARY = tempfile.gettempdir()  # each test has a temporary folder of its own
TIMEOUT = 60.0  # seconds

NOBODY = """
import json, os, shutil, sys, tempfile, traceback  # what is loaded late nobody could read where Python is in a home
import store.codecs.pickle, store.codecs.restricted.machine, store.engines.sqlite.backend, store.engines.sqlite.spill.reading
import store.engines.sqlite.spill.writing, store.engines.transaction, filelock, platformdirs
from store import Store
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    with Store(sys.argv[1], mode=sys.argv[2], spill_bytes=1000) as s:
        print({name: len(value) for name, value in s.items()})
except OSError as exc:
    print(type(exc).__name__, exc)
"""


def mount(*arguments: object) -> None:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"file systems cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of its own; skips where mounting is not permitted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "none", place)
    yield place
    unmount(place)


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A folder, and another place where it is shown read-only, as to a container."""
    folder, place = tmp_path / "folder", tmp_path / "shown"
    folder.mkdir()
    place.mkdir()
    mount("--bind", folder, place)
    mount("-o", "remount,bind,ro", place)
    yield folder, place
    unmount(place)


def unmount(place: Path) -> None:
    wal_index.release_unused(keep=0)  # it keeps descriptors of some files that are closed, which keep the disk
    subprocess.run(["umount", place], check=True)


def killed_writer(path: Path) -> None:
    """Leaves a store whose records are in the WAL only, and large values in files."""
    source = """
        s = Store(sys.argv[1], spill_bytes=1000)
        s.update({"small": b"x", "large": b"y" * 5000})
        s["large"] = b"z" * 5000
        os.kill(os.getpid(), 9)
    """
    code = "import os, sys\nfrom store import Store\n" + "\n".join(line.strip() for line in source.splitlines())
    done = subprocess.run([sys.executable, "-c", code, str(path)], timeout=TIMEOUT, check=False)
    assert done.returncode == -signal.SIGKILL


EXPECTED = {"small": b"x", "large": b"z" * 5000}


@pytest.mark.parametrize("left", ["closed", "wal", "wal and index"])
def test_reader_of_a_disk_finds_all_large_values(disk: Path, left: str) -> None:
    path = disk / "app.db"
    killed_writer(path)
    if left == "closed":
        with Store[Any](path, spill_bytes=1000):
            pass
        assert not os.path.exists(f"{path}-wal")
    elif left == "wal":
        os.unlink(f"{path}-shm")
    mount("-o", "remount,ro", disk)
    with Store[Any](path, mode="r") as s:
        assert dict(s) == EXPECTED
        assert s.verify().sealed == 2


@pytest.mark.parametrize("mode", ["c", "w", "n"])
def test_writer_is_told_to_read(disk: Path, mode: str) -> None:
    path = disk / "app.db"
    killed_writer(path)
    mount("-o", "remount,ro", disk)
    with pytest.raises(ReadOnly, match='mode="r"'):
        Store(path, mode=mode)  # type: ignore[arg-type]
    with Store[Any](path, mode="r") as s:
        assert dict(s) == EXPECTED


@pytest.mark.parametrize("mode", ["c", "w", "r"])
def test_store_that_is_not_there(disk: Path, mode: str) -> None:
    mount("-o", "remount,ro", disk)
    with pytest.raises(ReadOnly if mode == "c" else StoreNotFound):
        Store(disk / "none.db", mode=mode)  # type: ignore[arg-type]


def test_folder_that_is_only_shown_read_only(shown: tuple[Path, Path]) -> None:
    """Others write there: an immutable database would be read as a mixture of what it was and what it is."""
    folder, place = shown
    old = {str(i): bytes([i]) * 900 for i in range(200)}
    with Store[Any](folder / "app.db") as s:
        s.update(old)
    with Store[Any](place / "app.db", mode="r", cache_bytes=0) as reader:
        assert reader["0"] == old["0"]
        with Store[Any](folder / "app.db") as s:
            s.update(dict.fromkeys(old, b"new"))
            s.compact()
        assert dict(reader) == old
    with Store[Any](place / "app.db", mode="r") as reader:
        assert set(reader.values()) == {b"new"}


def test_folder_that_is_shown_read_only_while_somebody_writes(shown: tuple[Path, Path]) -> None:
    folder, place = shown
    with Store[Any](folder / "app.db") as s:
        s["a"] = 1
        with Store[Any](place / "app.db", mode="r") as reader:
            assert reader["a"] == 1
            s["a"] = 2
            assert reader["a"] == 2
    with pytest.raises(ReadOnly, match='mode="r"'):
        Store(place / "app.db")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without rights here")
@pytest.mark.parametrize(("mode", "says"), [("r", "{'small': 1, 'large': 5000}"), ("w", "ReadOnly"), ("c", "ReadOnly")])
def test_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, says: str) -> None:
    place = Path(tempfile.mkdtemp(prefix="read-only-", dir=MACHINES_TEMPORARY))  # where nobody can look
    try:
        monkeypatch.setenv("STORE_KEY", "7" * 64)
        killed_writer(place / "app.db")
        os.unlink(place / "app.db-shm")
        (place / "app.db-spill").chmod(0o555)
        for file in [*place.glob("app.db*"), *place.glob("app.db-spill/*")]:
            if file.is_file():
                file.chmod(0o444)
        place.chmod(0o555)
        environment = {**os.environ, "TMPDIR": MACHINES_TEMPORARY}
        done = subprocess.run(
            [sys.executable, "-c", NOBODY, place / "app.db", mode],
            env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
        assert done.stdout.startswith(says), done.stderr
        assert mode == "r" or 'mode="r"' in done.stdout
    finally:
        shutil.rmtree(place)
