"""Paths that hold something else than a sound store: each is told apart, and nothing that is there is changed."""

from __future__ import annotations

import dbm.dumb
import os
import shelve
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import store
from store import Store
from store.errors import Corrupt, NotAStore, StorageError, StoreNotFound

MODES = ["r", "w", "c", "n"]


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Where another program keeps its database."""
    return tmp_path / "app.sqlite"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "content",
    [b"\n", b"x", b"some text\n", b"a page of it\n" * 400, b"\0" * 8192, b"SQLite format 3\0" + b"x" * 5000],
    ids=["one byte", "one letter", "a line", "a page", "zeros", "a false header"],
)
def test_text_file(tmp_path: Path, mode: str, content: bytes) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    with pytest.raises((NotAStore, Corrupt)) as caught:
        Store(file, mode=mode)
    assert str(file) in str(caught.value)
    assert "choose another file" in str(caught.value) or "restore a backup" in str(caught.value)
    assert file.read_bytes() == content
    assert set(contents(tmp_path)) <= {"notes.txt", "notes.txt.lock"}


@pytest.mark.parametrize("mode", MODES)
def test_directory(tmp_path: Path, mode: str) -> None:
    with pytest.raises(StorageError, match=r"is a directory; a store is a file, for example .*app\.db") as caught:
        Store(tmp_path, mode=mode)
    assert isinstance(caught.value, OSError)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_special_file(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "special"
    with socket.socket(socket.AF_UNIX) as sock:
        if kind == "fifo":
            os.mkfifo(file)
        elif kind == "socket":
            sock.bind(str(file))
        else:
            file = Path("/dev/null")
        with pytest.raises(StorageError, match="is not a regular file; choose another path"):
            Store(file)


@pytest.mark.parametrize("mode", MODES)
def test_missing_parent(tmp_path: Path, mode: str) -> None:
    with pytest.raises(StoreNotFound, match=r"there is no (directory|store)") as caught:
        Store(tmp_path / "missing" / "app.db", mode=mode)
    assert isinstance(caught.value, FileNotFoundError)
    assert caught.value.path == str(tmp_path / "missing" / "app.db")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mode", ["r", "w"])
def test_missing_file(path: Path, mode: str) -> None:
    with pytest.raises(StoreNotFound, match='mode="c" makes one'):
        Store(path, mode=mode)
    assert os.listdir(path.parent) == []


def test_parent_that_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("text")
    with pytest.raises(StoreNotFound, match="there is no directory"):
        Store(path / "app.db")
    assert path.read_text() == "text"


@pytest.mark.parametrize(
    "location, kind, message",
    [
        ("", ValueError, "may not be empty; name a file, or ':memory:'"),
        (None, TypeError, "a store's location is a path or a URL, not None"),
        (7, TypeError, "a store's location is a path or a URL, not 7"),
        ("a\0b", ValueError, "no file can be called"),
        ("\ud800", ValueError, "no file can be called"),
        ("oracle://there", ValueError, "unknown scheme 'oracle' in 'oracle://there': one of sqlite"),
        ("n" * 300, StorageError, "cannot be reached: File name too long"),
    ],
    ids=lambda part: ascii(part)[:30],
)
def test_location_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: Any, kind: type[Exception], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=message):
        Store(location)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a b", "a%20b", "a?mode=memory", "a#b", "ключ", os.fsdecode(b"\xff")])
def test_unusual_file_name_works(tmp_path: Path, name: str) -> None:
    with Store(tmp_path / name) as s:
        s["x"] = 1
    assert os.path.exists(tmp_path / name)
    for mode in "rw":
        with Store(os.fsencode(tmp_path / name), mode=mode) as s:  # type: ignore[arg-type]
            assert s["x"] == 1


FOREIGN = "CREATE TABLE records (name TEXT); INSERT INTO records VALUES ('a'); PRAGMA user_version = 1"


@pytest.mark.parametrize("mode", MODES)
def test_database_of_another_program(foreign: Path, mode: str) -> None:
    with closing(sqlite3.connect(foreign)) as conn:
        conn.executescript(FOREIGN)
    before = contents(foreign.parent)
    with pytest.raises(NotAStore, match="of another program, and was not touched; choose another file") as caught:
        Store(foreign, mode=mode)
    assert caught.value.path == str(foreign)
    after = contents(foreign.parent)
    after.pop("app.sqlite.lock", None)
    assert after == before


@pytest.mark.parametrize("mode", MODES)
def test_database_that_only_has_a_version(foreign: Path, mode: str) -> None:
    with closing(sqlite3.connect(foreign)) as conn:
        conn.execute("PRAGMA user_version = 7")
    before = foreign.read_bytes()
    with pytest.raises(NotAStore):
        Store(foreign, mode=mode)
    assert foreign.read_bytes() == before


HOLD_A_DATABASE_OPEN = f"""
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1])
conn.execute("PRAGMA journal_mode = WAL")
conn.execute("PRAGMA wal_autocheckpoint = 0")
conn.executescript({FOREIGN!r})
print("ready", flush=True)
sys.stdin.readline()
conn.execute("INSERT INTO records VALUES ('b')")
conn.commit()
print(conn.execute("SELECT group_concat(name) FROM records").fetchone()[0], flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("mode", MODES)
def test_database_of_another_program_that_is_writing(foreign: Path, mode: str) -> None:
    """Its newest rows are in a `-wal` that nobody else may fold in, reset or delete."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_A_DATABASE_OPEN, foreign],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        try:
            assert owner.stdin and owner.stdout
            assert owner.stdout.readline() == "ready\n"
            # Read in another process: closing a descriptor here is harmless, this one has no SQLite locks yet.
            before = {suffix: Path(f"{foreign}{suffix}").read_bytes() for suffix in ("", "-wal")}
            assert before["-wal"]
            with pytest.raises(NotAStore, match="of another program, and was not touched"):
                Store(foreign, mode=mode)
            assert {suffix: Path(f"{foreign}{suffix}").read_bytes() for suffix in ("", "-wal")} == before
            owner.stdin.write("\n")
            owner.stdin.flush()
            assert owner.stdout.readline() == "a,b\n"
        finally:
            owner.communicate("\n", timeout=30)
    assert owner.returncode == 0


def test_store_of_a_later_release(path: Path) -> None:
    with Store(path) as s:
        s["x"] = 1
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    for mode in MODES:
        with pytest.raises(NotAStore, match=r"by a later release \(schema 99.*upgrade sealed-store"):
            Store(path, mode=mode)
    assert path.read_bytes() == before


@pytest.mark.parametrize("flag", ["r", "w", "c"])
@pytest.mark.parametrize("kind", ["dumb", "whole name"])
def test_shelf_of_the_standard_library(tmp_path: Path, flag: str, kind: str) -> None:
    shelf = tmp_path / "shelf"
    with shelve.Shelf(dbm.dumb.open(str(shelf), "c")) as old:
        old["a"] = [1]
    if kind == "whole name":  # as gdbm and sqlite3 keep it
        (tmp_path / "shelf.dat").rename(shelf)
        shelf.write_bytes(b"\xce\x9aW\x13" + shelf.read_bytes())
    before = contents(tmp_path)
    with pytest.raises((NotAStore, StoreNotFound)) as caught:
        store.open(str(shelf), flag)
    assert isinstance(caught.value, NotAStore)
    told = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert "not touched" in told
    assert "store import shelve " in told
    after = contents(tmp_path)
    after.pop("shelf.lock", None)
    assert after == before
