"""What the system refuses: the true reason, its number, and what to do. SQLite says SQLITE_CANTOPEN to all of it."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from store import Store
from store.errors import StorageError

EVERYBODYS = tempfile.gettempdir()  # the machine's; each test has a temporary folder of its own
ROOT_NEEDED = "another user's file is needed, and only root makes such: not tested here"


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """This process can open so many files more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    filler = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[0], 512), limits[1]))
    try:
        while True:
            filler.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        for _ in range(count):
            os.close(filler.pop())
    try:
        yield
    finally:
        for descriptor in filler:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("left", range(5))
def test_no_descriptor_left(path: Path, left: int) -> None:
    with Store[Any](path) as s:
        s["a"] = 1
    problem: StorageError | None = None
    with descriptors_left(left):
        try:
            with Store[Any](path) as s:
                s["b"] = s["a"]
        except StorageError as exc:
            problem = exc
    if left < 2:  # a database and its log
        assert problem is not None
    if problem is not None:
        assert problem.errno == errno.EMFILE
        assert "close some, or raise that limit" in str(problem)
    with Store[Any](path) as s:
        assert s["a"] == 1


@pytest.mark.parametrize("left", range(2))
def test_no_descriptor_left_for_a_store_that_is_open(path: Path, left: int) -> None:
    with Store[Any](path) as s:
        s["a"] = 1
        s.opened.engine.handle.engine.pool.close_idle(1.0)  # type: ignore[attr-defined]
        with descriptors_left(left), pytest.raises(StorageError, match="close some, or raise that limit") as caught:
            s["a"] = 2
        assert caught.value.errno == errno.EMFILE
        s["a"] = 3
        assert s["a"] == 3


def path_of(folder: Path, length: int) -> Path:
    """One of so many bytes, whose folder is there."""
    while length - len(os.fsencode(folder)) > 200:
        folder = folder / ("d" * 100)
    folder.mkdir(parents=True)
    return folder / ("a" * (length - len(os.fsencode(folder)) - 1))


def test_path_that_is_too_long_for_sqlite(tmp_path: Path) -> None:
    long = path_of(tmp_path / "long", 504)
    with Store[Any](long) as s:
        s["a"] = 1
        with pytest.raises(StorageError, match="its path has 512 bytes, and SQLite takes up to 504") as caught:
            s.backup(long.with_name(long.name[:-1] + "b"))
        assert caught.value.errno == errno.ENAMETOOLONG
    longer = path_of(tmp_path / "longer", 505)
    with pytest.raises(StorageError, match="its path has 505 bytes, and SQLite takes up to 504: keep it") as caught:
        Store(longer)
    assert caught.value.errno == errno.ENAMETOOLONG
    assert not longer.exists()


# -- as a user without rights

AS_NOBODY = """
import os, sys, warnings
warnings.simplefilter("ignore")
import filelock, shutil, tempfile, store.care.backup, store.codecs.restricted.machine, store.care.recover
import store.engines.sqlite.backend, store.engines.sqlite.care.backup, store.engines.sqlite.care.restore, store.engines.sqlite.salvage.salvage
import store.trust.keys.changing
from store import Store, errors
with Store(":memory:") as s:  # whatever is imported late is imported now, with rights
    s["x"] = 1
# IMPORTED
os.umask(0o022)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
path, *rest = sys.argv[1:]
"""
IMPORTED = """
with tempfile.TemporaryDirectory() as folder, Store(folder + "/a.db", spill_bytes=1000) as s:
    s["large"] = b"x" * 5000
    s.backup(folder + "/b.db")
    store.restore(folder + "/b.db", folder + "/c.db")
    store.recover(folder + "/b.db", folder + "/d.db")
"""


def as_nobody(code: str, *args: object) -> str:
    run = subprocess.run(
        [sys.executable, "-c", AS_NOBODY.replace("# IMPORTED", IMPORTED) + code, *map(str, args)],
        stdout=subprocess.PIPE, text=True, timeout=60, check=True,
    )  # fmt: skip
    return run.stdout


@pytest.fixture
def reachable(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that every user of the machine can reach; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="refused-", dir=EVERYBODYS))
    folder.chmod(0o755)
    (folder / "home").mkdir()
    (folder / "home").chmod(0o777)
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "home"))
    monkeypatch.setenv("TMPDIR", str(folder / "home"))
    yield folder
    for place, _, _ in os.walk(folder):
        os.chmod(place, 0o755)
    rmtree(folder)


OPENS = """
for mode in "rwc":
    try:
        Store(path, mode=mode).close()
    except errors.StorageError as exc:
        print(exc.errno, exc)
"""


@pytest.mark.slow
def test_file_that_may_not_be_read(reachable: Path) -> None:
    with Store[Any](reachable / "a.db") as s:
        s["a"] = 1
    (reachable / "a.db").chmod(0)
    if os.access(reachable / "a.db", os.R_OK) and os.geteuid() != 0:
        pytest.skip("this file system knows no rights: not tested here")
    told = as_nobody(OPENS, reachable / "a.db").splitlines()
    assert len(told) == 3
    for line in told:
        assert line.startswith(f"{errno.EACCES} {reachable}/a.db: it may not be read by this user: have its owner")


BACKS_UP = """
with Store(path, mode="r") as s:
    for _ in range(2):  # the second one replaces the first
        print(s.backup(rest[0]).files)
print(store.restore(rest[0], rest[1]).records, store.recover(path, rest[2]).files)
with Store(rest[0]) as s:
    s["new"] = 2
    print(s["a"], len(s["large"]))
"""


@pytest.mark.slow
def test_read_only_store_of_another_user_is_backed_up_by_an_ordinary_one(reachable: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip(ROOT_NEEDED)
    source, target = reachable / "source", reachable / "target"
    source.mkdir(0o755)
    target.mkdir()
    target.chmod(0o777)
    with Store[Any](source / "a.db", spill_bytes=1000) as s:
        s.update(a=1, large=b"x" * 5000)
    for place, _, files in os.walk(source, topdown=False):
        for file in files:
            os.chmod(os.path.join(place, file), 0o444)
        os.chmod(place, 0o555)
    told = as_nobody(BACKS_UP, source / "a.db", target / "b.db", target / "c.db", target / "d.db")
    assert told.split() == ["1", "1", "2", "1", "1", "5000"]
    assert (target / "b.db").stat().st_uid == 65534
