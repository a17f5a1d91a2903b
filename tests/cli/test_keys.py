"""`store key`: used rightly and wrongly. No secret is ever shown."""

import os

import pytest

from store import Store
from store.trust.keys.key import Key

FIRST, SECOND = "a1" * 32, "b2" * 32


def id_of(secret):
    return Key(bytes.fromhex(secret)).id.hex()


@pytest.fixture
def keys(own_key):
    """The user's own key file, with two keys."""
    own_key.parent.mkdir(parents=True)
    own_key.write_text(f"{FIRST}\n{SECOND}\n")
    own_key.chmod(0o600)
    return own_key


def test_show(run, keys):
    lines = f"{id_of(FIRST)}  seals and verifies\n{id_of(SECOND)}  verifies\n"
    assert run("key", "show") == (0, f"keys from {keys}\n{lines}", "")


def test_show_before_the_first_write_makes_no_key(run, own_key):
    result = run("key", "show")
    assert result.code == 0 and "none yet: one is made at the first write, or by `store key new`" in result.out
    assert not own_key.parent.exists()


def test_show_of_a_key_in_the_environment(run, monkeypatch):
    monkeypatch.setenv("STORE_KEY", f"{FIRST},{SECOND} retired")
    lines = f"{id_of(FIRST)}  seals and verifies\n{id_of(SECOND)}  retired: verifies only\n"
    assert run("key", "show") == (0, f"keys from STORE_KEY\n{lines}", "")


def test_new_and_retire(run, place, own_key):
    with Store(place, trust="own") as s:
        s["x"] = 1
        old = s.record("x").sealed_by
    made = run("key", "new")
    new = made.out.split()[0]
    assert made == (0, f"{new}  seals and verifies\n", "")
    assert run("key", "retire", old) == (0, f"{old}  verifies only\n", "")
    shown = run("key", "show").out.splitlines()
    assert shown[1:] == [f"{new}  seals and verifies", f"{old}  retired: verifies only"]
    with Store(place, trust="own") as s:
        assert s["x"] == 1
        s["x"] = 2
        assert s.record("x").sealed_by == new
    assert sorted(os.listdir(own_key.parent)) == ["keys", "keys.lock"]


@pytest.mark.parametrize("named", [False, True])
def test_new_makes_the_file(run, own_key, tmp_path, monkeypatch, named):
    if named:
        monkeypatch.setenv("STORE_KEY_FILE", str(tmp_path / "named"))
    assert run("key", "new").code == 0
    assert (tmp_path / "named").exists() == named
    assert own_key.exists() != named


def test_no_command_shows_a_secret(run, keys):
    printed = [
        run("key", *args) for args in (["show"], ["new"], ["retire", id_of(FIRST)], ["retire", FIRST], ["show"])
    ]
    secrets = {line.split()[0] for line in keys.read_text().splitlines()}
    assert len(secrets) == 3
    for result in printed:
        for secret in secrets:
            assert secret[:16] not in result.out + result.err


WRONG = [
    (["key", "frob"], 2, "No such command 'frob'"),
    (["key", "show", "more"], 2, "unexpected extra argument"),
    (["key", "new", "more"], 2, "unexpected extra argument"),
    (["key", "retire"], 2, "Missing argument 'ID'"),
    (["key", "retire", "frob"], 2, "an id is 16 hexadecimal digits, as `store key show` shows them"),
    (["key", "retire", "a1b2"], 2, "an id is 16 hexadecimal digits, as `store key show` shows them"),
    (["key", "retire", "00" * 8], 1, f"has no key {'00' * 8}; it has {id_of(FIRST)}, {id_of(SECOND)}"),
]


@pytest.mark.parametrize(("args", "code", "words"), WRONG, ids=[" ".join(args) for args, _, _ in WRONG])
def test_wrong_use_changes_nothing(fails, keys, args, code, words):
    fails(code, words, *args)
    assert keys.read_text() == f"{FIRST}\n{SECOND}\n"


def test_last_key_is_not_retired(run, fails, keys):
    assert run("key", "retire", id_of(FIRST)).code == 0
    fails(1, "make a new one first: `store key new`", "key", "retire", id_of(SECOND))


@pytest.mark.parametrize("args", [["new"], ["retire", id_of(FIRST)]])
def test_key_in_the_environment_is_not_changed(fails, monkeypatch, own_key, args):
    monkeypatch.setenv("STORE_KEY", FIRST)
    fails(1, "the key is in STORE_KEY, which only you can change", "key", *args)
    assert not own_key.parent.exists()


@pytest.mark.parametrize("args", [["show"], ["new"], ["retire", id_of(FIRST)]])
def test_file_that_others_can_open(fails, keys, args):
    keys.chmod(0o644)
    fails(1, f"{keys} is open to other users and was not used: chmod 600 {keys}", "key", *args)
    keys.chmod(0o600)


@pytest.mark.parametrize("args", [["show"], ["new"], ["retire", id_of(FIRST)]])
def test_file_that_holds_something_else(fails, keys, args):
    keys.write_text("frob\n")
    fails(1, f"the key file {keys}, line 1: a key is 64 hexadecimal digits", "key", *args)
    assert keys.read_text() == "frob\n"


def test_bad_key_in_the_environment(fails, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("STORE_KEY", "frob")
        fails(2, "STORE_KEY: a key has at least 16 bytes, and this one has 4", "key", "show")


@pytest.mark.parametrize("args", [["show"], ["new"]])
def test_user_without_a_home(fails, monkeypatch, args):
    with monkeypatch.context() as patch:
        patch.setattr(os.path, "expanduser", lambda path: path)
        patch.delenv("HOME", raising=False)
        patch.delenv("XDG_DATA_HOME")
        fails(1, "this user has no home directory to keep a key in", "key", *args)
