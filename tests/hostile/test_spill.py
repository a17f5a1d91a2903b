"""Lists of files and folders that somebody planted: nothing outside of the record's own files is ever opened."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from buffered import Buffered
from spilling import BIG, OTHER, THEIRS, files, folder_of, listed, only_file, reseal, small_spill

from store import Store
from store.errors import Corrupt, StoreError, Tampered, Untrusted
from store.rows.spilled import is_file, new_file

pytestmark = [pytest.mark.damaged, pytest.mark.filterwarnings("ignore:.*sealed with a key")]

@pytest.fixture
def stored(path: Path) -> Path:
    """`it` is ours, `other` too, both in files."""
    with small_spill(path) as s:
        s["it"] = BIG
        s["other"] = OTHER
    return path


SHAPES = [
    "", "[]", "{}", "17", '"x"', "[[", "[[[", "null", '["/etc/passwd"]', '[["/etc/passwd",1,"00"]]',
    '[["../../../etc/passwd",1,"00"]]', "[[]]", "[[null,null,null]]", "[" * 50_000, "\0",
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("key", [None, THEIRS], ids=["ours", "theirs"])
@pytest.mark.parametrize("body", [b"", pickle.dumps("plain")], ids=["no body", "a body"])
def test_list_of_every_wrong_shape(stored: Path, opened: list[str], shape: str, key: bytes | None, body: bytes) -> None:
    """Even where a seal of ours holds."""
    reseal(stored, key, spill=shape, body=body)
    with small_spill(stored) as s:
        for read in (lambda: s["it"], lambda: list(s.values())):
            with pytest.raises(Corrupt, match="nothing was opened"):
                read()
        assert s.record("it").size >= len(body)
        assert s.inspect("it").problem or body
        assert [entry[:2] for entry in s.verify().files] == [("", "it")]
        assert not [name for name in opened if not is_file(name)]
        s["it"] = "new"
        assert (s["it"], s["other"]) == ("new", OTHER)
        s.compact()
        assert s["other"] == OTHER


@pytest.mark.parametrize("key", [None, THEIRS], ids=["ours", "theirs"])
def test_file_of_another_record_is_not_reached(stored: Path, opened: list[str], key: bytes | None) -> None:
    with small_spill(stored) as s:
        row = s.opened.find("other")
        assert row is not None
    reseal(stored, key, spill=row.spill, body=b"")
    with small_spill(stored, trust="all") as s:
        with pytest.raises(Corrupt, match="nothing was opened"):
            s["it"]
        assert opened == []
        del s["it"]
        s.compact()
        assert s["other"] == OTHER  # whose file was not given up with it
        assert s.verify().ok


@pytest.mark.parametrize("way", ["symbolic link", "directory", "pipe"])
def test_something_else_under_the_name_of_a_file(stored: Path, tmp_path: Path, way: str) -> None:
    secret = tmp_path / "secret"
    with small_spill(stored) as s:
        row = s.opened.find("it")
        assert row is not None and row.spill is not None
        file = folder_of(stored) / json.loads(row.spill)[0][0]
        shutil.copy(file, secret)
        file.unlink()
        if way == "symbolic link":
            file.symlink_to(secret)
        elif way == "directory":
            file.mkdir()
        else:
            os.mkfifo(file)
        with pytest.raises(StoreError, match=r"is a link|no regular file|cannot be read"):
            s["it"]
        assert s.verify().files
        s["it"] = 1
        s.compact()
        assert secret.exists() and s["other"] == OTHER


def test_garbage_that_was_planted_reaches_nothing_outside(stored: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("x")
    planted = ["../outside", str(outside), "", ".", "..", "x/../../outside"]
    with closing(sqlite3.connect(stored)) as conn:
        conn.executemany("INSERT INTO garbage VALUES (?)", [(name,) for name in planted])
        conn.commit()
    with small_spill(stored) as s:
        s["more"] = 1
        s.compact()
        assert dict(s) == {"it": BIG, "other": OTHER, "more": 1}
    assert outside.exists()
    with closing(sqlite3.connect(stored)) as conn:
        assert conn.execute("SELECT count(*) FROM garbage").fetchone() == (0,)


def test_list_that_was_altered_is_tampered_and_nothing_is_opened(stored: Path, opened: list[str]) -> None:
    with closing(sqlite3.connect(stored)) as conn:
        conn.execute("UPDATE records SET spill = replace(spill, '\"]', '') WHERE name = 'it'")
        conn.commit()
    with small_spill(stored, trust="all") as s:
        with pytest.raises(Tampered):
            s["it"]
        assert opened == []


class Evil:
    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.folder,)


def test_body_of_somebody_else_is_decoded_with_restraint(path: Path, tmp_path: Path) -> None:
    evil = [Evil(tmp_path / "evil"), BIG]
    with small_spill(path, key=THEIRS, trust="own") as s:
        s.update(it=evil, plain=[BIG, {"x": 1}])
    with small_spill(path) as s:
        with pytest.raises(Untrusted, match="mkdir"):
            s["it"]
        assert s["plain"] == [BIG, {"x": 1}]
        assert s.inspect("it").globals == ("posix.mkdir",)
        with pytest.raises(Untrusted):
            s.touch("it", 5)
    assert not (tmp_path / "evil").exists()


def test_our_own_body_that_was_exchanged_is_not_decoded(path: Path, tmp_path: Path) -> None:
    """The seal holds the checksum, and that is compared before anything of a body is looked at."""
    with small_spill(path) as s:
        s["it"] = BIG
        evil = pickle.dumps([Evil(tmp_path / "evil"), BIG])
        only_file(path).write_bytes((evil + bytes(9999))[: only_file(path).stat().st_size])
        with pytest.raises(Corrupt, match="is altered"):
            s["it"]
        assert s.inspect("it").problem
    assert not (tmp_path / "evil").exists()


def test_buffer_of_somebody_else_is_compared_and_not_mapped(path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(50_000)
    with small_spill(path, key=THEIRS) as s:
        s.put("it", array, codec="numpy")
    with small_spill(path) as s:
        found = s["it"]
        only_file(path).write_bytes(bytes(array.nbytes))
        assert (found == array).all()
        with pytest.raises(Corrupt, match="is altered"):
            s["it"]


def test_holes_of_somebody_else_take_no_memory(path: Path) -> None:
    with small_spill(path, key=THEIRS) as s:
        s["it"] = BIG
    name = only_file(path).name
    os.truncate(only_file(path), 10**13)
    reseal(path, THEIRS, spill=listed([name, 10**13, "0" * 64]))
    with small_spill(path) as s:
        with pytest.raises(Corrupt, match="nothing but holes"):
            s["it"]
        s["it"] = 1


def test_pickled_array_of_somebody_else_is_read_and_one_of_objects_refused(path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    with small_spill(path, key=THEIRS) as s:
        s["it"] = numpy.arange(50_000)
        s["objects"] = numpy.array([{}] * 50_000)
    with small_spill(path) as s:
        assert (s["it"] == numpy.arange(50_000)).all()
        with pytest.raises(Untrusted, match="dtype=object"):
            s["objects"]
    with small_spill(path, trust="all") as s:
        assert (s["it"] == numpy.arange(50_000)).all()


def test_more_buffers_than_the_list_has(path: Path) -> None:
    """A list that was cut short, by whoever has the key or another one."""
    for key in (None, THEIRS):
        with small_spill(path) as s:
            s["it"] = [Buffered(BIG), Buffered(OTHER)]
            row = s.opened.find("it")
            assert row is not None and row.spill is not None
        reseal(path, key, spill=listed(json.loads(row.spill)[0]))
        with small_spill(path, allow=[Buffered]) as s, pytest.raises(Corrupt):
            s["it"]


def test_file_with_a_name_that_fits_and_no_record_is_an_orphan(stored: Path) -> None:
    name = new_file("0" * 32)
    (folder_of(stored) / name).write_bytes(b"x")
    with small_spill(stored) as s:
        assert s.verify().orphans == [name] and s.verify().ok
        assert s.compact().orphans == 1
        assert len(files(stored)) == 2


def test_compact_keeps_the_files_of_a_damaged_row(stored: Path) -> None:
    """Whoever restores the row from a backup finds them."""
    with closing(sqlite3.connect(stored)) as conn:
        conn.execute("UPDATE records SET spill = 'x' || spill WHERE name = 'it'")
        conn.commit()
    with small_spill(stored) as s:
        assert s.verify().orphans == []
        assert s.compact().orphans == 0
        assert len(files(stored)) == 2


def test_store_in_memory_refuses_what_lies_in_files(stored: Path) -> None:
    with small_spill(stored) as s, Store[Any](":memory:") as memory:
        row = s.opened.find("it")
        assert row is not None
        with pytest.raises(Corrupt, match="here there are none"):
            memory.opened.values.unpack(memory.opened.values.sealer.seal(row))
