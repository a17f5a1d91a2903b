"""Where a shelf of the standard library stands, `store.open` refuses, and says how to copy it."""

from __future__ import annotations

import dbm.dumb
import hashlib
import re
import shelve
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sources import dbm_modules

import store
from store import Store
from store.errors import NotAStore

CONTENT = {"alice": {"age": 30}, "bob": [1, 2.5, None], "é'\"": ("quoted", b"bytes")}


@pytest.fixture(params=dbm_modules(), ids=lambda module: module.__name__)
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The path by which a program opened a shelf; the files are named after it as its dbm module does."""
    folder = tmp_path / "it's old"
    folder.mkdir()
    path = folder / "shelf"
    with shelve.Shelf(request.param.open(str(path), "c")) as old:
        old.update(CONTENT)
    return path


def contents_of(folder: Path) -> dict[str, str]:
    """What lies there, by name and digest."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def message_of(error: BaseException) -> str:
    """As a traceback shows it."""
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


@pytest.mark.parametrize("flag", ["r", "w", "c"])
def test_is_refused_and_untouched(shelf: Path, flag: str) -> None:
    before = contents_of(shelf.parent)
    for filename in (shelf, str(shelf)):
        with pytest.raises(NotAStore) as caught:
            store.open(filename, flag)  # type: ignore[arg-type]
        message = message_of(caught.value)
        assert "`store import shelve " in message
        assert "not touched" in message
        assert caught.value.path is not None
        assert caught.value.path.startswith(str(shelf))
    after = contents_of(shelf.parent)
    for name in (shelf.name + "-shm", shelf.name + "-wal"):  # looking at a database in WAL mode makes them
        after.pop(name, None)
    assert after == before


@pytest.mark.slow
def test_can_be_copied_as_the_message_says(shelf: Path) -> None:
    with pytest.raises(NotAStore) as caught:
        store.open(shelf)
    recipe = re.search(r"`store (import shelve .*?)`;", message_of(caught.value))
    assert recipe is not None
    command = [sys.executable, "-W", "error", "-m", "store", *shlex.split(recipe[1])]
    subprocess.run(command, check=True, timeout=60)
    with store.open(f"{shelf}.store") as copied:
        assert copied == CONTENT
    with shelve.open(str(shelf), "r") as old:
        assert dict(old) == CONTENT


def test_of_sqlite3_is_refused_where_this_python_cannot_make_one(path: Path) -> None:
    with closing(sqlite3.connect(path)) as conn:  # as dbm.sqlite3 of Python 3.13 does
        conn.execute("CREATE TABLE Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)")
        conn.execute("INSERT INTO Dict VALUES (x'61', x'80054b012e')")
        conn.commit()
    before = path.read_bytes()
    for flag in "rwcn":
        with pytest.raises(NotAStore) as caught:
            store.open(path, flag)
        assert "`store import shelve " in message_of(caught.value)
    assert path.read_bytes() == before


def test_of_gdbm_is_refused_where_this_python_cannot_make_one(path: Path) -> None:
    path.write_bytes(b"\xcf\x9a\x57\x13" + bytes(4092))  # its magic number
    for flag in "rwcn":
        with pytest.raises(NotAStore) as caught:
            store.open(path, flag)
        assert "`store import shelve " in message_of(caught.value)
    assert path.read_bytes() == b"\xcf\x9a\x57\x13" + bytes(4092)
    path.unlink()


@pytest.mark.parametrize("suffix", [".dat", ".dir", ".bak", ".db"])
def test_is_recognised_by_each_of_its_files(tmp_path: Path, suffix: str) -> None:
    Path(f"{tmp_path / 'shelf'}{suffix}").write_bytes(b"an old shelf")
    with pytest.raises(NotAStore, match=re.escape(suffix)):
        store.open(tmp_path / "shelf")
    assert [file.name for file in tmp_path.iterdir()] == ["shelf" + suffix]
    (tmp_path / f"shelf{suffix}").unlink()


def test_flag_n_starts_anew_beside_it(tmp_path: Path) -> None:
    with shelve.Shelf(dbm.dumb.open(str(tmp_path / "shelf"), "c")) as old:
        old.update(CONTENT)
    with store.open(tmp_path / "shelf", "n") as fresh:
        assert dict(fresh) == {}
    with store.open(tmp_path / "shelf") as again:  # now the name is that of a store
        assert dict(again) == {}


def test_store_of_ours_beside_the_name_is_none(tmp_path: Path) -> None:
    with Store[Any](tmp_path / "data.db") as s:
        s["a"] = 1
    with store.open(tmp_path / "data") as other:
        assert dict(other) == {}
    with store.open(tmp_path / "data.db") as s:
        assert s["a"] == 1


def test_store_itself_does_not_look_for_shelves(tmp_path: Path) -> None:
    (tmp_path / "app.dat").write_bytes(b"some other program's")
    with Store[Any](tmp_path / "app") as s:
        assert dict(s) == {}
