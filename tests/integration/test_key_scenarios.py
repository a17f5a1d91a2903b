"""Six ways in which a key changes under its user: what reads on, and the exact remedy that the messages name."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import store
from store import Store
from store.classes import allowlist
from store.errors import Untrusted

BRING = "bring that key: name its file in STORE_KEY_FILE; if it is lost, look at them and take them over: "
PLAIN = {"theme": "dark", "sizes": [1, 2, (3, 4)]}
REMEDY_AT_READ = f"put @store.allow above it, or open the store with allow=['{__name__}.Thing']"


class Thing:
    """A class of the program's own."""


@contextmanager
def told(path: Path) -> Iterator[tuple[Store[object], str]]:
    """The store, opened as a program of the user does, and the one warning at open."""
    with pytest.warns(UserWarning) as warned:
        s = Store[object](path)
    with s:
        yield s, str(warned[0].message)
    assert len(warned) == 1


def as_user(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go on as a user with that home, which is made; where that user's key is kept."""
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    return home / "data" / "sealed-store" / "keys"


def write(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s = Store[object](path)
    with s:
        s["plain"] = PLAIN
        s["thing"] = Thing()


def check_plain_data_only(path: Path, *remedies: str) -> None:
    """Plain data reads on; the warning and the error name the remedy."""
    with told(path) as (s, warning):
        assert s["plain"] == PLAIN
        with pytest.raises(Untrusted) as caught:
            s["thing"]
    for remedy in (str(path), f"{BRING}`store admit {path} --all`", *remedies):
        assert remedy in warning
    assert REMEDY_AT_READ in str(caught.value)
    assert "bring the key it was sealed with (STORE_KEY_FILE)" in str(caught.value)
    for remedy in remedies:
        if "STORE_KEY_FILE=" in remedy:
            assert remedy in str(caught.value)


def check_all_is_mine(path: Path) -> None:
    """No warning (they are errors here), and everything decodes in full."""
    with Store[object](path, trust="own") as s:
        assert s["plain"] == PLAIN
        assert type(s["thing"]) is Thing


def test_container_that_was_rebuilt(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home is gone with the old container; the database was on a volume."""
    old = as_user(tmp_path / "old", monkeypatch)
    write(path)
    new = as_user(tmp_path / "new", monkeypatch)
    check_plain_data_only(path, f"keys from {new}")
    assert not new.exists()
    mounted = tmp_path / "mounted"
    old.rename(mounted)
    monkeypatch.setenv("STORE_KEY_FILE", str(mounted))
    check_all_is_mine(path)


def test_root_beside_the_user(path: Path, own_key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sudo -E`, or cron: the home is the user's, and so is the key file."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: only root can give the key file to another user")
    write(path)
    os.chown(own_key, 65534, -1)
    remedy = f"chown it if it is yours; to use it as it is, set STORE_KEY_FILE={own_key}"
    check_plain_data_only(path, f"{own_key} belongs to another user and was not used: {remedy}")
    monkeypatch.setenv("STORE_KEY_FILE", str(own_key))
    check_all_is_mine(path)
    monkeypatch.delenv("STORE_KEY_FILE")
    os.chown(own_key, 0, -1)
    check_all_is_mine(path)


@pytest.mark.damaged
def test_service_user_without_a_home(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "nonexistent"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_DATA_HOME")
    with Store[object](path) as s:
        s["plain"] = PLAIN
        assert s["plain"] == PLAIN
        with pytest.raises(Untrusted) as caught:
            s["thing"] = Thing()
        assert "thing" not in s
    assert f"the home directory {home} does not exist" in str(caught.value)
    assert "Name a key file in STORE_KEY_FILE, or pass key=; or allow the class with @store.allow" in str(
        caught.value
    )
    assert not home.exists()
    (tmp_path / "key").write_text("a1" * 32 + "\n")
    monkeypatch.setenv("STORE_KEY_FILE", str(tmp_path / "key"))
    write(path)
    check_all_is_mine(path)


def test_backup_restored_on_a_new_machine(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new machine has a key of its own already, and the old one's is in the backup."""
    old = as_user(tmp_path / "old", monkeypatch)
    write(path)
    with Store[object](path) as s:
        old_id = s.record("thing").sealed_by
    new = as_user(tmp_path / "new", monkeypatch)
    with Store[object](tmp_path / "other.db") as s:
        s["x"] = 1
    check_plain_data_only(path, f"({old_id}; keys from {new})")
    monkeypatch.setenv("STORE_KEY_FILE", str(old))
    check_all_is_mine(path)
    monkeypatch.delenv("STORE_KEY_FILE")
    new.write_text(new.read_text() + old.read_text())  # or both: the new one seals
    check_all_is_mine(path)


def test_two_users_on_one_file(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowlist, "_declared", dict(allowlist._declared))
    as_user(tmp_path / "alice", monkeypatch)
    write(path)
    bobs = as_user(tmp_path / "bob", monkeypatch)
    check_plain_data_only(path, f"keys from {bobs}")
    with told(path) as (s, _):
        s["bob's"] = Thing()
        assert type(s["bob's"]) is Thing
    as_user(tmp_path / "alice", monkeypatch)
    with told(path) as (s, _):
        assert type(s["thing"]) is Thing
        with pytest.raises(Untrusted) as caught:
            s["bob's"]
        assert REMEDY_AT_READ in str(caught.value)
        store.allow(Thing)
        assert type(s["bob's"]) is Thing


def test_ci_with_a_throw_away_home(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each job has a new home, and the store comes from the cache; a key in a secret of the CI helps."""
    for job in range(3):
        key = as_user(tmp_path / f"job {job}", monkeypatch)
        if job:
            check_plain_data_only(path, f"keys from {key}")
        write(path)
    monkeypatch.setenv("STORE_KEY", "a1" * 32)
    write(path)
    as_user(tmp_path / "last job", monkeypatch)
    with told(path) as (s, _):  # of the former jobs' keys, whose records were replaced
        assert type(s["thing"]) is Thing
