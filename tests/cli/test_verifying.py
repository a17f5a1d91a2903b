"""`verify`: what it finds and says, and of a file that does not open."""

import json
import sqlite3
from contextlib import closing

import pytest

from store import Store

pytestmark = pytest.mark.damaged


def test_verify_of_a_sound_store(run, stocked):
    for words in (["verify", stocked], ["verify", stocked, "--quick"]):
        result = run(*words)
        assert (result.code, result.err) == (0, "")
        assert result.out == "sealed    5\nforeign   0\ntampered  0\ncorrupt   0\n"


def test_verify_json(run, stocked):
    result = run("verify", stocked, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == {
        "sealed": 5, "foreign": [], "tampered": [], "corrupt": [], "unfound": [], "damage": [], "files": [], "orphans": [],
        "unread": 0,
    }  # fmt: skip


def test_verify_full_finds_what_quick_does_not(run, filled):
    with closing(sqlite3.connect(filled)) as conn:
        (root,) = conn.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_records_1'").fetchone()
    content = bytearray(filled.read_bytes())
    at = content.index(b"greeting", 4096 * (root - 1), 4096 * root)
    content[at : at + 8] = b"greetinx"
    filled.write_bytes(content)
    assert run("verify", filled, "--quick").code == 0
    result = run("verify", filled)
    assert (result.code, result.err) == (1, "")
    assert "unfound   1\n  greeting\n" in result.out and "damage    " in result.out
    assert f"remedy    `store recover {filled} NEW.db` copies the sound records to a new one\n" in result.out


def test_verify_of_a_file_that_does_not_open(run, fails, filled, path):
    filled.write_bytes(bytes(4096) + filled.read_bytes()[4096:])
    fails(1, f"if it was a store, `store recover {filled} NEW.db` copies the sound records to a new one", "verify", filled)
    result = run("verify", filled, "--json")
    assert (result.code, result.err) == (1, "")
    assert "no SQLite database" in json.loads(result.out)["damage"][0]
    assert run("recover", filled, path.with_name("NEW.db")).code == 1
    assert run("verify", path.with_name("NEW.db")).code == 0
    with Store(path.with_name("NEW.db")) as s:
        assert s["greeting"] == "hello"


def test_verify_where_it_is_not_the_file_that_is_at_fault(run, filled, path, monkeypatch):
    key_file = path.with_name("none")
    monkeypatch.setenv("STORE_KEY_FILE", str(key_file))
    for words in (["verify", filled], ["verify", filled, "--json"]):
        result = run(*words)
        assert (result.code, result.out) == (1, "")
        assert f"the key file {key_file} cannot be read" in result.err and "recover" not in result.err
