"""Mode and group of a session store that is made, and of what is made beside any store; whatever the umask."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from store import Store
from store.errors import ReadOnly, StorageError
from store.sessions import Sessions


@pytest.fixture(params=[0o077, 0o022, 0o002, 0], ids="{:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(path: Path) -> dict[str, int]:
    """The modes of a database and of all that lies beside it, inside of folders too."""
    found = [path, *path.parent.glob(path.name + "-*"), *path.parent.glob(path.name + ".*")]
    inner = [file for folder in found if folder.is_dir() for file in folder.iterdir()]
    return {file.name.removeprefix(path.name): stat.S_IMODE(file.stat().st_mode) for file in [*found, *inner]}


def expected(found: dict[str, int], mode: int) -> dict[str, int]:
    folder = mode | (mode & 0o444) >> 2
    return {name: folder if name in ("-spill", "-locks") else mode for name in found}


def used(path: Path) -> dict[str, int]:
    """Their modes while all are there that may be."""
    with Store[Any](path, mode="w", spill_bytes=1000) as s:
        s["large"] = b"x" * 5000
        with s.lock("by name"):
            return modes(path)


def test_session_store_that_is_made_is_private(path: Path, umask: int) -> None:
    with Sessions(path) as sessions:
        sessions.create({"a": 1})
        assert modes(path).keys() >= {"", ".lock", ".changes", "-wal", "-shm"}
        assert modes(path) == expected(modes(path), 0o600)
    found = used(path)
    assert found.keys() >= {"", ".lock", ".changes", "-wal", "-shm", "-spill", "-locks"}
    assert len(found) == 9  # a file in each folder
    assert found == expected(found, 0o600)


@pytest.mark.parametrize("group", ["name", "number"])
def test_session_store_of_a_group_is_open_to_it(path: Path, umask: int, group: str) -> None:
    number = os.getegid()
    with Sessions(path, group=number if group == "number" else grp.getgrgid(number).gr_name) as sessions:
        sessions.create({"a": 1})
        assert modes(path) == expected(modes(path), 0o660)
    found = used(path)
    assert len(found) == 9
    assert found == expected(found, 0o660)


def test_companions_of_a_plain_store_have_its_mode(path: Path, umask: int) -> None:
    Store(path).close()
    assert modes(path) == {"": 0o644 & ~umask, ".lock": 0o644 & ~umask}
    found = used(path)
    assert len(found) == 9
    assert found == expected(found, 0o644 & ~umask)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_file_that_is_there_keeps_its_mode(path: Path, umask: int, mode: int) -> None:
    Store(path).close()
    path.chmod(mode)
    lock = path.with_name(path.name + ".lock")
    lock.chmod(0o640)
    with Sessions(path, group=os.getegid()) as sessions:
        sessions.create({})
    found = used(path)
    assert found.pop(".lock") == 0o640
    assert found == expected(found, mode)


@pytest.mark.parametrize("make", ["empty", "link"])
def test_file_that_is_there_and_empty_keeps_its_mode(path: Path, tmp_path: Path, make: str) -> None:
    (tmp_path / "real.db").touch()
    (tmp_path / "real.db").chmod(0o644)
    if make == "link":
        path.symlink_to(tmp_path / "real.db")
    else:
        path = tmp_path / "real.db"
    with Sessions(path) as sessions:
        sessions.create({})
    assert modes(tmp_path / "real.db") == {"": 0o644, ".lock": 0o644, ".changes": 0o644}


def test_mark_of_network_mode_has_the_mode_of_the_database(
    path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_NETWORK", "1")
    with Sessions(path) as sessions:
        sessions.create({})
        found = modes(path)
    assert found.keys() == {"", ".lock", "-network", "-journal"}
    assert found == expected(found, 0o600)


def test_backup_of_a_private_store_is_private(path: Path, tmp_path: Path, umask: int) -> None:
    with Sessions(path) as sessions:
        sessions.create({})
    used(path)
    with Store[Any](path, mode="r") as s:
        s.backup(tmp_path / "backup.db")
    found = modes(tmp_path / "backup.db")
    assert found == expected(found, 0o600)


@pytest.mark.parametrize("code", [1, 95])
def test_file_system_without_links_makes_them_all_the_same(
    path: Path, umask: int, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def link(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", link)
    with Sessions(path, key="of these tests alone", group=os.getegid()) as sessions:
        sessions.create({})
        assert modes(path) == expected(modes(path), 0o660)
    assert sorted(os.listdir(path.parent)) == ["app.db", "app.db.changes", "app.db.lock"]


@pytest.mark.parametrize("group", ["no such group", True, -1, 2**32 - 1, 1.5])
def test_group_that_is_none_is_refused_and_makes_nothing(path: Path, group: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="group"):
        Sessions(path, group=group)
    assert not path.exists()


def test_group_beside_an_open_store_is_refused(path: Path) -> None:
    with Store(path, trust="own") as s, pytest.raises(TypeError, match="chgrp"):
        Sessions(s, group=0)


def test_nothing_is_made_where_an_option_is_wrong(path: Path) -> None:
    with pytest.raises(ValueError, match="durability"):
        Sessions(path, durability="none")
    assert not path.exists()


def test_folder_that_may_not_be_written_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from store.engines.sqlite.opening import files as sqlite_files

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(sqlite_files, "make_database", refuse)
    with pytest.raises(ReadOnly, match="cannot be written"):
        Sessions(path)
    with pytest.raises(StorageError, match="this user is not in it"):
        Sessions(path, group=1)
