"""`recover`: what of a damaged store still holds, in a new one."""

import json
import sqlite3
from contextlib import closing

import pytest

from store import Store


@pytest.fixture
def damaged(filled):
    """A store whose first page is gone, and a record of it altered."""
    content = filled.read_bytes()
    at = content.index(b"Alice")
    filled.write_bytes(bytes(4096) + content[4096:at] + b"Mallo" + content[at + 5 :])
    return filled


def test_recover_of_a_sound_store(run, filled, path):
    with Store(filled) as s:
        before = dict(s)
    result = run("recover", filled, path.with_name("new.db"))
    assert (result.code, result.err) == (0, "")
    assert result.out == "sealed   5\nforeign  0\nfiles    0, 0 B\nunsure   0\nlost     0\n"
    with Store(path.with_name("new.db")) as s:
        assert dict(s) == before


@pytest.mark.damaged
def test_recover_names_what_is_lost(run, damaged, path):
    result = run("recover", damaged, path.with_name("new.db"))
    assert (result.code, result.err) == (1, "")
    assert "sealed   4\n" in result.out
    assert "lost     1\n  user:1: its bytes do not match its seal\n" in result.out
    assert "damage   page 1: the header of the file is gone\n" in result.out
    assert run("verify", path.with_name("new.db")).code == 0


@pytest.mark.damaged
def test_recover_json(run, damaged, path):
    result = run("recover", damaged, path.with_name("new.db"), "--json")
    found = json.loads(result.out)
    assert result.code == 1
    assert list(found) == ["sealed", "foreign", "lost", "unsure", "damage", "files", "file_bytes"]
    assert found["sealed"] == 4 and found["lost"][0][:2] == ["", "user:1"]


def test_recover_with_the_id_of_a_backup(run, filled, path):
    with closing(sqlite3.connect(filled)) as conn:
        (store_id,) = conn.execute("SELECT id FROM identity").fetchone()
    result = run("recover", filled, path.with_name("new.db"), "--store-id", store_id.hex())
    assert result.code == 0 and "sealed   5\n" in result.out


def test_recover_called_wrongly(fails, filled, path):
    fails(1, "there is no file", "recover", path.with_name("nothing.db"), path.with_name("new.db"))
    fails(1, "is there already", "recover", filled, filled)
    fails(2, "32 hex digits", "recover", filled, path.with_name("new.db"), "--store-id", "12")
    fails(2, "Missing argument 'DST'", "recover", filled)


def test_recover_with_a_key_that_can_never_be_right(fails, filled, path, monkeypatch):
    monkeypatch.setenv("STORE_KEY", "short")
    fails(2, "STORE_KEY", "recover", filled, path.with_name("new.db"))
