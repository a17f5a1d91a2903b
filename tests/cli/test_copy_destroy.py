"""`copy` and `destroy`."""

import json
import os
import signal
import sys

import pytest
from away import is_absent

import store
from store import Store
from store.care import following
from store.cli.output import progress
from store.engines.sqlite.care import destroy as engine


class Terminal:
    """A stdin that answers as a person would."""

    def __init__(self, answer):
        self.answer = answer

    def isatty(self):
        return True

    def readline(self):
        return self.answer


@pytest.fixture
def answers(monkeypatch):
    return lambda answer: monkeypatch.setattr(sys, "stdin", Terminal(answer))


# -- copy


def test_copy_says_what_it_did(run, stocked, tmp_path):
    target = tmp_path / "other.db"
    assert run("copy", stocked, target) == (0, "copied 5, unchanged 0, expired 0\n", "")
    with Store(stocked) as s:
        s["greeting"] = "hi"
    assert json.loads(run("copy", stocked, target, "--json").out) == {"records": 1, "unchanged": 4, "expired": 0, "deleted": 0}
    with Store(stocked) as s, Store(target) as copy:
        assert dict(copy) == dict(s)
        assert copy.record("greeting").modified == s.record("greeting").modified


def test_copy_of_a_namespace(run, stocked, tmp_path):
    target = tmp_path / "settings.db"
    assert run("copy", stocked, target, "--namespace", "settings").out == "copied 1, unchanged 0, expired 0\n"
    with Store(target) as copy:
        assert copy.namespaces() == ["settings"]
    result = run("copy", stocked, target, "--namespace", "setings")
    assert result.code == 0 and 'these namespaces have records: "", settings' in result.err


def test_copy_leaves_expired_records_out(run, stocked, tmp_path):
    with Store(stocked) as s:
        later = s.record("session:4f2a").expires.timestamp() + 1
    result = run("copy", stocked, tmp_path / "other.db", clock=lambda: later)
    assert result.out == "copied 4, unchanged 0, expired 1\n"


def test_copy_to_a_server_and_back(run, filled, tmp_path, postgres_url):
    url = postgres_url.replace("postgres@", "postgres:secret@")
    result = run("copy", filled, url, "--follow", "--idle", "0")
    assert (result.code, result.out) == (0, "copied 5, unchanged 0, expired 0, deleted 0\n")
    assert run("copy", url, tmp_path / "back.db").out == "copied 5, unchanged 0, expired 0\n"
    with Store(filled) as s, Store(tmp_path / "back.db") as back:
        assert list(back.items()) == list(s.items())
    wrong = run("copy", url, url)
    assert wrong.code == 2 and "the same store" in wrong.err and "secret" not in wrong.err


def test_copy_shows_a_bar_on_a_terminal(run, filled, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "is_watched", lambda: True)
    result = run("copy", filled, tmp_path / "other.db")
    assert result.code == 0 and result.err.startswith("copy")


def test_copy_that_deletes_and_follows(run, fails, stocked, tmp_path):
    target = tmp_path / "other.db"
    with Store(target) as copy:
        copy["other"] = 1
    assert run("copy", stocked, target, "--delete").out == "copied 5, unchanged 0, expired 0, deleted 1\n"
    result = run("copy", stocked, target, "--follow", "--idle", "0")
    assert (result.code, result.out) == (0, "copied 0, unchanged 5, expired 0, deleted 0\n")
    fails(2, "--idle ends what --follow does", "copy", stocked, target, "--idle", "1")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_copy_follows_until_a_signal(run, stocked, tmp_path, monkeypatch, number):
    """The signal comes between two looks; what was written before it is copied."""
    looks = []
    look = following.Follower.look

    def signalled(self):
        looks.append(1)
        if len(looks) == 3:
            with Store(stocked) as s:
                s["late"] = 1
            os.kill(os.getpid(), number)
        return look(self)

    monkeypatch.setattr(following.Follower, "look", signalled)
    before = signal.getsignal(number)
    result = run("copy", stocked, tmp_path / "other.db", "--follow")
    assert (result.code, result.out) == (0, "copied 6, unchanged 0, expired 0, deleted 0\n")
    assert signal.getsignal(number) is before
    with Store(tmp_path / "other.db") as copy:
        assert copy["late"] == 1


def test_wrong_copies(fails, filled, tmp_path):
    fails(2, "source and target are the same store", "copy", filled, filled)
    fails(2, "Missing argument 'TARGET'", "copy", filled)
    fails(2, "give the path of a file", "copy", filled, ":memory:")
    fails(1, "there is no store at", "copy", tmp_path / "none.db", tmp_path / "other.db")
    assert not (tmp_path / "other.db").exists()
    fails(1, "there is no directory", "copy", filled, tmp_path / "none" / "other.db")


# -- destroy


def test_destroy_says_what_went(run, stocked):
    assert run("destroy", stocked, "--yes", "--bytes").out.startswith(f"removed {stocked}: records 5, namespaces 2, files 0, ")
    assert is_absent(stocked)


def test_destroy_json(run, stocked):
    told = json.loads(run("destroy", stocked, "--yes", "--json").out)
    assert told == {"path": stocked, "records": 5, "namespaces": 2, "files": 0, "bytes": told["bytes"]}
    assert is_absent(stocked)


def test_destroy_asks_on_a_terminal(run, stocked, answers):
    answers("n\n")
    result = run("destroy", stocked)
    assert result.code == 1 and result.out == ""
    assert result.err.startswith(f"Remove {stocked} (records 5, namespaces 2, files 0, ")
    assert result.err.endswith("[y/N] store: nothing was removed\n")
    assert not is_absent(stocked)
    answers("y\n")
    assert run("destroy", stocked).code == 0
    assert is_absent(stocked)


def test_destroy_without_a_terminal_needs_yes(fails, stocked, stdin):
    stdin(b"y\n")
    fails(1, "there is no terminal to ask on; --yes removes it without asking", "destroy", stocked)
    assert not is_absent(stocked)


def test_destroy_of_what_is_no_store(fails, tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    for words in ((), ("--yes",)):
        fails(1, "was not touched", "destroy", other, *words)
        fails(1, "there is no store at", "destroy", tmp_path / "none.db", *words)
        fails(1, "is a directory", "destroy", tmp_path, *words)
    assert other.read_text() == "mine"
    fails(2, "give the path of a file", "destroy", ":memory:", "--yes")
    fails(2, "Missing argument 'LOCATION'", "destroy")


def test_destroy_of_a_store_in_use(fails, stocked):
    with Store(stocked):
        fails(1, "is open in this process, and nothing was removed", "destroy", stocked, "--yes")


def test_destroy_goes_on_after_an_interruption(run, fails, filled, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_remove", lambda path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.destroy(filled)
    fails(1, "or run `store destroy` with --yes", "destroy", filled)
    assert run("destroy", filled, "--yes") == (0, f"removed {filled}: its content cannot be read\n", "")
    assert not filled.exists()
