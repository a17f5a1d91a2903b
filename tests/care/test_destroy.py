"""`destroy`: a store goes with all that is beside it, or nothing goes."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import store
from store import NotAStore, ReadOnly, StorageError, Store, StoreError, StoreNotFound
from store.engines.sqlite.care import destroy as engine

OPEN = """
    import sys
    from store import Store
    with Store(sys.argv[1]) as s:
        s["b"] = 1
        print("open", flush=True)
        input()
    print("1")
    """


@pytest.fixture
def full(path: Path) -> Path:
    """A store with all that can be beside one, in a folder of its own."""
    folder = path.with_name("folder")
    folder.mkdir()
    full = folder / "app.db"
    with Store[Any](full, spill_bytes=1000) as s:
        s["a"] = 1
        s["large"] = bytes(5000)
        with s.lock("job"), s.within("x") as x:
            x["a"] = 1
    for suffix in ("-open", "-partial"):
        full.with_name(f"app.db{suffix}").touch()
    return full


def test_nothing_is_left(full: Path) -> None:
    (full.parent / "app.db2").touch()
    (full.parent / "other").mkdir()
    (full.parent / "app.db-network").touch()  # as if it had been used over a network
    assert len(list(full.parent.iterdir())) >= 6
    store.destroy(full)
    assert {child.name for child in full.parent.iterdir()} == {"app.db2", "other"}
    with pytest.raises(StoreNotFound):
        store.destroy(full)
    with Store[Any](full) as s:
        assert len(s) == 0


def test_by_url_and_by_link(full: Path) -> None:
    link = full.parent / "link"
    link.symlink_to(full)
    store.destroy(f"sqlite:///{link}")
    assert not full.exists()
    assert full.parent / "link" in full.parent.iterdir()


@pytest.mark.damaged
@pytest.mark.parametrize("content", [b"", b"x", b"some text that is no database" * 100])
def test_refuses_what_is_no_store(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(NotAStore):
        store.destroy(path)
    assert path.read_bytes() == content


def test_refuses_a_database_of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE t (x)")
    with pytest.raises(NotAStore):
        store.destroy(path)
    assert path.exists()


def test_refuses_other_places(path: Path) -> None:
    for place, kind in [(":memory:", ValueError), ("", ValueError), (5, TypeError), (path.parent, StorageError)]:
        with pytest.raises(kind):
            store.destroy(place)  # type: ignore[arg-type]


def untouched(full: Path) -> None:
    with Store[Any](full) as s:
        assert (s["a"], s["large"]) == (1, bytes(5000))


def test_refuses_one_that_this_process_has_open(full: Path) -> None:
    with Store[Any](full) as s:
        with pytest.raises(StorageError, match="this process"):
            store.destroy(full)
    with Store[Any](":memory:") as s, s.transaction(), pytest.raises(StoreError, match="inside a transaction"):
        store.destroy(full)
    untouched(full)


@pytest.mark.slow
def test_refuses_one_that_another_process_has_open(full: Path, start: Any) -> None:
    holder = start(OPEN, full)
    holder.hear()
    with pytest.raises(StorageError, match="another process"):
        store.destroy(full)
    untouched(full)
    holder.say()
    assert holder.result() == 1
    store.destroy(full)
    assert not full.exists()


@pytest.mark.parametrize("folder", ["-spill", "-locks"])
def test_refuses_where_files_of_others_are_in_its_folders(full: Path, folder: str) -> None:
    stray = Path(f"{full}{folder}") / "notes.txt"
    stray.touch()
    with pytest.raises(StorageError, match=r"notes\.txt"):
        store.destroy(full)
    untouched(full)
    stray.unlink()
    store.destroy(full)
    assert list(full.parent.iterdir()) == []


def test_follows_no_planted_link(full: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / ("0" * 32 + ".lock")).touch()
    Path(f"{full}-locks").rmdir()
    Path(f"{full}-locks").symlink_to(victim)
    with pytest.raises(StorageError):
        store.destroy(full)
    assert len(list(victim.iterdir())) == 1
    Path(f"{full}-locks").unlink()
    untouched(full)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anything")
def test_refuses_what_this_user_may_not_write(full: Path) -> None:
    full.parent.chmod(0o500)
    try:
        with pytest.raises(ReadOnly):
            store.destroy(full)
    finally:
        full.parent.chmod(0o700)
    untouched(full)


@pytest.mark.orphans
@pytest.mark.parametrize("steps", range(6))
def test_that_is_interrupted_says_what_to_do_and_resumes(
    full: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    class Killed(BaseException):
        pass

    left = [steps]
    remove = engine._remove

    def remove_or_die(path: str) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        remove(path)

    monkeypatch.setattr(engine, "_remove", remove_or_die)
    with pytest.raises(Killed):
        store.destroy(full)
    monkeypatch.undo()
    for mode in ("r", "w", "c", "n"):
        with pytest.raises(StoreError, match=r"interrupted.*store\.destroy") as caught:
            Store(full, mode=mode)  # type: ignore[arg-type]
        assert isinstance(caught.value, NotAStore)
    store.destroy(full)
    assert list(full.parent.iterdir()) == []

